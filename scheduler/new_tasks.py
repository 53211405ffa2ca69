"""New tasks: what the tasks of one launch have in common, and what each has of its own. Nothing here is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from kit.ids import new_ids
from kit.settings import Settings
from scheduler.placement import Demand, demand_of, share_gpus
from scheduler.task_roles import roles_of
from scheduler.wiring import render_attachment
from state.base import encode_document
from state.task_births import Birth
from state.task_definitions import TaskDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What to launch, as ECS's RunTask says it; members that stay None or empty are not used."""

    cluster: str
    task_definition: TaskDefinition
    launch_type: str  # EC2, FARGATE or EXTERNAL
    group: str | None = None  # default: family:<family>
    started_by: str | None = None
    service_name: str | None = None
    deployment_id: str | None = None
    capacity_provider: str | None = None
    platform_version: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    network_configuration: Mapping[str, Any] | None = None
    extra_environment: Mapping[str, str] = field(default_factory=dict)
    constraints: Sequence[Mapping[str, Any]] = ()
    strategy: Sequence[Mapping[str, Any]] = ()
    tags: Sequence[Mapping[str, Any]] = ()
    enable_execute_command: bool = False
    queued: bool = False  # as of ``Ask``


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskExtra:
    """What one task of a launch has that the others have not."""

    job_id: str | None = None
    extra_environment: Mapping[str, str] = field(default_factory=dict)


PLAIN = TaskExtra()


class Place(NamedTuple):
    """Where a task goes: its host, the GPUs it holds there, and its address on the host's network."""

    host: str
    gpus: tuple[str, ...] = ()
    network: str = ""
    address: str = ""


class Mould:
    """What the tasks of one launch are cast in. Raises the ValueErrors of ``demand_of``."""

    def __init__(self, launch: Launch, *, now: datetime, settings: Settings) -> None:
        definition = launch.task_definition
        self.launch = launch
        self.demand: Demand = demand_of(definition.body, launch.overrides)
        self._environment = {**launch.extra_environment, **_endpoint(settings)}
        self._environment_text = encode_document(self._environment)
        self._containers = [_container(container) for container in definition.body["containerDefinitions"]]
        # Encoded once, with ids that each task's own take the place of.
        self._ids = new_ids(len(self._containers))
        self._containers_text = encode_document(self._numbered(self._ids))
        self.alike: dict[str, Any] = {
            "cluster": launch.cluster,
            "family": definition.family,
            "revision": definition.revision,
            "launch_type": launch.launch_type,
            "capacity_provider": launch.capacity_provider,
            "platform_version": launch.platform_version,
            "group": self.group,
            "started_by": launch.started_by,
            "service_name": launch.service_name,
            "deployment_id": launch.deployment_id,
            "cpu": self.demand.cpu,
            "memory": self.demand.memory,
            "last_status": "PROVISIONING" if launch.launch_type == "FARGATE" else "PENDING",
            "has_roles": bool(roles_of(definition.body, launch.overrides)),
            "overrides": dict(launch.overrides),
            "enable_execute_command": launch.enable_execute_command,
            "network_configuration": dict(launch.network_configuration) if launch.network_configuration else None,
            "tags": [dict(tag) for tag in launch.tags],
            "created_at": now,
        }

    @property
    def group(self) -> str:
        """The group that placement counts the tasks in."""
        return self.launch.group or f"family:{self.launch.task_definition.family}"

    def births(
        self,
        ids: Sequence[str],
        *,
        places: Sequence[Place] = (),
        capacities: Sequence[str] = (),
        extras: Sequence[TaskExtra] = (),
    ) -> list[Birth]:
        """The tasks of these ids, each with the place, the capacity and the extra at its position, where given."""
        count = len(self._ids)
        own = new_ids(count * len(ids))
        births = []
        for at, task_id in enumerate(ids):
            place = places[at] if places else None
            extra = extras[at] if extras else PLAIN
            births.append(
                Birth(
                    task_id,
                    place.host if place else None,
                    capacities[at] if capacities else None,
                    extra.job_id,
                    self._containers_of(own[at * count : (at + 1) * count], place),
                    self._attachments_of(task_id, place),
                    encode_document({**self._environment, **extra.extra_environment})
                    if extra.extra_environment
                    else self._environment_text,
                )
            )
        return births

    def _containers_of(self, ids: Sequence[str], place: Place | None) -> str:
        if place is not None and place.gpus:
            launch = self.launch
            shares = share_gpus(launch.task_definition.body, launch.overrides, place.gpus)
            numbered = self._numbered(ids)
            return encode_document([{**one, "gpuIds": list(shares.get(one["name"], ()))} for one in numbered])
        text = self._containers_text
        for stand_in, container_id in zip(self._ids, ids, strict=True):
            text = text.replace(stand_in, container_id)
        return text

    def _attachments_of(self, task_id: str, place: Place | None) -> str:
        if place is None or not place.address:
            return "[]"
        wanted = self.launch.network_configuration
        return encode_document(
            [render_attachment(task_id, network=place.network, address=place.address, configuration=wanted)]
        )

    def _numbered(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        return [
            {"id": container_id, **container} for container_id, container in zip(ids, self._containers, strict=True)
        ]


def _container(definition: Mapping[str, Any]) -> dict[str, Any]:
    """A container nobody has observed yet."""
    return {
        "name": definition["name"],
        "image": definition["image"],
        **{size: str(definition[size]) for size in ("cpu", "memory", "memoryReservation") if size in definition},
        "lastStatus": "PENDING",
        "healthStatus": "UNKNOWN",
        "networkBindings": [],
        "networkInterfaces": [],
    }


def _endpoint(settings: Settings) -> dict[str, str]:
    if not settings.inject_endpoint:
        return {}
    # boto3 and the CLI look for the region in one variable, the other SDKs in the other.
    regions = {"AWS_REGION": settings.region, "AWS_DEFAULT_REGION": settings.region}
    return {"AWS_ENDPOINT_URL": settings.api_endpoint, **regions}
