"""What the control plane is told of a task: absolute values, the newest of which replaces all before."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent.runtime import PortBinding
from agent.tasks.bindings import fold, render_binding
from agent.tasks.model import Container, Phase, Task

ECS_REASON_MOST = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerReport:
    name: str
    status: Phase
    runtime_id: str = ""
    digest: str = ""
    exit_code: int | None = None
    reason: str = ""
    bindings: tuple[PortBinding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A task's state as ``SubmitTaskStateChange`` carries it."""

    task: str
    cluster: str
    status: Phase
    reason: str = ""
    containers: tuple[ContainerReport, ...] = ()
    pull_started_at: datetime | None = None
    pull_stopped_at: datetime | None = None
    stopped_at: datetime | None = None


def report_of(task: Task) -> Report:
    """The task as it stands."""
    return Report(
        task=task.arn,
        cluster=task.spec.cluster,
        status=task.status,
        reason=task.reason[:ECS_REASON_MOST],
        containers=tuple(_container(c) for c in task.visible),
        pull_started_at=task.pull_started_at,
        pull_stopped_at=task.pull_stopped_at,
        stopped_at=task.stopped_at,
    )


def worth_sending(report: Report) -> bool:
    """A task of which nothing has started is not news: the control plane knows it as PENDING."""
    return report.status is not Phase.PENDING or any(c.status is not Phase.PENDING for c in report.containers)


def render_report(report: Report) -> dict[str, Any]:
    """The members of ``SubmitTaskStateChange``."""
    body: dict[str, Any] = {
        "cluster": report.cluster,
        "task": report.task,
        "status": report.status.value,
        "containers": [_render(c) for c in report.containers if c.status is not Phase.PENDING],
    }
    if report.reason:
        body["reason"] = report.reason
    for name, at in (
        ("pullStartedAt", report.pull_started_at),
        ("pullStoppedAt", report.pull_stopped_at),
        ("executionStoppedAt", report.stopped_at),
    ):
        if at:
            body[name] = at.timestamp()
    return body


def render_container_change(report: Report, container: ContainerReport) -> dict[str, Any]:
    """The members of ``SubmitContainerStateChange``."""
    return {"cluster": report.cluster, "task": report.task, **_render(container)}


def changed_containers(before: Report | None, after: Report) -> tuple[ContainerReport, ...]:
    """The containers of ``after`` that are news to who has seen ``before``."""
    known = set(before.containers) if before else set()
    return tuple(c for c in after.containers if c not in known and c.status is not Phase.PENDING)


def _container(container: Container) -> ContainerReport:
    phase = container.phase
    bindings = fold(container.bindings, container.spec.port_mappings)
    if phase is Phase.STOPPED and not container.settled:
        # Its log is still being shipped: whoever reads STOPPED may read the whole log.
        phase = Phase.RUNNING if container.started_at else Phase.PENDING
        return ContainerReport(
            name=container.name,
            status=phase,
            runtime_id=container.runtime_id,
            digest=container.digest,
            bindings=bindings,
        )
    return ContainerReport(
        name=container.name,
        status=phase,
        runtime_id=container.runtime_id,
        digest=container.digest,
        exit_code=container.exit_code,
        reason=container.reason[:ECS_REASON_MOST],
        bindings=bindings,
    )


def _render(container: ContainerReport) -> dict[str, Any]:
    rendered: dict[str, Any] = {"containerName": container.name, "status": container.status.value}
    if container.runtime_id:
        rendered["runtimeId"] = container.runtime_id
    if container.digest:
        rendered["imageDigest"] = container.digest
    if container.exit_code is not None:
        rendered["exitCode"] = container.exit_code
    if container.reason:
        rendered["reason"] = container.reason
    if container.bindings:
        rendered["networkBindings"] = [render_binding(binding) for binding in container.bindings]
    return rendered
