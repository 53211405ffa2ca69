"""CloudWatch Logs' own errors, with the texts that AWS gives."""

from kit.aws.errors import AwsError


class ResourceNotFoundException(AwsError):
    """The specified resource does not exist."""


class LogGroupNotFound(ResourceNotFoundException):
    """The specified log group does not exist."""

    code = "ResourceNotFoundException"


class LogStreamNotFound(ResourceNotFoundException):
    """The specified log stream does not exist."""

    code = "ResourceNotFoundException"


class LogGroupExists(AwsError):
    """The specified log group already exists"""

    code = "ResourceAlreadyExistsException"


class LogStreamExists(AwsError):
    """The specified log stream already exists"""

    code = "ResourceAlreadyExistsException"


class TooManyTagsException(AwsError):
    """A log group can have at most 50 tags."""
