"""Finding ECS nouns by what callers write: a name, a family with revision, a short or a long ARN.

Every ``find_`` answers the entity or raises ECS's own error. ARNs of another account, region or service name
nothing here.
"""

from typing import Any

from orchestrator.api.ecs.errors import (
    ClientException,
    ClusterNotFoundException,
    InvalidParameterException,
    ServiceNotFoundException,
)
from orchestrator.call import Call
from state.clusters import Cluster, get_cluster, has_active_cluster, lock_cluster
from state.services import Service, get_service
from state.task_definitions import TaskDefinition, get_task_definition
from state.tasks import Task

DEFAULT_CLUSTER = "default"
MOST_TAGS = 50
LAST_REVISION = 2**31 - 1


def find_cluster(call: Call, ref: str | None, *, lock: bool = False) -> Cluster:
    """The ACTIVE cluster of that name or ARN; with ``lock``, held until the transaction ends.

    Raises ClusterNotFoundException.
    """
    name = _cluster_name(call, ref)
    if lock:
        lock_cluster(call.session, name)
    cluster = get_cluster(call.session, name)
    if cluster is None or cluster.status != "ACTIVE":
        raise ClusterNotFoundException
    return cluster


def find_cluster_name(call: Call, ref: str | None) -> str:
    """The name of that ACTIVE cluster, for who needs nothing else of it. Raises ClusterNotFoundException."""
    name = _cluster_name(call, ref)
    if not has_active_cluster(call.session, name):
        raise ClusterNotFoundException
    return name


def _cluster_name(call: Call, ref: str | None) -> str:
    name = resource_name(call, ref, "cluster") if ref else DEFAULT_CLUSTER
    if name is None:
        raise ClusterNotFoundException
    return name


def find_task_definition(
    call: Call, ref: str, *, active: bool = False, missing: str = "TaskDefinition not found."
) -> TaskDefinition:
    """The revision named by a family (its newest ACTIVE one), ``family:revision`` or an ARN.

    With ``active`` a revision that was deregistered is refused, as ECS does for new tasks and services.
    Raises ClientException; ``missing`` is its text where there is no such revision.
    """
    family, revision = task_definition_name(call, ref, missing=missing)
    found = get_task_definition(call.session, family, revision)
    if found is None:
        raise ClientException(missing)
    if active and found.status != "ACTIVE":
        raise ClientException("TaskDefinition is inactive")
    return found


def task_definition_name(call: Call, ref: str, *, missing: str = "TaskDefinition not found.") -> tuple[str, int | None]:
    """The family and the revision, if any, that the text names; raises ClientException with ``missing``."""
    name = resource_name(call, ref, "task-definition")
    if not name:
        raise ClientException(missing)
    family, colon, revision = name.partition(":")
    if not colon:
        return family, None
    if len(revision) > 10 or not (revision.isascii() and revision.isdigit()) or not 0 < int(revision) <= LAST_REVISION:
        raise ClientException(f"Invalid revision number. Number: {revision}")
    return family, int(revision)


def find_service(call: Call, cluster: Cluster, ref: str) -> Service:
    """The cluster's service of that name or ARN, whatever its status; raises ServiceNotFoundException."""
    service = get_service_by(call, cluster, ref)
    if service is None:
        raise ServiceNotFoundException
    return service


def get_service_by(call: Call, cluster: Cluster, ref: str) -> Service | None:
    """The cluster's service of that name, short ARN or long ARN, or None."""
    name = resource_name(call, ref, "service")
    if name is None:
        return None
    owner, slash, rest = name.partition("/")
    if slash and owner != cluster.name:
        return None
    return get_service(call.session, cluster.name, rest if slash else name)


def resource_name(call: Call, ref: str, kind: str) -> str | None:
    """What follows ``<kind>/`` in an ECS ARN of this account and region; the text itself when it is no ARN.

    None for an ARN of anything else.
    """
    if not ref.startswith("arn:"):
        return ref
    resource = call.arns.own("ecs", ref)
    if resource is None or not resource.startswith(f"{kind}/"):
        return None
    return resource[len(kind) + 1 :]


def cluster_arn(call: Call, cluster: str) -> str:
    return call.arns.cluster(cluster)


def task_arn(call: Call, task: Task) -> str:
    return call.arns.task(task.cluster, task.id)


def task_definition_arn(call: Call, family: str, revision: int) -> str:
    return call.arns.task_definition(family, revision)


def container_instance_arn(call: Call, cluster: str, instance_id: str) -> str:
    return call.arns.container_instance(cluster, instance_id)


def tags_of(request: dict[str, Any], member: str = "tags") -> list[dict[str, Any]]:
    """The request's tags, checked: at most 50, each with a key of its own that is not AWS's.

    Raises InvalidParameterException. Source: ECS developer guide, "Tag restrictions".
    """
    tags = request.get(member) or []
    keys = [tag.get("key") for tag in tags]
    if len(tags) > MOST_TAGS:
        raise InvalidParameterException(f"The maximum number of tags per resource is {MOST_TAGS}.")
    for key in keys:
        if not key:
            raise InvalidParameterException("Tag keys cannot be null or empty.")
        if key.lower().startswith("aws:"):
            raise InvalidParameterException("Tag keys cannot start with 'aws:', which is reserved for AWS use.")
    if len(set(keys)) != len(keys):
        raise InvalidParameterException("Duplicate tag keys found. Please note that Tag keys are case sensitive.")
    return [{"key": tag["key"], "value": tag.get("value") or ""} for tag in tags]
