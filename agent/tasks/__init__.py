"""The task engine: what a payload asks for, what is known of it, and what to do next.

``spec`` reads payloads, ``model`` holds what is known, ``decide`` chooses (pure), ``launch`` and ``actions`` do,
``engine`` ties them together one step at a time, ``files`` remembers.
"""
