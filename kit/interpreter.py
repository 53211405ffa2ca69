"""Python's interpreter lock, shared out in short turns.

Every statement of the database lets go of the lock, and a thread that comes back for it waits until the one that
computes meanwhile has had its turn. A request of thirty statements beside a loop that computes waited thirty such
turns, of 5 ms each as Python sets them.
"""

import sys

# Seconds. Shorter turns cost more changes: at this length about one part in a hundred.
TURN = 0.001


def share_interpreter() -> None:
    """Have threads that compute make way sooner for those that serve a request."""
    sys.setswitchinterval(TURN)
