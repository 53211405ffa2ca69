"""Attributes that people give to container instances, for placement to go by."""

import re
from collections.abc import Sequence
from typing import Any

from kit.aws.paging import scope_of
from orchestrator.api.ecs.errors import (
    AttributeLimitExceededException,
    InvalidParameterException,
    TargetNotFoundException,
)
from orchestrator.api.ecs.lookup import find_cluster, resource_name
from orchestrator.api.ecs.pages import page
from orchestrator.api.ecs.wire import ecs
from orchestrator.call import Call
from state.clusters import Cluster
from state.container_instances import ContainerInstance, get_container_instance, hold_hosts, list_hosts

MOST_AT_ONCE = 10
MOST_CUSTOM = 10
# Registered by agents; nobody else may write them.
RESERVED = ("ecs.", "com.amazonaws.", "berth.", "aws:")
_NAME = re.compile(r"[A-Za-z0-9_./\\-]{1,128}")
_VALUE = re.compile(r"(?! )[A-Za-z0-9_.@:/\\ -]{0,128}(?<! )")


@ecs.operation("PutAttributes")
def put_attributes(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Create the attributes, or give those that exist their new values."""
    cluster = find_cluster(call, request.get("cluster"))
    given = _given(request)
    _hold_targets(call, given)
    for attribute in given:
        _check(attribute)
        host = _find_target(call, cluster, attribute)
        kept = [row for row in host.attributes if row["name"] != attribute["name"]]
        if sum(not _reserved(row["name"]) for row in kept) >= MOST_CUSTOM:
            raise AttributeLimitExceededException
        host.attributes = [*kept, {"name": attribute["name"], "value": attribute.get("value") or ""}]
    call.session.wake("services", "jobs")
    return {"attributes": [_echo(call, cluster, attribute) for attribute in given]}


@ecs.operation("DeleteAttributes")
def delete_attributes(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Attributes that are gone already are deleted, too; with a value, only that value."""
    cluster = find_cluster(call, request.get("cluster"))
    given = _given(request)
    _hold_targets(call, given)
    for attribute in given:
        _check(attribute)
        host = _find_target(call, cluster, attribute)
        value = attribute.get("value")
        host.attributes = [
            row for row in host.attributes if row["name"] != attribute["name"] or (value and value != row.get("value"))
        ]
    call.session.wake("services", "jobs")
    return {"attributes": [_echo(call, cluster, attribute) for attribute in given]}


@ecs.operation("ListAttributes")
def list_attributes(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    cluster = find_cluster(call, request.get("cluster"))
    name, value = request.get("attributeName"), request.get("attributeValue")
    if value and not name:
        raise InvalidParameterException("An attribute's value can be filtered by only together with its name.")
    rows = sorted(
        (host.id, row["name"], row.get("value") or "")
        for host in list_hosts(call.session, cluster.name, ("ACTIVE", "DRAINING"))
        for row in host.attributes
        if name in (None, "", row["name"]) and value in (None, "", row.get("value"))
    )
    shown, more = page(
        request,
        lambda after, limit: [row for row in rows if after is None or row[:2] > (after[0], after[1])][:limit],
        lambda row: row[:2],
        scope=scope_of("ListAttributes", cluster=cluster.name, name=name, value=value),
    )
    return {
        "attributes": [
            _render(name, value, call.arns.container_instance(cluster.name, host)) for host, name, value in shown
        ],
        **more,
    }


def _given(request: dict[str, Any]) -> Sequence[dict[str, Any]]:
    given: Sequence[dict[str, Any]] = request["attributes"]
    if not 1 <= len(given) <= MOST_AT_ONCE:
        raise InvalidParameterException(f"Between 1 and {MOST_AT_ONCE} attributes can be given at a time.")
    return given


def _check(attribute: dict[str, Any]) -> None:
    name, value = attribute["name"], attribute.get("value") or ""
    if _NAME.fullmatch(name) is None:
        raise InvalidParameterException(f"Invalid attribute name {name[:64]!r}.")
    if _reserved(name):
        raise InvalidParameterException(f"The attribute {name} is reserved; only agents register it.")
    if _VALUE.fullmatch(value) is None:
        raise InvalidParameterException(f"Invalid value {value[:64]!r} for the attribute {name}.")


def _reserved(name: str) -> bool:
    return name.startswith(RESERVED)


def _hold_targets(call: Call, given: Sequence[dict[str, Any]]) -> None:
    """A host's attributes are one document, so whoever writes one of them must know the others."""
    hold_hosts(call.session, {_target_id(call, attribute) for attribute in given})


def _target_id(call: Call, attribute: dict[str, Any]) -> str:
    name = resource_name(call, attribute.get("targetId") or "", "container-instance") or ""
    return name.rsplit("/", 1)[-1]


def _find_target(call: Call, cluster: Cluster, attribute: dict[str, Any]) -> ContainerInstance:
    if not attribute.get("targetId"):
        raise InvalidParameterException("The attribute's target must be specified.")
    host = get_container_instance(call.session, _target_id(call, attribute))
    if host is None or host.cluster != cluster.name or host.status == "INACTIVE" or host.capacity_id is not None:
        raise TargetNotFoundException
    return host


def _echo(call: Call, cluster: Cluster, attribute: dict[str, Any]) -> dict[str, str]:
    target = call.arns.container_instance(cluster.name, _target_id(call, attribute))
    return _render(attribute["name"], attribute.get("value") or "", target)


def _render(name: str, value: str, target: str) -> dict[str, str]:
    rendered = {"name": name, "targetType": "container-instance", "targetId": target}
    return {**rendered, "value": value} if value else rendered
