"""What can go wrong with another registry. No message holds credentials or more of an answer than a line of it."""


class UpstreamError(Exception):
    """The other registry did not do what it was asked."""


class Unreachable(UpstreamError):
    """It cannot be reached, or it stopped talking: another time it may work."""


class Refused(UpstreamError):
    """It does not let us in: the credentials are missing, wrong, or not for this."""


class NotThere(UpstreamError):
    """It says that there is no such thing."""


class Throttled(UpstreamError):
    """It asks us to come back later, after ``retry_after`` seconds where it says so."""

    def __init__(self, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Misbehaved(UpstreamError):
    """What it says cannot be believed: too much of it, another digest, no proper answer."""
