"""The errors of the ECS API. Each docstring is the message a caller gets where no better one is given."""

from kit.aws.errors import AwsError, ClientException, InvalidParameterException

__all__ = ["ClientException", "InvalidParameterException"]


class NoContainerInstances(InvalidParameterException):
    """No Container Instances were found in your cluster."""


class ServerException(AwsError):
    """Service Unavailable. Please try again later."""

    status = 500


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
    """The target container isn't properly configured with the execute command agent or the container is no longer
    active or running."""


class AttributeLimitExceededException(AwsError):
    """You can apply up to 10 custom attributes for each resource."""
