"""What containers see at 169.254.170.2: metadata, credentials of their role, statistics, and task protection.

``wiring`` makes the address reachable from containers, ``server`` speaks HTTP there, ``routes`` knows what answers
where, and the rest makes the answers.
"""

ADDRESS = "169.254.170.2"
