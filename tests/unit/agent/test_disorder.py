"""Disorder, by seed: tasks of all kinds while the agent is killed, the engine and the control plane come and go, and
the clock jumps. Whatever happens, nothing is started twice, nothing goes back, and in the end nothing is left."""

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.runtime import NotFound, Refused, Status, Temporary
from agent.tasks import messages as m
from agent.tasks.model import Phase
from agent.tasks.payload import read_task
from tests.support.agent_process import container, stopped, task
from tests.support.fake_control_plane import CLUSTER, task_arn
from tests.unit.agent.calls import FakeCalls
from tests.unit.agent.host import MemoryHost
from tests.unit.agent.test_secrets import ROLE, answer_secret, asm

IMAGES = ("server", "server", "job", "failing", "greedy", "broken", "checked", "absent")
CALLS = ("create", "start", "stop", "inspect", "remove", "list", "put", "create_volume", "remove_volume")
ORDER = {Phase.PENDING: 0, Phase.RUNNING: 1, Phase.STOPPED: 2}
HEALTHCHECK = {"Healthcheck": {"Test": ["CMD", "true"]}}


class Disorder:
    """A host, and what is done to it."""

    def __init__(self, data: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.host = MemoryHost(data)
        self.calls = FakeCalls()
        self.calls.answers["GetSecretValue"] = answer_secret
        self.host.inject(self.calls)
        self.payloads: dict[str, dict[str, Any]] = {}
        self.restarting: set[str] = set()
        self.starts: Counter[str] = Counter()
        self.seq = 1
        self._watch_starts()

    def _watch_starts(self) -> None:
        start = self.host.runtime.start

        def counted(name: str) -> None:
            try:
                before = self.host.runtime._box(name).state
            except NotFound:
                before = None
            start(name)
            if before and before.status is not Status.RUNNING:
                self.starts[before.name] += 1

        self.host.runtime.start = counted  # type: ignore[method-assign]

    def new_task(self) -> None:
        task_id = f"t{len(self.payloads)}"
        names = [f"c{n}" for n in range(self.chance.randint(1, 4))]
        containers = [self._container(task_id, name, names[:n]) for n, name in enumerate(names)]
        if self.chance.random() < 0.3:
            containers.append(container("router", "server", firelensConfiguration={"type": "fluentbit"}))
            log = {"LogConfig": {"Type": "awsfirelens", "Config": {"Name": "stdout"}}}
            containers[0]["dockerConfig"] = container("x", "x", hostConfig=log)["dockerConfig"]
        members: dict[str, Any] = dict(ROLE)
        if self.chance.random() < 0.3:
            members["pidMode"] = "task"
        self.payloads[task_id] = task(task_id, *containers, **members)
        self.send(task_id)

    def _container(self, task_id: str, name: str, before: list[str]) -> dict[str, Any]:
        chance = self.chance
        image = chance.choice(IMAGES)
        members: dict[str, Any] = {"essential": chance.random() < 0.5 or not before}
        if image == "checked":
            members["config"] = HEALTHCHECK
        if chance.random() < 0.4:
            members["restartPolicy"] = {"enabled": True, "restartAttemptPeriod": chance.choice([5, 60])}
            self.restarting.add(f"ecs-{task_id}-{name}")
        if chance.random() < 0.3:
            members["secrets"] = [asm()]
        if chance.random() < 0.3:
            members["startTimeout"] = chance.choice([3, 30])
        if before and chance.random() < 0.5:
            condition = chance.choice(["START", "COMPLETE", "SUCCESS", "HEALTHY"])
            members["dependsOn"] = [{"containerName": chance.choice(before), "condition": condition}]
        return container(name, image, **members)

    def send(self, task_id: str) -> None:
        self.seq += 1
        raw = self.payloads[task_id]
        self.host.engine.post(m.Arrived(spec=read_task(raw, seq=self.seq, cluster=CLUSTER), raw=raw))

    def stop_task(self) -> None:
        if self.payloads:
            task_id = self.chance.choice(list(self.payloads))
            self.payloads[task_id] = stopped(self.payloads[task_id])
            self.send(task_id)

    def send_again(self) -> None:
        if self.payloads:
            self.send(self.chance.choice(list(self.payloads)))

    def kill_agent(self) -> None:
        for _ in range(self.chance.randint(0, 6)):
            self.host.engine.step()
            self.host.executor.step()
        try:
            self.host.crash()
            self.host.boot()
        except Temporary:
            # The engine is away: the agent waits for it before it takes over.
            self.host.runtime._away = False
            self.host.runtime._faults.pop("list", None)
            self.host.boot()
        # The control plane tells again what was not acknowledged, and keys anew.
        for task_id in self.payloads:
            self.send(task_id)

    def engine_away(self) -> None:
        self.host.runtime.go_away()

    def engine_back(self) -> None:
        self.host.runtime.come_back()

    def control_plane(self) -> None:
        self.calls.away = not self.calls.away

    def acknowledging(self) -> None:
        self.host.reports.acknowledge = not self.host.reports.acknowledge

    def trouble(self) -> None:
        kind = self.chance.choice([Temporary, Temporary, Refused])
        call = self.chance.choice(CALLS)
        # A survey or a removal that is refused for good is not something an engine does.
        self.host.runtime.fail_next(call, (Temporary if call in ("list", "remove") else kind)("told to"))

    def process_ends(self) -> None:
        running = [name for name in self.host.runtime.names() if self._runs(name)]
        if running:
            self.host.runtime.exit(self.chance.choice(running), self.chance.choice([0, 1, 137]))

    def _runs(self, name: str) -> bool:
        return self.host.runtime._box(name).state.status is Status.RUNNING

    def time_passes(self) -> None:
        seconds = self.chance.choice([0.3, 1, 5, 40])
        self.host.clock.tick(seconds=seconds)
        self.host.steady.tick(seconds=seconds)

    def clock_jumps(self) -> None:
        self.host.clock.tick(hours=self.chance.choice([-3, 3]))

    def some_steps(self) -> None:
        for _ in range(self.chance.randint(1, 8)):
            self.host.runtime.settle()
            self.host.engine.step()
            self.host.executor.step()

    def settle(self) -> None:
        self.host.settle()

    def end(self) -> None:
        """Everybody is there again, and every task is to stop."""
        self.host.runtime._faults.clear()
        self.host.runtime.come_back()
        self.calls.away = False
        self.host.reports.acknowledge = True
        self.kill_agent()
        for task_id, raw in self.payloads.items():
            self.payloads[task_id] = stopped(raw)
            self.send(task_id)
        for _ in range(12):
            self.host.tick(40)


@pytest.mark.parametrize("seed", range(25))
def test_whatever_happens_nothing_is_lost_doubled_or_left(tmp_path: Path, seed: int) -> None:
    world = Disorder(tmp_path, seed)
    happenings: list[Callable[[], None]] = [
        *[world.new_task] * 2,
        *[world.some_steps] * 6,
        *[world.time_passes] * 4,
        *[world.settle] * 2,
        world.stop_task,
        world.send_again,
        world.kill_agent,
        world.engine_away,
        *[world.engine_back] * 2,
        world.control_plane,
        world.acknowledging,
        world.trouble,
        world.process_ends,
        world.clock_jumps,
    ]
    for _ in range(60):
        world.chance.choice(happenings)()
    world.end()
    check(world)


def check(world: Disorder) -> None:
    host = world.host
    assert host.running() == []
    assert not {name for name in host.runtime._volumes if name.startswith("ecs-")}
    for task_id in world.payloads:
        reports = [report for report in host.reports.all if report.task == task_arn(task_id)]
        if reports:
            phases = [ORDER[report.status] for report in reports]
            assert phases == sorted(phases), (task_id, [report.status for report in reports])
        assert host.status(task_id) is Phase.STOPPED, task_id
    for name, count in world.starts.items():
        assert count == 1 or name in world.restarting, (name, count)


def test_a_step_that_fails_leaves_what_came_with_it_to_the_next(tmp_path: Path) -> None:
    host = MemoryHost(tmp_path)

    def answer(stale: tuple[str, ...]) -> None:
        raise RuntimeError("a bug")

    host.assign("t1", container("web", "server"))
    host.engine.post(m.Manifest(running=frozenset(), answer=answer))
    with pytest.raises(RuntimeError, match="a bug"):
        host.engine.step()
    host.settle()
    assert host.status("t1") is Phase.RUNNING
