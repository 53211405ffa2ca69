"""Payloads for the official ECS agent: what Berth's own agent sees to by itself is told to it in ECS's own words.

It asks ECR where a container's ``endpointOverride`` says, takes image names as they stand, and leaves ``awslogs`` to
the engine's driver, which knows no prefix of a stream and must be told where the log API is.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from kit.settings import Settings
from orchestrator.agents.payloads import ECR_IMAGE

OWN_ATTRIBUTE = "berth.agent"
ROLE_LOGS = "ecs.capability.execution-role-awslogs"
# Where the official agent asks for authorization tokens. It takes one for the registry of an image only when the two
# agree on ``https``, as they always do in AWS, whatever the engine then speaks.
PULL_PATH = "/ecs-agent"


class Recipient(NamedTuple):
    """What of an agent its payloads depend on."""

    official: bool = False
    # Whether its log driver can be given the task's execution role.
    logs_by_role: bool = False


OWN = Recipient()


def recipient_of(attributes: Iterable[Mapping[str, Any]]) -> Recipient:
    """Who is at a host, by the attributes that its agent registered."""
    names = {attribute["name"] for attribute in attributes}
    return OWN if OWN_ATTRIBUTE in names else Recipient(official=True, logs_by_role=ROLE_LOGS in names)


def fit_payload(payload: Mapping[str, Any], recipient: Recipient, *, settings: Settings) -> dict[str, Any]:
    """A payload's task as its recipient understands it."""
    if not recipient.official:
        return dict(payload)
    by_role = recipient.logs_by_role and "executionRoleCredentials" in payload
    task_id = payload["arn"].rpartition("/")[2]
    containers = [_container(one, task_id, by_role=by_role, settings=settings) for one in payload["containers"]]
    return {**payload, "containers": containers}


def _container(given: Mapping[str, Any], task_id: str, *, by_role: bool, settings: Settings) -> dict[str, Any]:
    container = {**given, "image": ECR_IMAGE.sub(f"{settings.registry}/", given["image"], count=1)}
    login = given.get("registryAuthentication") or {}
    if "ecrAuthData" in login:
        endpoint = f"{settings.api_endpoint.rstrip('/')}{PULL_PATH}"
        container["registryAuthentication"] = {
            **login,
            "ecrAuthData": {**login["ecrAuthData"], "endpointOverride": endpoint},
        }
    host = json.loads(given["dockerConfig"]["hostConfig"])
    log = host.get("LogConfig") or {}
    if log.get("Type") == "awslogs":
        options = _log_options(log.get("Config") or {}, f"{given['name']}/{task_id}", settings)
        told = json.dumps({**host, "LogConfig": {**log, "Config": options}})
        container["dockerConfig"] = {**given["dockerConfig"], "hostConfig": told}
        if by_role:
            container["logsAuthStrategy"] = "ExecutionRole"
    return container


def _log_options(given: Mapping[str, str], place: str, settings: Settings) -> dict[str, str]:
    """The driver's options: ``awslogs-stream-prefix`` is ECS's own, and what is signed is for Berth's region."""
    options = {"awslogs-endpoint": settings.api_endpoint, **given, "awslogs-region": settings.region}
    prefix = options.pop("awslogs-stream-prefix", "")
    return {**options, "awslogs-stream": f"{prefix}/{place}"} if prefix else options
