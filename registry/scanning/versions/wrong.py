"""What every order of versions shares: the error, and how long a version may be."""

LONGEST = 512


class NotAVersion(ValueError):
    """The text is no version of its ecosystem."""
