"""Services: a wanted number of tasks of one task definition, and the deployments that get them there."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, delete, false, select
from sqlalchemy.orm import Mapped, Session, mapped_column
from sqlalchemy.orm.attributes import flag_modified

from kit.ids import new_uuid
from kit.lifecycle import Lifecycle
from state.base import Base, Moves, Serial

SERVICE = Lifecycle("service", {"ACTIVE": ("DRAINING", "INACTIVE"), "DRAINING": ("INACTIVE",), "INACTIVE": ("ACTIVE",)})
DEPLOYMENT = Lifecycle(
    "deployment",
    {"IN_PROGRESS": ("COMPLETED", "FAILED"), "COMPLETED": ("IN_PROGRESS",), "FAILED": ()},
)
EVENTS_SHOWN = 100


class Service(Moves, Base):
    """One service. The API writes the wishes; the services loop writes ``status`` INACTIVE and ``steady_at``."""

    __tablename__ = "services"
    lifecycle = SERVICE

    cluster: Mapped[str] = mapped_column(ForeignKey("clusters.name"), primary_key=True)
    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    status: Mapped[str] = mapped_column(String(20), default="ACTIVE")
    family: Mapped[str] = mapped_column(String(255))
    revision: Mapped[int]
    desired_count: Mapped[int]
    launch_type: Mapped[str] = mapped_column(String(20))
    capacity_provider_strategy: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    platform_version: Mapped[str | None] = mapped_column(String(40))
    scheduling_strategy: Mapped[str] = mapped_column(String(20), default="REPLICA")
    # minimumHealthyPercent, maximumPercent, deploymentCircuitBreaker… as ECS spells them, defaults filled in.
    deployment_configuration: Mapped[dict[str, Any]]
    placement_constraints: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    placement_strategy: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    network_configuration: Mapped[dict[str, Any] | None]
    health_check_grace_seconds: Mapped[int | None]
    # ENABLED or DISABLED: whether the loop moves tasks to keep them even over availability zones.
    availability_zone_rebalancing: Mapped[str] = mapped_column(String(20), default="DISABLED")
    propagate_tags: Mapped[str] = mapped_column(String(20), default="NONE")
    enable_ecs_managed_tags: Mapped[bool] = mapped_column(default=False)
    enable_execute_command: Mapped[bool] = mapped_column(default=False, server_default=false())
    tags: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(400))
    # When the loop last said "has reached a steady state" with nothing changed since.
    steady_at: Mapped[datetime | None]
    # The message of its latest event, so that the loop says nothing twice in a row.
    last_event: Mapped[str | None]
    version: Mapped[int] = mapped_column(default=1)

    __mapper_args__ = {"version_id_col": version}

    def event_name(self) -> str:
        return f"service/{self.cluster}/{self.name}"

    def touch(self) -> None:
        """Have ``version`` grow though no column changes: whoever saw the service before acts on old sight."""
        flag_modified(self, "steady_at")


class Deployment(Moves, Base):
    """One rollout of a service; exactly one is PRIMARY. ``rollout_state`` is written by the services loop."""

    __tablename__ = "deployments"
    __table_args__ = (Index("ix_deployments_service", "cluster", "service_name"),)
    lifecycle = DEPLOYMENT
    status_column = "rollout_state"

    id: Mapped[str] = mapped_column(String(60), primary_key=True)
    cluster: Mapped[str] = mapped_column(String(255))
    service_name: Mapped[str] = mapped_column(String(255))
    # PRIMARY, ACTIVE (being replaced) or INACTIVE (gone from DescribeServices).
    status: Mapped[str] = mapped_column(String(20))
    rollout_state: Mapped[str] = mapped_column(String(20), default="IN_PROGRESS")
    rollout_state_reason: Mapped[str]
    family: Mapped[str] = mapped_column(String(255))
    revision: Mapped[int]
    desired_count: Mapped[int]
    failed_tasks: Mapped[int] = mapped_column(default=0)
    launch_type: Mapped[str] = mapped_column(String(20))
    capacity_provider_strategy: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    platform_version: Mapped[str | None] = mapped_column(String(40))
    network_configuration: Mapped[dict[str, Any] | None]
    # The latest of the failed starts in ``failed_tasks``: starts pause after several of them.
    last_failure_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    def event_name(self) -> str:
        return f"deployment/{self.id}"


class ServiceEvent(Base):
    """One line of a service's ``events[]``, newest 100 shown."""

    __tablename__ = "service_events"
    __table_args__ = (Index("ix_service_events_service", "cluster", "service_name", "number"),)

    number: Mapped[int] = mapped_column(Serial, primary_key=True)
    id: Mapped[str] = mapped_column(String(36))
    cluster: Mapped[str] = mapped_column(String(255))
    service_name: Mapped[str] = mapped_column(String(255))
    at: Mapped[datetime]
    message: Mapped[str]


def get_service(session: Session, cluster: str, name: str) -> Service | None:
    return session.get(Service, (cluster, name))


def list_deployments(session: Session, cluster: str, name: str) -> Sequence[Deployment]:
    """The service's deployments that still count, the PRIMARY one first, then the newest."""
    return list_deployments_of(session, cluster, (name,)).get(name, ())


def list_deployments_of(session: Session, cluster: str, names: Collection[str]) -> Mapping[str, Sequence[Deployment]]:
    """The deployments that still count of the named services, each service's in the order of ``list_deployments``."""
    rows = session.scalars(
        select(Deployment)
        .where(Deployment.cluster == cluster, Deployment.service_name.in_(names), Deployment.status != "INACTIVE")
        .order_by(Deployment.created_at.desc(), Deployment.id)
    )
    found: dict[str, list[Deployment]] = {}
    for row in sorted(rows, key=lambda deployment: deployment.status != "PRIMARY"):
        found.setdefault(row.service_name, []).append(row)
    return found


def lock_service(session: Session, service: Service) -> None:
    """Hold the service's row until the transaction ends, and read it anew: its deployments change one at a time."""
    session.refresh(service, with_for_update=True)


def get_services(session: Session, cluster: str, names: Collection[str]) -> Mapping[str, Service]:
    """The cluster's named services that exist, INACTIVE ones too, by name."""
    rows = session.scalars(select(Service).where(Service.cluster == cluster, Service.name.in_(names)))
    return {row.name: row for row in rows}


def list_service_names(
    session: Session,
    cluster: str,
    *,
    launch_type: str | None = None,
    scheduling_strategy: str | None = None,
    after: str | None,
    limit: int,
) -> Sequence[str]:
    """Names behind ``after``, in order, of the cluster's services that are not INACTIVE."""
    names = select(Service.name).where(
        Service.cluster == cluster, Service.status != "INACTIVE", Service.name > (after or "")
    )
    if launch_type is not None:
        names = names.where(Service.launch_type == launch_type)
    if scheduling_strategy is not None:
        names = names.where(Service.scheduling_strategy == scheduling_strategy)
    return session.scalars(names.order_by(Service.name).limit(limit)).all()


def list_events(session: Session, cluster: str, name: str, *, limit: int = EVENTS_SHOWN) -> Sequence[ServiceEvent]:
    """The service's events, newest first."""
    return session.scalars(
        select(ServiceEvent)
        .where(ServiceEvent.cluster == cluster, ServiceEvent.service_name == name)
        .order_by(ServiceEvent.number.desc())
        .limit(limit)
    ).all()


def tell(session: Session, service: Service, messages: Sequence[str], *, at: datetime) -> None:
    """Append events to the service and drop those that are never shown again."""
    if not messages:
        return
    own = (ServiceEvent.cluster == service.cluster, ServiceEvent.service_name == service.name)
    for message in messages:
        event = ServiceEvent(id=new_uuid(), cluster=service.cluster, service_name=service.name, at=at, message=message)
        session.add(event)
        # One at a time: the database numbers them in the order they were said.
        session.flush()
    service.last_event = messages[-1]
    oldest = select(ServiceEvent.number).where(*own).order_by(ServiceEvent.number.desc()).offset(EVENTS_SHOWN).limit(1)
    session.execute(
        delete(ServiceEvent)
        .where(*own, ServiceEvent.number <= oldest.scalar_subquery())
        .execution_options(synchronize_session=False)
    )


def forget_deployments(session: Session, cluster: str, name: str, *, before: datetime) -> None:
    """Drop the service's deployments that have been INACTIVE since before that instant."""
    session.execute(
        delete(Deployment)
        .where(
            Deployment.cluster == cluster,
            Deployment.service_name == name,
            Deployment.status == "INACTIVE",
            Deployment.updated_at < before,
        )
        .execution_options(synchronize_session=False)
    )


def forget_past(session: Session, cluster: str, name: str) -> None:
    """Drop the events and deployments of a deleted service whose name is used again."""
    for row in (ServiceEvent, Deployment):
        session.execute(
            delete(row)
            .where(row.cluster == cluster, row.service_name == name)
            .execution_options(synchronize_session=False)
        )


def providers_in_use(session: Session, cluster: str) -> set[str]:
    """Capacity providers that the cluster's services name."""
    strategies = session.scalars(
        select(Service.capacity_provider_strategy).where(Service.cluster == cluster, Service.status != "INACTIVE")
    )
    return {item["capacityProvider"] for strategy in strategies for item in strategy}
