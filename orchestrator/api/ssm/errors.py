"""Parameter Store's own errors, with the texts that AWS gives."""

from kit.aws.errors import AwsError, ValidationException

__all__ = ["ValidationException"]


class ParameterNotFound(AwsError):
    """The parameter couldn't be found. Verify the name and try again."""


class ParameterVersionNotFound(AwsError):
    """The specified parameter version wasn't found. Verify the parameter name and version, and try again."""


class ParameterAlreadyExists(AwsError):
    """The parameter already exists. To overwrite this value, set the overwrite option in the request to true."""


class ParameterMaxVersionLimitExceeded(AwsError):
    """Parameter Store retains the 100 most recently created versions of a parameter."""


class ParameterPatternMismatchException(AwsError):
    """The parameter value doesn't match the allowed pattern."""


class InvalidAllowedPatternException(AwsError):
    """The request doesn't meet the regular expression requirement."""


class HierarchyLevelLimitExceededException(AwsError):
    """A hierarchy can have a maximum of 15 levels."""


class HierarchyTypeMismatchException(AwsError):
    """Parameter Store doesn't support changing a parameter type in a hierarchy. For example, you can't change a
    parameter from a String type to a SecureString type. You must create a new, unique parameter."""


class UnsupportedParameterType(AwsError):
    """The parameter type isn't supported."""


class InvalidPolicyTypeException(AwsError):
    """The policy type isn't supported: Berth keeps parameters without policies."""


class InvalidKeyId(AwsError):
    """The query key ID isn't valid."""


class InvalidFilterKey(AwsError):
    """The specified key isn't valid."""


class InvalidFilterOption(AwsError):
    """The specified filter option isn't valid."""


class InvalidFilterValue(AwsError):
    """The filter value isn't valid."""


class InvalidNextToken(AwsError):
    """The specified token isn't valid."""


class InvalidResourceType(AwsError):
    """The resource type isn't valid: of Systems Manager, Berth keeps parameters."""


class InvalidResourceId(AwsError):
    """The resource ID isn't valid. Verify that you entered the correct ID and try again."""


class TooManyTagsError(AwsError):
    """A parameter can have at most 50 tags."""


class ParameterVersionLabelLimitExceeded(AwsError):
    """A parameter version can have a maximum of ten labels."""
