"""Secrets Manager's own errors, with the texts that AWS gives."""

from kit.aws.errors import AwsError, InvalidParameterException

__all__ = ["InvalidParameterException"]


class ResourceNotFoundException(AwsError):
    """Secrets Manager can't find the specified secret."""


class ResourceExistsException(AwsError):
    """A resource with the ID you requested already exists."""


class InvalidRequestException(AwsError):
    """The request is not valid for the current state of the secret."""


class MarkedForDeletion(InvalidRequestException):
    """You can't perform this operation on the secret because it was marked for deletion."""

    code = "InvalidRequestException"


class InvalidNextTokenException(AwsError):
    """The NextToken value is invalid."""


class DecryptionFailure(AwsError):
    """Secrets Manager can't decrypt the protected secret text: Berth's master key is not the one it was kept with."""


class LimitExceededException(AwsError):
    """The request would exceed a quota of Secrets Manager."""
