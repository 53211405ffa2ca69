"""The user: calls the API at random, repeats what got no answer, and remembers what was acknowledged."""

from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any, Protocol

from agent.control.aws import Unreachable
from agent.runtime.simulated import Program
from kit.ids import last_part
from tests.support.simulation.ledger import Ledger
from tests.support.simulation.requests import Refused

PROGRAMS = {
    "forever": Program(),
    "soon": Program(lasts=timedelta(seconds=4)),
    "later": Program(lasts=timedelta(seconds=45)),
    "failing": Program(lasts=timedelta(seconds=2), exit_code=3),
    "broken": Program(start_error="exec: no such file"),
    "stubborn": Program(lasts=timedelta(seconds=90), heeds_term=False),
}
ATTEMPTS = 8


class Calls(Protocol):
    """How the user reaches the control plane: answers, or raises Refused or Unreachable."""

    def __call__(self, service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]: ...


class User:
    """One person's wishes. ``act`` does one of them."""

    def __init__(self, call: Calls, chance: Random, ledger: Ledger, note: Callable[[str], None]) -> None:
        self._call_once = call
        self._chance = chance
        self._ledger = ledger
        self._note = note
        self._tokens = 0
        self.definitions: list[str] = []

    def prepare(self) -> None:
        """Register what later wishes need; nothing goes wrong yet."""
        for image in PROGRAMS:
            for name, members in (
                ("small", {"cpu": 128, "memory": 128}),
                ("large", {"cpu": 512, "memory": 700}),
                ("port", {"cpu": 64, "memory": 64, "portMappings": [{"containerPort": 80, "hostPort": 8080}]}),
            ):
                container = {"name": "main", "image": image, "essential": True, **members}
                made = self.call(
                    "ecs",
                    "RegisterTaskDefinition",
                    {"family": f"{name}-{image}", "containerDefinitions": [container]},
                )
                self.definitions.append(made["taskDefinition"]["taskDefinitionArn"])

    def act(self) -> None:
        """One wish."""
        wish = self._chance.choice([self.run_tasks, self.run_tasks, self.stop_task])
        try:
            wish()
        except Refused as refused:
            self._note(f"user: {wish.__name__} refused: {refused}")
        except Unreachable:
            self._note(f"user: {wish.__name__} never answered")

    def run_tasks(self) -> None:
        token = self._token()
        count = self._chance.choice((1, 1, 2, 3))
        definition = self._chance.choice(self.definitions)
        request: dict[str, Any] = {
            "taskDefinition": definition,
            "count": count,
            "clientToken": token,
            "startedBy": token,
        }
        if self._chance.random() < 0.2:
            request["placementConstraints"] = [{"type": "distinctInstance"}]
        if self._chance.random() < 0.3:
            request["placementStrategy"] = [
                self._chance.choice([{"type": "binpack", "field": "memory"}, {"type": "spread", "field": "instanceId"}])
            ]
        self._ledger.launched[token] = count
        answer = self.call("ecs", "RunTask", request)
        tasks = [last_part(task["taskArn"]) for task in answer["tasks"]]
        self._note(f"user: RunTask {last_part(definition)} × {count} → {[t[:6] for t in tasks]}")
        self._ledger.tasks.update(tasks)

    def stop_task(self) -> None:
        running = sorted(self._ledger.tasks - self._ledger.stopped)
        if running:
            task = self._chance.choice(running)
            answer = self.call("ecs", "StopTask", {"task": task, "reason": "enough"})
            self._note(f"user: StopTask {task[:6]} → {answer['task']['lastStatus']}")
            self._ledger.stopped.add(task)

    def call(self, service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Call until there is an answer, as a client library would."""
        for _ in range(ATTEMPTS):
            try:
                return self._call_once(service, operation, params)
            except Unreachable as unreachable:
                trouble = unreachable
        raise trouble

    def _token(self) -> str:
        self._tokens += 1
        return f"wish-{self._tokens}"
