"""What running containers use, as the telemetry protocol wants it: one sample per container and publication."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent.runtime import Runtime, RuntimeTrouble, Usage
from agent.tasks.model import Container, Phase, Task

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Sample:
    at: datetime
    usage: Usage


class UsageMeter:
    """Remembers the last sample of each container, so that counters become rates."""

    def __init__(self, *, runtime: Runtime, cpus: int) -> None:
        self._runtime = runtime
        self._cpus = max(1, cpus)
        self._last: dict[str, _Sample] = {}

    def measure(self, tasks: Iterable[Task], now: datetime) -> list[dict[str, Any]]:
        """``taskMetrics``; empty when nothing runs. Containers that cannot be measured are left out."""
        seen: dict[str, _Sample] = {}
        rendered = []
        for task in tasks:
            containers = [
                metrics
                for container in task.visible
                if container.phase is Phase.RUNNING and (metrics := self._container(task, container, now, seen))
            ]
            if containers:
                rendered.append(
                    {
                        "taskArn": task.arn,
                        "taskDefinitionFamily": task.spec.family,
                        "taskDefinitionVersion": task.spec.version,
                        "containerMetrics": containers,
                    }
                )
        self._last = seen
        return rendered

    def _container(
        self, task: Task, container: Container, now: datetime, seen: dict[str, _Sample]
    ) -> dict[str, Any] | None:
        try:
            usage = self._runtime.stats(container.runtime_id)
        except RuntimeTrouble:
            return None
        before = self._last.get(container.runtime_id)
        seen[container.runtime_id] = _Sample(now, usage)
        rendered: dict[str, Any] = {
            "containerName": container.name,
            "memoryStatsSet": _set(usage.memory_bytes / MIB),
            "networkStatsSet": {
                "rxBytes": _set(usage.rx_bytes // task.sharers),
                "txBytes": _set(usage.tx_bytes // task.sharers),
            },
            "storageStatsSet": {
                "readSizeBytes": _set(usage.read_bytes),
                "writeSizeBytes": _set(usage.write_bytes),
            },
        }
        if container.spec.restart:
            rendered["restartStatsSet"] = {"restartCount": container.restart_count}
        if before and now > before.at:
            spent = (usage.cpu_ns - before.usage.cpu_ns) / 1e9 / (now - before.at).total_seconds()
            # As the ECS agent counts: per cent of the whole host.
            rendered["cpuStatsSet"] = _set(max(0.0, 100 * spent / self._cpus))
        return rendered


def _set(value: float) -> dict[str, Any]:
    return {"min": value, "max": value, "sum": value, "sampleCount": 1}
