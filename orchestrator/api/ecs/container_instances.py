"""The API of container instances: agents register them, people describe, drain and deregister them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

from sqlalchemy import select

from kit.aws.paging import scope_of
from kit.ids import last_part, new_id
from orchestrator.agents.own_host import check_own_host
from orchestrator.api.ecs.container_instance_filter import list_matching, read_filter
from orchestrator.api.ecs.container_instance_view import TAGS, render_container_instance, render_container_instances
from orchestrator.api.ecs.errors import ClientException, InvalidParameterException
from orchestrator.api.ecs.host_keys import bind_key, check_registering, hold_registering_key, part_from_old
from orchestrator.api.ecs.host_resources import Offered, read_resources
from orchestrator.api.ecs.instance_identity import read_identity
from orchestrator.api.ecs.lookup import find_cluster, tags_of
from orchestrator.api.ecs.pages import page
from orchestrator.api.ecs.wire import ecs
from orchestrator.call import Call
from scheduler.capacity import capacity_arrived, expected_capacity
from scheduler.fleets import NETWORK
from scheduler.leaving import take_out
from state.base import Event
from state.client_tokens import ClientToken, get_client_token
from state.clusters import Cluster, lock_cluster
from state.container_instances import ContainerInstance, hold_hosts
from state.devices import ResourceHeld, register_resources
from state.tasks import list_tasks_on

MOST_DESCRIBED = 100
MOST_UPDATED = 10
CAPACITY_ATTRIBUTE = "berth.capacity"
HOST_ATTRIBUTE = "berth.host"
REGISTRATION = "ecs:RegisterContainerInstance"
REGISTRATION_ATTRIBUTE = "berth.registration"
# Characters that the columns hold where attributes have one of their own.
LONGEST = {HOST_ATTRIBUTE: 255, REGISTRATION_ATTRIBUTE: 128}
TOKEN_LIFE = timedelta(hours=24)


@ecs.operation("RegisterContainerInstance", own_token=True)
def register_container_instance(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Add a host to a cluster, or bring a known one (``containerInstanceArn``, or its ``clientToken``) up to date."""
    cluster = find_cluster(call, request.get("cluster"))
    resources = request.get("totalResources") or []
    offered = read_resources(resources)
    identity = read_identity(request.get("instanceIdentityDocument") or "")
    attributes = _attributes(call, request.get("attributes") or [], identity.attributes)
    key = hold_registering_key(call)
    instance = _known_instance(call, cluster, request)
    check_registering(call, key, instance)
    if instance is not None:
        instance.free_cpu += offered.cpu - instance.registered_cpu
        instance.free_memory += offered.memory - instance.registered_memory
        if instance.free_cpu < 0 or instance.free_memory < 0:
            raise ClientException("The container instance has tasks that need more than the resources it registers.")
        known = {attribute["name"] for attribute in attributes}
        attributes += [kept for kept in instance.attributes if kept["name"] not in known]
    else:
        part_from_old(call, key)
        instance = _new_instance(call, cluster, attributes, offered, tags_of(request), identity.instance_id)
        _remember(call, _token(request), instance)
    instance.registered_cpu = offered.cpu
    instance.registered_memory = offered.memory
    instance.resources = resources
    instance.attributes = attributes
    instance.version_info = request.get("versionInfo") or {}
    instance.seen_at = call.now
    call.session.flush()
    bind_key(key, instance)
    try:
        register_resources(call.session, instance.id, offered.named)
    except ResourceHeld as held:
        raise ClientException(f"The container instance cannot register less than it has given out: {held}.") from held
    if instance.capacity_id is not None:
        capacity_arrived(call.session, instance, now=call.now)
    call.session.wake("services", "jobs")
    return {"containerInstance": render_container_instance(call, instance)}


@ecs.operation("DeregisterContainerInstance")
def deregister_container_instance(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Take a host out of its cluster; with tasks on it only with ``force``, which ends them for Berth."""
    cluster = find_cluster(call, request.get("cluster"))
    instance = _find(call, cluster, request["containerInstance"])
    check_own_host(call.caller, instance.id)
    lock_cluster(call.session, cluster.name)
    if list_tasks_on(call.session, instance.id) and not request.get("force"):
        raise InvalidParameterException("Found running tasks on the instance.")
    take_out(call.session, instance, now=call.now, because="deregistered by a user")
    return {"containerInstance": render_container_instance(call, instance)}


@ecs.operation("DescribeContainerInstances")
def describe_container_instances(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Up to a hundred hosts by id or ARN; unknown ones are failures with reason MISSING."""
    cluster = find_cluster(call, request.get("cluster"))
    refs = request["containerInstances"]
    if not 1 <= len(refs) <= MOST_DESCRIBED:
        raise InvalidParameterException(f"You can describe from 1 to {MOST_DESCRIBED} container instances in one call.")
    return _answer(call, cluster, refs, _found(call, cluster, refs), include=request.get("include") or ())


@ecs.operation("ListContainerInstances")
def list_container_instances(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """ARNs of the cluster's hosts, of one status unless all but INACTIVE are wanted, and only what the filter names."""
    cluster = find_cluster(call, request.get("cluster"))
    wanted = read_filter(request)
    query = select(ContainerInstance.id).where(ContainerInstance.cluster == cluster.name, ContainerInstance.shared)
    if request.get("status"):
        query = query.where(ContainerInstance.status == request["status"])
    else:
        query = query.where(ContainerInstance.status.in_(("ACTIVE", "DRAINING")))
    filters = {name: value for name, value in request.items() if name not in ("maxResults", "nextToken")}

    def fetch(after: str | None, limit: int) -> Sequence[str]:
        if wanted is not None:
            return list_matching(call, cluster.name, wanted, query, after, limit)
        rest = query.where(ContainerInstance.id > after) if after else query
        return call.session.scalars(rest.order_by(ContainerInstance.id).limit(limit)).all()

    ids, more = page(
        request,
        fetch,
        key=lambda row_id: row_id,
        scope=scope_of("ListContainerInstances", **filters),
    )
    return {
        "containerInstanceArns": [call.arns.container_instance(cluster.name, instance_id) for instance_id in ids],
        **more,
    }


@ecs.operation("UpdateContainerInstancesState")
def update_container_instances_state(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Drain hosts (no new tasks, services move theirs) or make them ACTIVE again."""
    cluster = find_cluster(call, request.get("cluster"))
    refs = request["containerInstances"]
    wanted = request["status"]
    if not 1 <= len(refs) <= MOST_UPDATED:
        raise InvalidParameterException(f"You can update from 1 to {MOST_UPDATED} container instances in one call.")
    if wanted not in ("ACTIVE", "DRAINING"):
        raise InvalidParameterException("Container instance status should be one of [ACTIVE, DRAINING]")
    for ref in refs:
        check_own_host(call.caller, ref)
    lock_cluster(call.session, cluster.name)
    # Whoever takes a host away for good does not wait for the cluster.
    hold_hosts(call.session, [last_part(ref) for ref in refs])
    found = _found(call, cluster, refs)
    for instance in found.values():
        if instance.status not in (wanted, "INACTIVE"):
            instance.advance(wanted, at=call.now, because="asked for by a user")
    call.session.flush()
    call.session.wake("services", "jobs")
    return _answer(call, cluster, refs, found, include=(TAGS,))


def _known_instance(call: Call, cluster: Cluster, request: Mapping[str, Any]) -> ContainerInstance | None:
    """The instance that an agent registers again, held for this transaction; None when it is a new one.

    An agent whose first registration got no answer knows no ARN yet: it is known by the token it repeats.
    """
    if request.get("containerInstanceArn"):
        instance = _find(call, cluster, request["containerInstanceArn"], lock=True)
        if instance.status == "INACTIVE":
            raise ClientException("The container instance is INACTIVE; register it as a new one.")
        return instance
    token = _token(request)
    kept = get_client_token(call.session, REGISTRATION, token, now=call.now) if token else None
    if kept is None:
        return None
    found = call.session.get(ContainerInstance, kept.answer["id"], with_for_update=True)
    return found if found is not None and found.cluster == cluster.name and found.status != "INACTIVE" else None


def _token(request: Mapping[str, Any]) -> str | None:
    """The agent's registration token: an attribute, since clients of the public model can send no ``clientToken``."""
    attributes = request.get("attributes") or []
    said = next((a.get("value") for a in attributes if a.get("name") == REGISTRATION_ATTRIBUTE), None)
    token: str | None = said or request.get("clientToken")
    if token and len(token) > LONGEST[REGISTRATION_ATTRIBUTE]:
        raise InvalidParameterException(f"clientToken can have at most {LONGEST[REGISTRATION_ATTRIBUTE]} characters.")
    return token


def _remember(call: Call, token: str | None, instance: ContainerInstance) -> None:
    """Keep whom the token registered. It is no answer to be repeated: an agent may come back with other sizes."""
    if token:
        call.session.merge(
            ClientToken(
                operation=REGISTRATION,
                token=token,
                fingerprint="",
                answer={"id": instance.id},
                expires_at=call.now + TOKEN_LIFE,
            )
        )


def _new_instance(
    call: Call,
    cluster: Cluster,
    attributes: list[dict[str, Any]],
    offered: Offered,
    tags: list[dict[str, Any]],
    ec2_instance_id: str,
) -> ContainerInstance:
    by_name = {attribute["name"]: attribute.get("value") for attribute in attributes}
    capacity = None
    if by_name.get(CAPACITY_ATTRIBUTE):
        capacity = expected_capacity(call.session, by_name[CAPACITY_ATTRIBUTE] or "")
        if capacity is None or capacity.cluster != cluster.name:
            raise ClientException("No such capacity is expected in this cluster.")
    instance = ContainerInstance(
        id=new_id(),
        cluster=cluster.name,
        status="ACTIVE",
        ec2_instance_id=by_name.get(HOST_ATTRIBUTE) or ec2_instance_id,
        capacity_id=capacity.id if capacity else None,
        shared=capacity is None or capacity.purpose != "task",
        registered_cpu=offered.cpu,
        registered_memory=offered.memory,
        free_cpu=offered.cpu,
        free_memory=offered.memory,
        tags=tags,
        registered_at=call.now,
    )
    call.session.add(instance)
    call.session.add(
        Event(
            at=call.now,
            kind="container-instance",
            entity=instance.event_name(),
            before=None,
            after="ACTIVE",
            because="registered by its agent",
        )
    )
    return instance


def _attributes(call: Call, given: Sequence[Mapping[str, Any]], implied: Mapping[str, str]) -> list[dict[str, Any]]:
    """What the agent sent, unchanged, what else is implied, and the availability zone where neither names one."""
    attributes = [{name: attribute[name] for name in ("name", "value") if name in attribute} for attribute in given]
    sent = {attribute["name"] for attribute in attributes}
    attributes += [{"name": name, "value": value} for name, value in implied.items() if name not in sent]
    for attribute in attributes:
        _check_attribute(attribute["name"], attribute.get("value") or "")
    if not any(attribute["name"] == "ecs.availability-zone" for attribute in attributes):
        attributes.append({"name": "ecs.availability-zone", "value": call.settings.zone})
    return attributes


def _check_attribute(name: str, value: str) -> None:
    """Raise ClientException for what placement could not read: it would look at no host of the cluster any more."""
    if len(value) > LONGEST.get(name, len(value)):
        raise ClientException(f"The attribute {name} can have at most {LONGEST[name]} characters.")
    if name == NETWORK and value:
        try:
            ip_network(value)
        except ValueError as error:
            raise ClientException(f"The attribute {name} must be a network, as 172.31.0.0/16: {error}.") from error


def _find(call: Call, cluster: Cluster, ref: str, *, lock: bool = False) -> ContainerInstance:
    instance = call.session.get(ContainerInstance, last_part(ref), with_for_update=lock)
    if instance is None or instance.cluster != cluster.name:
        raise InvalidParameterException("The referenced container instance was not found.")
    return instance


def _found(call: Call, cluster: Cluster, refs: Sequence[str]) -> dict[str, ContainerInstance]:
    rows = call.session.scalars(
        select(ContainerInstance).where(
            ContainerInstance.cluster == cluster.name,
            ContainerInstance.id.in_([last_part(ref) for ref in refs]),
            ContainerInstance.shared,
        )
    )
    return {row.id: row for row in rows}


def _answer(
    call: Call,
    cluster: Cluster,
    refs: Sequence[str],
    found: Mapping[str, ContainerInstance],
    *,
    include: Collection[str],
) -> dict[str, Any]:
    wanted = dict.fromkeys(last_part(ref) for ref in refs)
    rows = [found[i] for i in wanted if i in found]
    return {
        "containerInstances": render_container_instances(call, rows, include=include),
        "failures": [
            {"arn": call.arns.container_instance(cluster.name, i), "reason": "MISSING"}
            for i in wanted
            if i not in found
        ],
    }
