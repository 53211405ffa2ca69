"""EventBridge Scheduler's own errors."""

from kit.aws.errors import AwsError


class ResourceNotFoundException(AwsError):
    """The resource does not exist."""

    status = 404


class ConflictException(AwsError):
    """The resource already exists or is being changed."""

    status = 409


class TargetUnavailable(AwsError):
    """The target has no room at this time."""

    # Of the server's kind, so that the retry policy applies.
    status = 503
