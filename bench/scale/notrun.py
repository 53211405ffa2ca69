"""Trouble that the person at the screen can mend."""


class NotRun(Exception):
    """The benchmark cannot run here; the message says why and what would help."""
