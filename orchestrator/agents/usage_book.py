"""The usage book: what agents publish of their containers' usage, gathered in memory and written once a minute.

What a process has not written when it dies is lost: up to a minute of points, and nothing else. Agents are not
believed: no host can take the others' room in the book, and nothing that one says can keep a minute from being written.
"""

import logging
import re
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ClassVar

from sqlalchemy import select

from kit.clock import Clock
from kit.ids import last_part
from state.base import some
from state.container_instances import ContainerInstance
from state.store import Session, Store, StoreBusy, StoreUnavailable
from state.tasks import Task
from state.usage import MINUTE, PEAKS, SUMS, add_minutes, bucket

log = logging.getLogger(__name__)
# What nonsense may make a process remember: containers of a minute, those of one host, and minutes that could not be
# written, as while the store does not answer.
MOST_CONTAINERS = 200_000
MOST_OF_HOST = 2_000
MOST_MINUTES = 5
# Where a process hears of more, single containers are not kept, but what they come to: a hundred thousand rows a minute
# would keep SQLite's one writer for more than a second, and take more than a gigabyte an hour.
MOST_KEPT = 10_000
LARGEST = 2**62
# Of one subject in one minute, so that the sums of many and of hours fit into their columns.
LARGEST_MOVED, MOST_RESTARTS = 2**50, 2**20
# By how much a clock may be set back before minutes that are written are written again.
SET_BACK = timedelta(minutes=10)
_TASK_ID = re.compile(r"[0-9a-zA-Z-]{1,36}")
_CONTAINER = re.compile(r"[\w-]{1,255}", re.ASCII)
COUNTERS = {
    "rx": ("networkStatsSet", "rxBytes"),
    "tx": ("networkStatsSet", "txBytes"),
    "read": ("storageStatsSet", "readSizeBytes"),
    "written": ("storageStatsSet", "writeSizeBytes"),
}


@dataclass(slots=True)
class _Minute:
    """One container's minute: percentages of its host's CPU and MiB, each as sum, greatest and number of samples."""

    cpu: float = 0.0
    cpu_peak: float = 0.0
    cpu_samples: int = 0
    memory: float = 0.0
    memory_peak: float = 0.0
    memory_samples: int = 0
    restarts: int = 0
    moved: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTERS, 0))


# Host, task and container.
_Key = tuple[str, str, str]


class UsageBook:
    """One for all telemetry sockets of a process; ``note`` is called on any thread, ``step`` by its runner."""

    name: ClassVar[str] = "usage-book"
    every = timedelta(seconds=20)

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[datetime, dict[_Key, _Minute]] = {}
        # How many containers of each host are in each of them.
        self._of_host: dict[datetime, Counter[str]] = {}
        self._counters: dict[_Key, dict[str, int]] = {}
        self._written: datetime | None = None

    def note(self, instance_id: str, message: Mapping[str, Any]) -> None:
        """Take in a ``PublishMetricsRequest``; what makes no sense is passed over."""
        at = bucket(self._clock.now(), MINUTE)
        with self._lock:
            if self._written is not None and at <= self._written < at + SET_BACK:
                # The clock was set back: what is written would be added to.
                return
            minute, of_host = self._open.setdefault(at, {}), self._of_host.setdefault(at, Counter())
            for task in _objects(message, "taskMetrics"):
                task_id = last_part(str(task.get("taskArn", "")))
                for metrics in _objects(task, "containerMetrics"):
                    key = (instance_id, task_id, str(metrics.get("containerName", "")))
                    if key not in minute:
                        full = len(minute) >= MOST_CONTAINERS or of_host[instance_id] >= MOST_OF_HOST
                        if full or not (_TASK_ID.fullmatch(task_id) and _CONTAINER.fullmatch(key[2])):
                            continue
                        of_host[instance_id] += 1
                    self._take(minute.setdefault(key, _Minute()), key, metrics)

    def step(self) -> datetime:
        """Write the minutes that are over."""
        now = self._clock.now()
        current = bucket(now, MINUTE)
        with self._lock:
            # One far ahead was begun before the clock was set back.
            ahead = current + timedelta(seconds=MINUTE)
            over = sorted(at for at in self._open if not current <= at <= ahead)
            for at in over[:-MOST_MINUTES]:
                log.warning("minute of usage lost", extra={"at": at.isoformat()})
                self._drop(at)
        for at in over[-MOST_MINUTES:]:
            minute = self._open[at]
            if minute:
                self._write(at, minute)
            with self._lock:
                self._drop(at)
                self._written = at
                # Counters of containers that were not heard of for a minute are not continued.
                self._counters = {key: known for key, known in self._counters.items() if self._is_fresh(key, minute)}
        return current + timedelta(seconds=MINUTE + 1)

    def _write(self, at: datetime, minute: Mapping[_Key, _Minute]) -> None:
        """Raises StoreBusy and StoreUnavailable: then it can be written later."""
        try:
            self._store.transact(partial(write_minute, at=at, minute=minute))
        except (StoreBusy, StoreUnavailable):
            raise
        except Exception:
            log.exception("minute of usage not written", extra={"at": at.isoformat()})

    def _drop(self, at: datetime) -> None:
        del self._open[at], self._of_host[at]

    def _is_fresh(self, key: _Key, minute: Mapping[_Key, _Minute]) -> bool:
        return key in minute or any(key in other for other in self._open.values())

    def _take(self, minute: _Minute, key: _Key, metrics: Mapping[str, Any]) -> None:
        for name in ("cpu", "memory"):
            found = _stats(metrics.get(f"{name}StatsSet"))
            if found is not None:
                total, peak, samples = found
                setattr(minute, name, getattr(minute, name) + total)
                setattr(minute, f"{name}_peak", max(getattr(minute, f"{name}_peak"), peak))
                setattr(minute, f"{name}_samples", getattr(minute, f"{name}_samples") + samples)
        known = self._counters.setdefault(key, {})
        for name, (holder, member) in COUNTERS.items():
            inside = metrics.get(holder)
            found = _stats(inside.get(member)) if isinstance(inside, Mapping) else None
            if found is not None:
                value = int(found[1])
                before = known.get(name, value)
                # A container that was started again counts from nothing.
                minute.moved[name] += value - before if value >= before else value
                known[name] = value
        restarts = metrics.get("restartStatsSet")
        count = restarts.get("restartCount") if isinstance(restarts, Mapping) else None
        if isinstance(count, int) and 0 <= count < 2**31:
            minute.restarts = max(minute.restarts, count)


def write_minute(session: Session, at: datetime, minute: Mapping[_Key, _Minute]) -> None:
    """Write one minute of this process' containers, and what they come to for services, hosts and clusters."""
    tasks = _tasks(session, sorted({task_id for _, task_id, _ in minute}))
    hosts = _cpu_of_hosts(session, sorted({host for host, _, _ in minute}))
    rows: dict[str, dict[str, Any]] = {}
    reserved: set[tuple[str, str]] = set()
    detailed = len(minute) <= MOST_KEPT
    for (host, task_id, container), seen in minute.items():
        task = tasks.get(task_id)
        # A host speaks of its own tasks alone.
        if task is None or task.container_instance_id != host or host not in hosts:
            continue
        values = _values(seen, hosts[host])
        above = [f"cluster/{task.cluster}", f"host/{host}"]
        if task.service_name:
            above.append(f"service/{task.cluster}/{task.service_name}")
        if detailed:
            _add(rows, f"container/{task.cluster}/{task_id}/{container}", at, values)
        for subject in above:
            _add(rows, subject, at, values)
            if (subject, task_id) not in reserved:
                # Once for a task, whatever the number of its containers.
                reserved.add((subject, task_id))
                more = {"cpu_reserved": task.cpu, "memory_reserved": task.memory, "tasks": 1}
                _add(rows, subject, at, more)
    add_minutes(session, [_bounded(row) for row in rows.values()])


def _values(seen: _Minute, host_cpu: int) -> dict[str, float]:
    unit = host_cpu / 100
    return {
        "cpu": unit * seen.cpu / max(1, seen.cpu_samples),
        "cpu_peak": unit * seen.cpu_peak,
        "memory": seen.memory / max(1, seen.memory_samples),
        "memory_peak": seen.memory_peak,
        "restarts": seen.restarts,
        **seen.moved,
    }


def _add(rows: dict[str, dict[str, Any]], subject: str, at: datetime, values: Mapping[str, float]) -> None:
    row = rows.setdefault(subject, {"subject": subject, "at": at, **dict.fromkeys((*SUMS, *PEAKS), 0)})
    for name, value in values.items():
        row[name] += value


def _bounded(row: dict[str, Any]) -> dict[str, Any]:
    for name in COUNTERS:
        row[name] = min(row[name], LARGEST_MOVED)
    row["restarts"] = min(row["restarts"], MOST_RESTARTS)
    return row


def _tasks(session: Session, ids: Sequence[str]) -> dict[str, Any]:
    columns = (Task.id, Task.cluster, Task.service_name, Task.container_instance_id, Task.cpu, Task.memory)
    return {row.id: row for few in some(ids) for row in session.execute(select(*columns).where(Task.id.in_(few))).all()}


def _cpu_of_hosts(session: Session, ids: Sequence[str]) -> dict[str, int]:
    """The CPU units of the hosts that are not out. Percentages are of the whole machine: its own number of cores, where
    the agent told it."""
    found = {}
    for few in some(ids):
        here = (ContainerInstance.id.in_(few), ContainerInstance.status != "INACTIVE")
        for host in session.scalars(select(ContainerInstance).where(*here)):
            cores = host.attribute("berth.cpus") or ""
            found[host.id] = int(cores) * 1024 if cores.isdecimal() and len(cores) < 6 else host.registered_cpu
    return found


def _stats(found: Any) -> tuple[float, float, int] | None:
    """Sum, greatest and number of samples of a stats set."""
    if not isinstance(found, Mapping):
        return None
    numbers = [
        float(value)
        for value in (found.get("sum"), found.get("max"), found.get("sampleCount", 1))
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < LARGEST
    ]
    return (numbers[0], numbers[1], max(1, int(numbers[2]))) if len(numbers) == 3 else None


def _objects(holder: Mapping[str, Any], member: str) -> list[Mapping[str, Any]]:
    found = holder.get(member)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []
