"""A world for rollouts: carries plans out, lets time pass and checks the promises after every decision."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random

from scheduler.rollout import DeploymentSeen, RolloutPlan, ServiceSeen, TaskSeen, decide, failed_start, is_healthy
from scheduler.rollout.census import is_leaving

START = datetime(2030, 1, 1, tzinfo=UTC)
TICK = timedelta(seconds=5)


@dataclass
class World:
    """One service, the tasks it has, and chance. ``bad`` deployments never get a task to start."""

    service: ServiceSeen
    rng: Random
    now: datetime = START
    bad: set[str] = field(default_factory=set)
    hosts: tuple[str, ...] = ("h1", "h2", "h3")
    trouble: float = 0.0
    ids: count = field(default_factory=lambda: count(1))
    started: list[str] = field(default_factory=list)

    def round(self) -> RolloutPlan:
        """Decide, check, carry out, and let one tick pass."""
        plan = decide(self.service, self.now)
        self.check(plan)
        self.carry_out(plan)
        self.pass_time()
        return plan

    def check(self, plan: RolloutPlan) -> None:
        seen = self.service
        target = len(seen.eligible_hosts) if seen.scheduling_strategy == "DAEMON" else seen.desired
        healthy = {task.id for task in seen.tasks if is_healthy(seen, task, self.now)}
        stopped = {stop.id for stop in plan.stop}
        assert len(stopped) == len(plan.stop), "a task is stopped once"
        assert not stopped & {task.id for task in seen.tasks if is_leaving(task)}, "not one that is leaving"
        if seen.status == "ACTIVE" and healthy & stopped:
            floor = min(target, -(-target * seen.minimum_healthy_percent // 100))
            assert len(healthy - stopped) >= floor, "our own stops never go below minimumHealthyPercent"
        present = sum(task.last_status != "STOPPED" for task in seen.tasks)
        starts = sum(start.count for start in plan.start)
        if starts:
            assert present + starts <= target * seen.maximum_percent // 100, "never above maximumPercent"
        for start in plan.start:
            assert start.count > 0
            assert start.deployment_id == self.primary().id, "only the PRIMARY deployment starts tasks"

    def carry_out(self, plan: RolloutPlan) -> None:
        stopped = {stop.id for stop in plan.stop}
        tasks = [replace(t, desired_status="STOPPED") if t.id in stopped else t for t in self.service.tasks]
        for start in plan.start:
            for number in range(start.count):
                host = start.hosts[number] if start.hosts else None
                task = self.new_task(start.deployment_id, host)
                self.started.append(task.id)
                tasks.append(task)
        deployments = []
        for deployment in self.service.deployments:
            if deployment.id in plan.superseded:
                continue
            if deployment.id in plan.completed:
                deployment = replace(deployment, rollout_state="COMPLETED")
            if deployment.id in plan.failed:
                deployment = replace(deployment, rollout_state="FAILED")
                if plan.rollback_to:
                    deployment = replace(deployment, status="ACTIVE")
            if deployment.id == plan.rollback_to:
                deployment = replace(deployment, status="PRIMARY", rollout_state="IN_PROGRESS", failed_tasks=0)
            deployments.append(deployment)
        last = plan.events[-1] if plan.events else self.service.last_event
        self.service = replace(
            self.service,
            tasks=tuple(tasks),
            deployments=tuple(deployments),
            last_event=last,
            status="INACTIVE" if plan.drained else self.service.status,
        )

    def pass_time(self) -> None:
        self.now += TICK
        tasks = tuple(self.step(task) for task in self.service.tasks)
        for before, after in zip(self.service.tasks, tasks, strict=True):
            if before.last_status != "STOPPED" and after.last_status == "STOPPED":
                self.count_failure(after)
            elif is_healthy(self.service, after, self.now):
                self.reset_failures(after)
        self.service = replace(self.service, tasks=tuple(t for t in tasks if t.last_status != "STOPPED"))

    def step(self, task: TaskSeen) -> TaskSeen:
        """One task moves on by at most one state."""
        stop = replace(task, last_status="STOPPED", stopped_at=self.now)
        if is_leaving(task):
            return stop if self.rng.random() < 0.7 else task
        if self.rng.random() < self.trouble:
            return self.rng.choice([stop, replace(task, healthy=False), replace(task, draining=True)])
        if task.last_status == "PENDING" and self.rng.random() < 0.7:
            if task.deployment_id in self.bad:
                return stop
            host = task.host or self.rng.choice(self.hosts)
            return replace(task, last_status="RUNNING", started_at=self.now, host=host)
        return task

    def new_task(self, deployment_id: str, host: str | None = None) -> TaskSeen:
        return TaskSeen(
            id=f"t{next(self.ids)}",
            deployment_id=deployment_id,
            last_status="PENDING",
            created_at=self.now,
            host=host,
        )

    def primary(self) -> DeploymentSeen:
        return next(one for one in self.service.deployments if one.status == "PRIMARY")

    def deploy(self, deployment_id: str) -> None:
        """A new deployment takes over as PRIMARY."""
        older = tuple(replace(one, status="ACTIVE") for one in self.service.deployments)
        newest = DeploymentSeen(id=deployment_id, status="PRIMARY", created_at=self.now)
        self.service = replace(self.service, deployments=(newest, *older))

    def count_failure(self, task: TaskSeen) -> None:
        if failed_start(task, settle=self.service.settle):
            self._change(task, lambda one: replace(one, failed_tasks=one.failed_tasks + 1, last_failure_at=self.now))

    def reset_failures(self, task: TaskSeen) -> None:
        self._change(task, lambda one: replace(one, failed_tasks=0))

    def _change(self, task: TaskSeen, change) -> None:
        self.service = replace(
            self.service,
            deployments=tuple(change(one) if one.id == task.deployment_id else one for one in self.service.deployments),
        )
