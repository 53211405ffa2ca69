"""Joining the cluster: what this host offers, RegisterContainerInstance, and where the two sockets are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agent import version
from agent.control.aws import ApiError, Calls
from agent.identity import Identity, IdentityFile
from agent.log import facts
from agent.runtime import EngineInfo

ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
CAPABILITIES = (
    "com.amazonaws.ecs.capability.docker-remote-api.1.17",
    "com.amazonaws.ecs.capability.docker-remote-api.1.18",
    "com.amazonaws.ecs.capability.docker-remote-api.1.19",
    "com.amazonaws.ecs.capability.docker-remote-api.1.21",
    "com.amazonaws.ecs.capability.docker-remote-api.1.24",
    "com.amazonaws.ecs.capability.docker-remote-api.1.25",
    "com.amazonaws.ecs.capability.docker-remote-api.1.29",
    "com.amazonaws.ecs.capability.docker-remote-api.1.32",
    "com.amazonaws.ecs.capability.ecr-auth",
    "com.amazonaws.ecs.capability.logging-driver.awslogs",
    "com.amazonaws.ecs.capability.logging-driver.json-file",
    "com.amazonaws.ecs.capability.logging-driver.none",
    "com.amazonaws.ecs.capability.logging-driver.syslog",
    "com.amazonaws.ecs.capability.logging-driver.journald",
    "com.amazonaws.ecs.capability.logging-driver.gelf",
    "com.amazonaws.ecs.capability.logging-driver.fluentd",
    "com.amazonaws.ecs.capability.logging-driver.splunk",
    "com.amazonaws.ecs.capability.logging-driver.awsfirelens",
    "com.amazonaws.ecs.capability.privileged-container",
    "ecs.capability.execution-role-awslogs",
    "ecs.capability.execution-role-ecr-pull",
    "ecs.capability.container-health-check",
    "ecs.capability.container-ordering",
    "ecs.capability.container-restart-policy",
    "ecs.capability.env-files.s3",
    "ecs.capability.firelens.fluentbit",
    "ecs.capability.firelens.fluentd",
    "ecs.capability.firelens.options.config.file",
    "ecs.capability.firelens.options.config.s3",
    "ecs.capability.logging-driver.awsfirelens.log-driver-buffer-limit",
    "ecs.capability.network.container-port-range",
    "ecs.capability.pid-ipc-namespace-sharing",
    "ecs.capability.private-registry-authentication.secretsmanager",
    "ecs.capability.secrets.asm.bootstrap.log-driver",
    "ecs.capability.secrets.asm.environment-variables",
    "ecs.capability.secrets.ssm.bootstrap.log-driver",
    "ecs.capability.secrets.ssm.environment-variables",
    "ecs.capability.docker-plugin.local",
    "ecs.capability.logging-driver.awslogs.log-driver-buffer-size",
    "ecs.capability.task-cpu-mem-limit",
    "ecs.capability.task-eni",
)
# The token that makes a repeated registration the same one. ECS's public model of the call has no member for it, and
# whoever decodes by that model never sees ``clientToken``; an attribute arrives everywhere.
REGISTRATION_ATTRIBUTE = "berth.registration"
LARGEST_INTEGER = 2**31 - 1
GONE_CODES = ("ClientException", "InvalidParameterException", "ResourceNotFoundException")

log = facts(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What this host offers: ``cpu`` in units of 1/1024 vCPU, ``memory`` in MiB, GPUs, amounts of named resources;
    and ports that are taken."""

    cpu: int
    memory: int
    reserved_ports: tuple[int, ...] = ()
    gpus: tuple[str, ...] = ()
    resources: Mapping[str, int] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """Where the sockets are: ``agent`` for payloads, ``telemetry`` for metrics and health."""

    agent: str
    telemetry: str


class NoCluster(Exception):
    """The cluster that this host is to join is not there; asking again would not make it."""


def register(aws: Calls, identity: Identity, file: IdentityFile, offer: Offer, engine: EngineInfo) -> Identity:
    """Register, again under the same ARN after a restart. Raises NoCluster, ApiError, Unreachable."""
    try:
        answer = aws.call("ecs", "RegisterContainerInstance", render_registration(identity, offer, engine))
    except ApiError as error:
        if error.code == "ClusterNotFoundException" and identity.cluster == "default":
            aws.call("ecs", "CreateCluster", {"clusterName": "default"})
            return register(aws, identity, file, offer, engine)
        if error.code == "ClusterNotFoundException":
            raise NoCluster(
                f"cluster {identity.cluster} is not found (ClusterNotFoundException): create it with"
                f" 'aws ecs create-cluster --cluster-name {identity.cluster}', or name another by --cluster"
            ) from error
        # Who has a new key of its own is a new host: the old name belongs to the old key.
        if identity.container_instance and (_forgotten(error) or error.code == "AccessDeniedException"):
            log.warning("old registration refused", was=identity.container_instance, because=str(error))
            return register(aws, file.anew(identity), file, offer, engine)
        raise
    arn = str(answer["containerInstance"]["containerInstanceArn"])
    log.info("registered", container_instance=arn, cluster=identity.cluster)
    return file.registered(identity, arn, _zone(answer["containerInstance"]))


def _zone(container_instance: Mapping[str, Any]) -> str:
    """The availability zone that the control plane gave this host."""
    attributes = container_instance.get("attributes") or ()
    return next((str(a.get("value") or "") for a in attributes if a.get("name") == "ecs.availability-zone"), "")


def _forgotten(error: ApiError) -> bool:
    """Whether the old registration is gone; any other refusal, such as of a size, must not make a second instance."""
    return error.code in GONE_CODES and ("not found" in error.message or "INACTIVE" in error.message)


def discover(aws: Calls, identity: Identity) -> Doors:
    """Ask where the sockets are. Raises ApiError, Unreachable."""
    answer = aws.call(
        "ecs",
        "DiscoverPollEndpoint",
        {"containerInstance": identity.container_instance, "cluster": identity.cluster},
    )
    agent = str(answer["endpoint"])
    return Doors(agent=agent, telemetry=str(answer.get("telemetryEndpoint") or agent))


def render_registration(identity: Identity, offer: Offer, engine: EngineInfo) -> dict[str, Any]:
    """The members of ``RegisterContainerInstance``."""
    attributes = {
        **dict.fromkeys(CAPABILITIES, ""),
        "ecs.os-type": "linux",
        REGISTRATION_ATTRIBUTE: identity.token,
        "ecs.cpu-architecture": ARCHITECTURES.get(engine.architecture, engine.architecture),
        **offer.attributes,
    }
    body: dict[str, Any] = {
        "cluster": identity.cluster,
        "clientToken": identity.token,
        "versionInfo": {
            "agentVersion": version.AGENT_VERSION,
            "agentHash": version.AGENT_HASH,
            "dockerVersion": f"DockerVersion: {engine.version}",
        },
        "totalResources": [
            {"name": "CPU", "type": "INTEGER", "integerValue": offer.cpu},
            {"name": "MEMORY", "type": "INTEGER", "integerValue": offer.memory},
            {
                "name": "PORTS",
                "type": "STRINGSET",
                "stringSetValue": [str(port) for port in offer.reserved_ports],
            },
            {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": []},
            *([{"name": "GPU", "type": "STRINGSET", "stringSetValue": list(offer.gpus)}] if offer.gpus else ()),
            *(_amount(name, amount) for name, amount in offer.resources.items()),
        ],
        "attributes": [
            {"name": name, "value": value} if value else {"name": name} for name, value in attributes.items()
        ],
    }
    if identity.container_instance:
        body["containerInstanceArn"] = identity.container_instance
    return body


def _amount(name: str, amount: int) -> dict[str, Any]:
    kind, member = ("INTEGER", "integerValue") if amount <= LARGEST_INTEGER else ("LONG", "longValue")
    return {"name": name, "type": kind, member: amount}
