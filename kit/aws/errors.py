"""AWS errors: what a caller is told when a request cannot be served.

An error class names its AWS ``code`` (its own name unless said otherwise), its HTTP ``status`` and, as its
docstring, its default message. Whoever raises one speaks to the user: no internals ever travel in a message.
This module knows nothing of any service model, so that the agent may import it too.
"""

from typing import Any


class AwsError(Exception):
    """The request could not be served."""

    code: str = "ServiceException"
    status: int = 400

    def __init_subclass__(cls) -> None:
        if "code" not in cls.__dict__ and cls.code == AwsError.code:
            cls.code = cls.__name__

    def __init__(self, message: str | None = None, **members: Any) -> None:
        """``members`` are further members of the error's modelled shape, sent next to the message."""
        self.message = message if message is not None else " ".join((type(self).__doc__ or "").split())
        self.members = members
        super().__init__(self.message)


class CodedError(AwsError):
    """An error whose code is known only when it is raised, such as a service's own validation error."""

    def __init__(self, code: str, message: str, *, status: int = 400, **members: Any) -> None:
        super().__init__(message, **members)
        self.code = code
        self.status = status


class ValidationException(AwsError):
    """The input does not satisfy the constraints of the operation."""


class ValidationError(AwsError):
    """The input does not satisfy the constraints of the operation."""


class InvalidParameterException(AwsError):
    """A parameter is not valid."""


class ClientException(AwsError):
    """The request is not valid."""


class SerializationException(AwsError):
    """The request body could not be read."""


class RequestEntityTooLarge(AwsError):
    """The request is larger than this endpoint accepts."""

    code = "RequestEntityTooLargeException"
    status = 413


class RequestTimeout(AwsError):
    """The request body did not arrive in time."""

    code = "RequestTimeoutException"
    status = 408


class UnknownOperation(AwsError):
    """The requested operation is not known."""

    code = "UnknownOperationException"


class NotBuilt(AwsError):
    """Berth has not built this operation."""

    # Not 501: several SDKs retry every status from 500 on, and no retry will help here.
    code = "UnsupportedOperationException"


class MissingAuthenticationToken(AwsError):
    """Missing Authentication Token"""

    code = "MissingAuthenticationTokenException"
    status = 403


class IncompleteSignatureException(AwsError):
    """The request signature does not conform to AWS standards."""


class InvalidSignatureException(AwsError):
    """The request signature we calculated does not match the signature you provided. Check your AWS Secret
    Access Key and signing method. Consult the service documentation for details."""

    status = 403


class UnrecognizedClientException(AwsError):
    """The security token included in the request is invalid."""

    status = 403


class ExpiredTokenException(AwsError):
    """The security token included in the request is expired"""

    status = 403


class RequestExpired(AwsError):
    """Request has expired."""


class AccessDeniedException(AwsError):
    """User is not authorized to perform this operation."""

    status = 403


class ThrottlingException(AwsError):
    """Rate exceeded"""


class ServiceUnavailable(AwsError):
    """The service is temporarily unable to handle the request."""

    status = 503


class InternalFailure(AwsError):
    """The request processing has failed because of an unknown error, exception or failure."""

    status = 500


COMMON_CODES = frozenset(
    error.code
    for error in (
        ValidationException,
        ValidationError,
        SerializationException,
        RequestEntityTooLarge,
        RequestTimeout,
        UnknownOperation,
        NotBuilt,
        MissingAuthenticationToken,
        IncompleteSignatureException,
        InvalidSignatureException,
        UnrecognizedClientException,
        ExpiredTokenException,
        RequestExpired,
        AccessDeniedException,
        ThrottlingException,
        ServiceUnavailable,
        InternalFailure,
    )
)
"""Codes that any operation of any service may answer with, whether or not its model declares them."""
