"""What a plain task costs: the calls it makes of the engine, and that nothing to be begun waits for the disk."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.endpoints.ids import EndpointIds
from agent.endpoints.reach import Reach
from agent.env_files import EnvironmentFiles
from agent.firelens import Firelens
from agent.images import Images, PullBehavior
from agent.injections import Injections
from agent.runtime.simulated import SimulatedRuntime
from agent.s3 import S3
from agent.secrets import Secrets
from agent.surroundings import TaskSurroundings
from agent.tasks import messages as m
from agent.tasks.actions import Actions
from agent.tasks.files import TaskFiles
from agent.tasks.launch import Launched
from agent.tasks.model import Task, task_of
from agent.tasks.payload import read_task
from agent.tasks.removals import MOST_HELD
from tests.support.agent_process import container, task
from tests.support.fake_control_plane import CLUSTER
from tests.unit.agent.calls import FakeCalls
from tests.unit.agent.host import HOST, MemoryHost
from tests.unit.agent.test_endpoint_reach import Cables


class Counted:
    """Actions with everything around them that the agent has, which count what they ask of others."""

    def __init__(self, host: MemoryHost, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.calls = FakeCalls()
        self.cables = Cables()
        answer: Callable[[SimulatedRuntime, str], None] = SimulatedRuntime._answer

        def counted(runtime: SimulatedRuntime, call: str) -> None:
            self.asked.append(call)
            answer(runtime, call)

        monkeypatch.setattr(SimulatedRuntime, "_answer", counted)
        wiring: Any = self.cables
        reach = Reach(
            wiring=wiring, runtime=host.runtime, ids=EndpointIds(host.data), tasks=tuple, clock=host.clock, door=True
        )
        reach.recover()
        s3, secrets = S3(endpoint="", region="us-east-1", clock=host.clock), Secrets(aws=self.calls)
        firelens = Firelens(runtime=host.runtime, secrets=secrets, s3=s3, agent_id=HOST.agent_id)
        self.actions = Actions(
            runtime=host.runtime,
            images=Images(runtime=host.runtime, clock=host.clock, behavior=PullBehavior.PREFER_CACHED),
            host=HOST,
            surroundings=TaskSurroundings(
                runtime=host.runtime,
                host=HOST,
                network_cidr="10.233.0.0/20",
                logs=host.logs,
                injections=Injections(secrets=secrets, environment_files=EnvironmentFiles(s3), firelens=firelens),
                endpoints=reach,
            ),
            logs=host.logs,
            clock=host.clock,
        )

    def launched(self, raw: dict[str, Any]) -> Task:
        """The task, once its one container has been launched."""
        found = task_of(read_task(raw, seq=1, cluster=CLUSTER))
        [one] = found.containers.values()
        outcome = self.actions.launch(found, one)()
        assert isinstance(outcome, Launched)
        one.runtime_id, one.started_at = outcome.runtime_id, outcome.started_at
        return found


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(MemoryHost(tmp_path), monkeypatch)


@pytest.mark.parametrize("mode", ["bridge", "host"])
def test_a_plain_task_costs_two_calls_of_the_engine_to_its_running_process(counted: Counted, mode: str) -> None:
    counted.launched(task("t1", container("c", "server"), networkMode=mode))
    assert counted.asked == ["create", "start"]
    assert (counted.calls.heard, counted.cables.laid) == ([], {})


def test_a_plain_task_costs_two_calls_of_the_engine_to_its_end(counted: Counted) -> None:
    plain = counted.launched(task("t1", container("c", "server"), networkMode="bridge"))
    [one] = plain.containers.values()
    counted.asked.clear()
    counted.actions.stop(plain, one)()
    assert counted.asked == ["stop", "inspect"]
    counted.asked.clear()
    counted.actions.remove(plain)()
    assert counted.asked == ["remove"]
    assert counted.calls.heard == []


def test_published_ports_are_looked_at_once_the_process_runs(counted: Counted) -> None:
    mapped = container("c", "server", portMappings=[{"containerPort": 80, "hostPort": 0, "protocol": "tcp"}])
    counted.launched(task("t1", mapped, networkMode="bridge"))
    assert counted.asked == ["create", "start", "inspect"]


def noted_saves(monkeypatch: pytest.MonkeyPatch, host: MemoryHost) -> list[str]:
    """What happens, in order: ``save <task>``, and ``begin`` for each action."""
    happened: list[str] = []
    save, run = TaskFiles.save, host.executor.run

    def saved(files: TaskFiles, of: Task, raw: Any, *, sync: bool) -> None:
        happened.append(f"save {of.spec.id}")
        save(files, of, raw, sync=sync)
        if happened.count("save t1") == 1 and "save t2" not in happened:
            host.assign("t3", container("c", "server"))

    def began(action: Callable[[], Any], done: Callable[[Any], None]) -> None:
        happened.append("begin")
        run(action, done)

    monkeypatch.setattr(TaskFiles, "save", saved)
    monkeypatch.setattr(host.executor, "run", began)
    return happened


def test_a_task_that_arrives_while_others_are_kept_is_begun_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = MemoryHost(tmp_path)
    happened = noted_saves(monkeypatch, host)
    host.assign("t1", container("c", "server"))
    host.assign("t2", container("c", "server"))
    host.engine.step()
    host.engine.step()
    assert happened == ["begin", "begin", "save t1", "begin", "save t2", "save t3"]


def test_a_stop_is_begun_before_it_is_kept_and_kept_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = MemoryHost(tmp_path)
    host.run("t9", container("c", "server"))
    happened = noted_saves(monkeypatch, host)
    host.assign("t9", container("c", "server"), desiredStatus="STOPPED", seq=2)
    host.engine.step()
    assert happened == ["begin", "save t9"]


@pytest.fixture
def hampered(tmp_path: Path) -> MemoryHost:
    """A host with a task that is over but for its removal, and another whose launch is under way."""
    host = MemoryHost(tmp_path)
    host.reports.acknowledge = False
    host.run("t1", container("c", "job"))
    host.tick(seconds=10)
    assert host.runtime.names()
    host.assign("t2", container("c", "server"))
    host.engine.step()
    report = host.last("t1")
    assert report
    host.engine.post(m.Acknowledged(report))
    host.engine.step()
    return host


def test_what_is_over_is_removed_once_nothing_is_launched_or_stopped(hampered: MemoryHost) -> None:
    assert len(hampered.executor) == 1
    hampered.executor.step()
    assert len(hampered.runtime.names()) == 2
    hampered.settle()
    assert hampered.running() == ["c"]
    assert len(hampered.runtime.names()) == 1


def test_a_removal_does_not_wait_for_long(hampered: MemoryHost) -> None:
    assert hampered.engine.until_due() == MOST_HELD
    hampered.steady.tick(seconds=MOST_HELD.total_seconds())
    hampered.engine.step()
    assert len(hampered.executor) == 2
    assert hampered.engine.until_due() > timedelta(minutes=1)
