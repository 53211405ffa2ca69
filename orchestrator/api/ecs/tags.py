"""Tags of every ECS noun that has them, found by its ARN."""

from typing import Any, Protocol

from orchestrator.agents.own_host import check_own_host
from orchestrator.api.ecs.errors import InvalidParameterException, ResourceNotFoundException
from orchestrator.api.ecs.lookup import MOST_TAGS, find_cluster, tags_of
from orchestrator.api.ecs.wire import ecs
from orchestrator.call import Call
from state.container_instances import ContainerInstance, get_container_instance
from state.services import get_service
from state.task_definitions import get_task_definition
from state.tasks import Task, get_task


class Tagged(Protocol):
    """An entity that keeps tags."""

    tags: list[dict[str, Any]]


class Missing(Exception):
    """Nothing has that ARN; the message says what was looked for."""


@ecs.operation("TagResource")
def tag_resource(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Add the tags; a key that is there already gets its new value."""
    tags = tags_of(request)
    entity = _find(call, request["resourceArn"])
    new = {tag["key"]: tag["value"] for tag in tags}
    kept = [tag for tag in entity.tags if tag["key"] not in new]
    if len(kept) + len(tags) > MOST_TAGS:
        raise InvalidParameterException(f"The maximum number of tags per resource is {MOST_TAGS}.")
    entity.tags = [*kept, *tags]
    return {}


@ecs.operation("UntagResource")
def untag_resource(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    entity = _find(call, request["resourceArn"])
    gone = set(request["tagKeys"])
    entity.tags = [tag for tag in entity.tags if tag["key"] not in gone]
    return {}


@ecs.operation("ListTagsForResource")
def list_tags_for_resource(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    try:
        entity = find_tagged(call, request["resourceArn"])
        _check_own(call, entity)
    except Missing as missing:
        # The one of the three operations whose model has no error of its own for this.
        raise InvalidParameterException(str(missing)) from missing
    return {"tags": entity.tags}


def _check_own(call: Call, entity: Tagged) -> None:
    """Whoever has a host's key may ask for the tags of it and what runs there. Raises AccessDeniedException."""
    match entity:
        case Task():
            check_own_host(call.caller, entity.container_instance_id)
        case ContainerInstance():
            check_own_host(call.caller, entity.id)
        case _:
            check_own_host(call.caller, None)


def find_tagged(call: Call, arn: str) -> Tagged:
    """The entity of that ARN; raises Missing, ClusterNotFoundException or InvalidParameterException."""
    resource = call.arns.own("ecs", arn)
    if resource is None:
        raise InvalidParameterException(f"The resource ARN {arn[:200]!r} is none of this account and region.")
    kind, _, rest = resource.partition("/")
    match kind, rest.split("/"):
        case "cluster", [name] if name:
            return find_cluster(call, name)
        case "service", [cluster, name]:
            return _service(call, cluster, name)
        case "task", [cluster, name]:
            task = get_task(call.session, name)
            if task is None or task.cluster != cluster:
                raise Missing("The specified task is not found. Specify a valid task and try again.")
            if task.last_status == "STOPPED":
                raise InvalidParameterException("The specified task is stopped. Specify a running task and try again.")
            return task
        case "container-instance", [cluster, name]:
            host = get_container_instance(call.session, name)
            if host is None or host.cluster != cluster or host.status == "INACTIVE":
                raise Missing(
                    "The specified container instance is not found. Specify a valid container instance and try again."
                )
            return host
        case "task-definition", [name]:
            return _task_definition(call, name)
        case (("service" | "task" | "container-instance"), [_]):
            raise InvalidParameterException("Long arn format must be used for tagging operations")
    raise InvalidParameterException(f"The resource ARN {arn[:200]!r} is not supported.")


def _find(call: Call, arn: str) -> Tagged:
    try:
        return find_tagged(call, arn)
    except Missing as missing:
        raise ResourceNotFoundException(str(missing)) from missing


def _service(call: Call, cluster: str, name: str) -> Tagged:
    service = get_service(call.session, find_cluster(call, cluster).name, name)
    if service is None:
        raise Missing("The specified service is not found. Specify a valid service and try again.")
    if service.status == "INACTIVE":
        raise InvalidParameterException("The specified service is inactive. Specify an active service and try again.")
    return service


def _task_definition(call: Call, name: str) -> Tagged:
    family, _, revision = name.partition(":")
    found = None
    if revision.isascii() and revision.isdigit() and len(revision) <= 9:
        found = get_task_definition(call.session, family, int(revision))
    if found is None:
        raise Missing("The specified task definition does not exist. Specify a valid task definition and try again.")
    return found
