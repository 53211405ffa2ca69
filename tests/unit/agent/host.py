"""A host in memory: the real engine on a manual clock, a simulated runtime, and an executor that waits to be told."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from agent.control.aws import Calls
from agent.env_files import EnvironmentFiles
from agent.executor import SteppedExecutor
from agent.firelens import Firelens
from agent.images import EcrLogins, Images, PullBehavior
from agent.injections import Injections
from agent.runtime.simulated import Program, SimulatedRuntime
from agent.s3 import S3
from agent.secrets import Secrets
from agent.surroundings import TaskSurroundings
from agent.tasks import messages as m
from agent.tasks.actions import Actions
from agent.tasks.engine import Engine
from agent.tasks.files import TaskFiles
from agent.tasks.host_ports import HostPorts
from agent.tasks.model import Phase
from agent.tasks.payload import read_task
from agent.tasks.render import AGENT_LABEL, Host
from agent.tasks.reports import ContainerReport, Report
from agent.tasks.spec import ContainerSpec, TaskSpec
from kit.clock import ManualClock
from tests.support.agent_process import task
from tests.support.fake_control_plane import CLUSTER, task_arn

HOST = Host(agent_id="agent-1")
PROGRAMS: Mapping[str, Program] = {
    "server": Program(),
    "job": Program(lasts=timedelta(seconds=10)),
    "failing": Program(lasts=timedelta(seconds=1), exit_code=3),
    "greedy": Program(lasts=timedelta(seconds=1), out_of_memory=True),
    "broken": Program(start_error='exec: "nope": executable file not found in $PATH'),
    "checked": Program(healthy_after=timedelta(seconds=5)),
}


class Reports:
    """Keeps what was reported, and acknowledges it unless told not to."""

    def __init__(self) -> None:
        self.all: list[Report] = []
        self.acknowledge = True
        self.post: Callable[[m.Message], None] = lambda message: None

    def offer(self, report: Report) -> None:
        self.all.append(report)
        if self.acknowledge:
            self.post(m.Acknowledged(report))


class Logs:
    """A log shipper that has nothing to ship; it says so at once, or when ``let_out`` is called."""

    def __init__(self) -> None:
        self.post: Callable[[m.Message], None] = lambda message: None
        self.hold = False
        self.held: list[m.Logged] = []
        self.followed: list[str] = []

    def ensure(self, task: TaskSpec, container: ContainerSpec) -> None:
        pass

    def follow(self, task: TaskSpec, container: ContainerSpec, runtime_id: str) -> None:
        self.followed.append(container.name)

    def finish(self, task: TaskSpec, container: ContainerSpec, runtime_id: str) -> None:
        logged = m.Logged(task=task.arn, container=container.name)
        if self.hold:
            self.held.append(logged)
        else:
            self.post(logged)

    def forget(self, runtime_id: str) -> None:
        pass

    def let_out(self) -> None:
        for logged in self.held:
            self.post(logged)


class MemoryHost:
    """``crash`` loses everything in memory; the disk, the engine and its containers stay."""

    def __init__(self, data: Path, *, behavior: PullBehavior = PullBehavior.PREFER_CACHED) -> None:
        self.data = data
        self.clock = ManualClock()
        self.steady = ManualClock()
        self.runtime = SimulatedRuntime(clock=self.clock, images=PROGRAMS)
        self.reports = Reports()
        self.logs = Logs()
        self.health_news = 0
        self.runtime_states: list[bool] = []
        self._behavior = behavior
        self._ports = HostPorts(seed=1)
        self.injections: Injections | None = None
        self.registry: EcrLogins | None = None
        self._subscription: Any = None
        self.boot()

    def boot(self) -> None:
        """Start the agent's engine, taking over what is there."""
        self.executor = SteppedExecutor()
        images = Images(runtime=self.runtime, clock=self.clock, behavior=self._behavior, registry=self.registry)
        surroundings = TaskSurroundings(
            runtime=self.runtime,
            host=HOST,
            network_cidr="10.233.0.0/20",
            logs=self.logs,
            injections=self.injections,
        )
        actions = Actions(
            runtime=self.runtime,
            images=images,
            host=HOST,
            surroundings=surroundings,
            logs=self.logs,
            clock=self.clock,
            ports=self._ports,
        )
        self.engine = Engine(
            actions=actions,
            executor=self.executor,
            files=TaskFiles(self.data),
            clock=self.clock,
            steady=self.steady,
            reports=self.reports,
            on_health=self._on_health,
            on_runtime=self.runtime_states.append,
        )
        self.reports.post = self.logs.post = self.engine.post
        engine = self.engine
        labels = {AGENT_LABEL: HOST.agent_id}
        self._subscription = self.runtime.events(labels, lambda event: engine.post(m.Happened(event)))
        self.engine.recover(self.runtime.list(labels))

    def inject(self, calls: Calls, s3: S3 | None = None) -> None:
        """Secrets and files come from these."""
        s3 = s3 or S3(endpoint="", region="us-east-1", clock=self.clock)
        secrets = Secrets(aws=calls)
        firelens = Firelens(runtime=self.runtime, secrets=secrets, s3=s3, agent_id=HOST.agent_id)
        self.injections = Injections(secrets=secrets, environment_files=EnvironmentFiles(s3), firelens=firelens)
        self.restart()

    def pick_ports(self, ports: HostPorts) -> None:
        """Ranges of ports are picked from these."""
        self._ports = ports
        self.restart()

    def crash(self) -> None:
        """kill -9: what was under way is lost."""
        self._subscription.close()

    def restart(self) -> None:
        self.crash()
        self.boot()
        self.settle()

    def assign(self, task_id: str, *containers: dict[str, Any], seq: int = 1, **members: Any) -> None:
        """A payload arrives; nothing has happened yet."""
        raw = task(task_id, *containers, **members)
        self.engine.post(m.Arrived(spec=read_task(raw, seq=seq, cluster=CLUSTER), raw=raw))

    def run(self, task_id: str, *containers: dict[str, Any], **members: Any) -> None:
        """A payload arrives, and everything that can happen at once has happened."""
        self.assign(task_id, *containers, **members)
        self.settle()

    def stop(self, task_id: str, *containers: dict[str, Any], seq: int = 2) -> None:
        self.run(task_id, *containers, desiredStatus="STOPPED", seq=seq)

    def settle(self) -> None:
        """Let everything happen that can happen without time passing."""
        for _ in range(1000):
            self.runtime.settle()
            stepped = self.engine.step()
            if not self.executor.step() and not stepped:
                return
        raise AssertionError("the engine does not come to rest")

    def tick(self, seconds: float) -> None:
        self.clock.tick(seconds=seconds)
        self.steady.tick(seconds=seconds)
        self.settle()

    def put_clock(self, hours: float) -> None:
        """Somebody sets the machine's clock: no time has passed."""
        self.clock.tick(hours=hours)
        self.settle()

    def last(self, task_id: str) -> Report | None:
        """The newest report of a task."""
        found = [report for report in self.reports.all if report.task == task_arn(task_id)]
        return found[-1] if found else None

    def status(self, task_id: str) -> Phase | None:
        report = self.last(task_id)
        return report.status if report else None

    def seen(self, task_id: str, container: str) -> ContainerReport:
        report = self.last(task_id)
        assert report
        return next(c for c in report.containers if c.name == container)

    def running(self) -> list[str]:
        """The names of the containers on the engine."""
        return [name.split("-", 2)[2] for name in self.runtime.names()]

    def _on_health(self) -> None:
        self.health_news += 1
