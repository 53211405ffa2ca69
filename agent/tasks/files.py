"""What the agent remembers of its tasks: one file of mode 0600 per task, and the names of those that ended.

A file is replaced in one step, so a reader sees the old text or the new. An acknowledged payload is on the
disk before the acknowledgement leaves; a task whose end was acknowledged leaves its name, so that a repeated
payload does not run it again.
"""

import contextlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from agent.log import facts
from agent.runtime import Health, PortBinding
from agent.tasks.model import Container, Phase, Task, task_of
from agent.tasks.payload import read_task
from agent.tasks.reading import BadPayload
from agent.tasks.spec import Desired
from kit.files import append_private, write_private
from kit.folders import make_folder

ENDED_KEPT = 2000
KEPT_OF_KEYS = ("credentialsId", "roleArn", "expiration")

log = facts(__name__)


class TaskFiles:
    """The directory ``tasks`` of the agent's data, one ``<task id>.json`` each."""

    def __init__(self, data: Path) -> None:
        self._directory = data / "tasks"
        make_folder(self._directory)
        self._ended_path = data / "ended"
        self._ended = self._read_ended()

    def save(self, task: Task, raw: Any, *, sync: bool) -> None:
        """Keep the payload and what is known of the task."""
        kept = {"seq": task.spec.seq, "cluster": task.spec.cluster, "payload": without_keys(raw), "state": _state(task)}
        write_private(self._path(task), json.dumps(kept), sync=sync)

    def load(self) -> list[tuple[Task, Any]]:
        """Every task kept, each with its payload. A file nobody can read is set aside, not lost."""
        found = []
        for path in sorted(self._directory.glob("*.json")):
            try:
                kept = json.loads(path.read_text())
                spec = read_task(kept["payload"], seq=int(kept["seq"]), cluster=kept["cluster"])
                task = task_of(spec)
                _restore(task, kept["state"])
            except (BadPayload, ValueError, KeyError, TypeError) as error:
                log.error("task file unreadable", path=path.name, because=str(error))
                path.replace(path.with_suffix(".unreadable"))
                continue
            found.append((task, kept["payload"]))
        return found

    def end(self, task: Task) -> None:
        """Forget the task but for its name."""
        self._ended[task.arn] = None
        with append_private(self._ended_path) as file:
            file.write(f"{task.arn}\n".encode())
        self._path(task).unlink(missing_ok=True)
        if len(self._ended) > 2 * ENDED_KEPT:
            self._ended = dict.fromkeys(list(self._ended)[-ENDED_KEPT:])
            write_private(self._ended_path, "".join(f"{arn}\n" for arn in self._ended))

    def has_ended(self, arn: str) -> bool:
        return arn in self._ended

    def _path(self, task: Task) -> Path:
        return self._directory / f"{task.spec.id}.json"

    def _read_ended(self) -> dict[str, None]:
        with contextlib.suppress(FileNotFoundError):
            return dict.fromkeys(self._ended_path.read_text().split())
        return {}


def without_keys(raw: Any) -> Any:
    """The payload as it is kept: of the execution role's credentials only which they are."""
    if not isinstance(raw, dict) or not isinstance(raw.get("executionRoleCredentials"), dict):
        return raw
    role = {name: value for name, value in raw["executionRoleCredentials"].items() if name in KEPT_OF_KEYS}
    return {**raw, "executionRoleCredentials": role}


def _state(task: Task) -> dict[str, Any]:
    return {
        "desired": task.desired,
        "reason": task.reason,
        "pullStartedAt": _instant(task.pull_started_at),
        "pullStoppedAt": _instant(task.pull_stopped_at),
        "stoppedAt": _instant(task.stopped_at),
        "containers": {c.name: _container_state(c) for c in task.containers.values()},
    }


def _container_state(container: Container) -> dict[str, Any]:
    return {
        "phase": container.phase,
        "runtimeId": container.runtime_id,
        "exitCode": container.exit_code,
        "reason": container.reason,
        "digest": container.digest,
        "health": container.health,
        "healthSince": _instant(container.health_since),
        "bindings": [[b.container_port, b.host_port, b.protocol, b.bind_ip] for b in container.bindings],
        "startedAt": _instant(container.started_at),
        "finishedAt": _instant(container.finished_at),
        "logged": container.logged,
        "restartCount": container.restart_count,
        "endedAt": _instant(container.ended_at),
        "stopBegunAt": _instant(container.stop_begun_at),
    }


def _restore(task: Task, state: dict[str, Any]) -> None:
    task.desired = Desired(state["desired"])
    task.reason = state["reason"]
    task.pull_started_at = _moment(state["pullStartedAt"])
    task.pull_stopped_at = _moment(state["pullStoppedAt"])
    task.stopped_at = _moment(state["stoppedAt"])
    for name, known in state["containers"].items():
        container = task.containers[name]
        container.phase = Phase(known["phase"])
        container.runtime_id = known["runtimeId"]
        container.exit_code = known["exitCode"]
        container.reason = known["reason"]
        container.digest = known["digest"]
        container.health = Health(known["health"]) if known["health"] else None
        container.health_since = _moment(known["healthSince"])
        container.bindings = tuple(
            PortBinding(container_port=c, host_port=h, protocol=p, bind_ip=ip) for c, h, p, ip in known["bindings"]
        )
        container.started_at = _moment(known["startedAt"])
        container.finished_at = _moment(known["finishedAt"])
        container.logged = known["logged"]
        container.restart_count = known.get("restartCount", 0)
        container.ended_at = _moment(known.get("endedAt"))
        container.stop_begun_at = _moment(known.get("stopBegunAt"))


def _instant(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
