"""Promises: what was acknowledged is there, what was asked for once is there once, bounds are kept."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, func, select

from state.firings import Firing
from state.jobs import Job
from state.schedules import Schedule
from state.services import Service
from state.store import Session
from state.tasks import Task
from tests.support.simulation.ledger import Ledger

OVER = ("DEPROVISIONING", "STOPPED")


@dataclass(slots=True)
class Promises:
    """Remembers what it has seen, since some promises are about what is new."""

    ledger: Ledger
    _service_tasks: set[str] = field(default_factory=set)
    _succeeded: dict[str, bool] = field(default_factory=dict)

    def amiss(self, session: Session, tasks: Sequence[Row[Any]]) -> Iterator[str]:
        """Everything that is not as it was promised."""
        yield from self._tasks(tasks)
        yield from self._services(session, tasks)
        yield from self._jobs(session, tasks)
        yield from self._schedules(session, tasks)

    def _tasks(self, tasks: Sequence[Row[Any]]) -> Iterator[str]:
        known = {task.id: task for task in tasks}
        for task_id in sorted(self.ledger.tasks):
            if task_id not in known:
                yield f"task {task_id} was acknowledged and is not there"
        for task_id in sorted(self.ledger.stopped):
            if task_id in known and known[task_id].desired_status != "STOPPED":
                yield f"task {task_id} was to stop, acknowledged, and is not"
        counts = Counter(task.started_by for task in tasks)
        for token, count in self.ledger.launched.items():
            if counts[token] > count:
                yield f"{counts[token]} tasks came of a request for {count} ({token})"

    def _services(self, session: Session, tasks: Sequence[Row[Any]]) -> Iterator[str]:
        """Desired counts as acknowledged; nothing started beyond maximumPercent."""
        own: dict[str, list[Row[Any]]] = defaultdict(list)
        for task in tasks:
            if task.service_name is not None:
                own[task.service_name].append(task)
        rows = session.execute(select(Service.name, Service.desired_count, Service.deployment_configuration)).all()
        there = {row.name: row for row in rows}
        for name, desired in self.ledger.services.items():
            if name not in there:
                yield f"service {name} was acknowledged and is not there"
            elif there[name].desired_count != desired:
                yield f"service {name} was to be {desired}, acknowledged, and is {there[name].desired_count}"
        for name, its in own.items():
            new = {task.id for task in its} - self._service_tasks
            self._service_tasks |= new
            wanted = sum(task.desired_status == "RUNNING" for task in its)
            row = there[name]
            most = row.desired_count * row.deployment_configuration["maximumPercent"] // 100
            if new and wanted > most:
                yield f"service {name} started {len(new)} and has {wanted} tasks, where {most} are its most"

    def _jobs(self, session: Session, tasks: Sequence[Row[Any]]) -> Iterator[str]:
        """An attempt at a time, as many as were allowed, and one success."""
        attempts: Counter[str] = Counter()
        live: Counter[str] = Counter()
        all_of: Counter[str] = Counter()
        successes: Counter[str] = Counter()
        unknown = [task.id for task in tasks if task.job_id and task.last_status in OVER]
        unknown = [task_id for task_id in unknown if task_id not in self._succeeded]
        if unknown:
            for task_id, containers in session.execute(select(Task.id, Task.containers).where(Task.id.in_(unknown))):
                self._succeeded[task_id] = all(container.get("exitCode") == 0 for container in containers)
        for task in tasks:
            if task.job_id:
                job = task.job_id.partition("/")[0]
                attempts[task.job_id] += 1
                all_of[job] += 1
                live[job] += task.last_status not in OVER
                successes[job] += self._succeeded.get(task.id, False)
        yield from (f"attempt {attempt} has {count} tasks" for attempt, count in attempts.items() if count > 1)
        yield from (f"job {job} has {count} tasks at once" for job, count in live.items() if count > 1)
        yield from (f"job {job} succeeded {count} times" for job, count in successes.items() if count > 1)
        for job, count in all_of.items():
            asked = self.ledger.jobs.get(job.partition(":")[0])
            if asked is not None and count > asked.attempts:
                yield f"job {job} was attempted {count} times, where {asked.attempts} were allowed"
        rows = session.execute(select(Job.id, Job.status, Job.array_id, Job.array_size)).all()
        there = {row.id for row in rows}
        children = Counter(row.array_id for row in rows if row.array_id)
        for row in rows:
            if row.status == "SUCCEEDED" and row.array_size is None and successes[row.id] != 1:
                yield f"job {row.id} is SUCCEEDED by {successes[row.id]} tasks"
        for job, asked in self.ledger.jobs.items():
            if job not in there:
                yield f"job {job} was acknowledged and is not there"
            elif children[job] != asked.size:
                yield f"job {job} has {children[job]} children, not {asked.size}"

    def _schedules(self, session: Session, tasks: Sequence[Row[Any]]) -> Iterator[str]:
        """Each firing ran its task, once."""
        ran = Counter(str(task.started_by).rpartition("/")[2] for task in tasks if "schedule/" in str(task.started_by))
        fired = {
            arn.rpartition("/")[2]: count
            for arn, count in session.execute(
                select(Firing.schedule_arn, func.count())
                .where(Firing.status == "SUCCEEDED")
                .group_by(Firing.schedule_arn)
            )
        }
        for name in sorted(ran.keys() | fired.keys()):
            if ran[name] != fired.get(name, 0):
                yield f"schedule {name} fired {fired.get(name, 0)} times and ran {ran[name]} tasks"
        there = set(session.scalars(select(Schedule.name)))
        yield from (
            f"schedule {name} was acknowledged and is not there" for name in sorted(self.ledger.schedules - there)
        )
