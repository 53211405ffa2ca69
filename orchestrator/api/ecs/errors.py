"""The errors of the ECS API. Each docstring is the message a caller gets where no better one is given."""

from kit.aws.errors import AwsError, ClientException, InvalidParameterException

__all__ = ["ClientException", "InvalidParameterException"]


class ServerException(AwsError):
    """Service Unavailable. Please try again later."""

    status = 500


class UnsupportedFeatureException(AwsError):
    """The specified task isn't supported in this Region."""


class LimitExceededException(AwsError):
    """The limit for the resource was exceeded."""


class ResourceNotFoundException(AwsError):
    """The specified resource wasn't found."""


class ResourceInUseException(AwsError):
    """The specified resource is in-use and can't be removed."""


class ClusterNotFoundException(AwsError):
    """Cluster not found."""


class ClusterContainsTasksException(AwsError):
    """The Cluster cannot be deleted while Tasks are active."""


class ClusterContainsServicesException(AwsError):
    """The Cluster cannot be deleted while Services are active."""


class ClusterContainsContainerInstancesException(AwsError):
    """The Cluster cannot be deleted while Container Instances are active or draining."""


class ServiceNotFoundException(AwsError):
    """Service not found."""


class ServiceNotActiveException(AwsError):
    """Service was not ACTIVE."""


class TargetNotFoundException(AwsError):
    """The specified target wasn't found."""


class TargetNotConnectedException(AwsError):
    """The execute command failed because the target is not connected."""


class AttributeLimitExceededException(AwsError):
    """You can apply up to 10 custom attributes for each resource."""


class PlatformUnknownException(AwsError):
    """The specified platform version doesn't exist."""


class PlatformTaskDefinitionIncompatibilityException(AwsError):
    """The specified platform version doesn't satisfy the required capabilities of the task definition."""


class MissingVersionException(AwsError):
    """Amazon ECS can't determine the current version of the Amazon ECS container agent on the container instance
    and doesn't have enough information to proceed with an update."""


class NoUpdateAvailableException(AwsError):
    """There's no update available for this Amazon ECS container agent."""


class UpdateInProgressException(AwsError):
    """There's already a current Amazon ECS container agent update in progress on the container instance that's
    specified."""


class NamespaceNotFoundException(AwsError):
    """The specified namespace wasn't found."""
