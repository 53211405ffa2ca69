"""The errors of the Batch API. It has two of its own; everything a caller did wrong is a ClientException."""

from kit.aws.errors import AwsError, ClientException

__all__ = ["ClientException", "NotBuiltYet", "ServerException"]


class ServerException(AwsError):
    """Batch could not serve the request. Please try again later."""

    status = 500


class NotBuiltYet(ClientException):
    """Berth has not built this yet."""

    code = "ClientException"

    def __init__(self, what: str) -> None:
        """``what`` names the feature, in the words of the API."""
        super().__init__(f"Berth has not built {what} yet; the request was refused and nothing was changed.")
