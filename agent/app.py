"""One agent's life: the order in which its parts begin and end.

First the engine is asked what runs here and the tasks are taken over; then the agent registers, for as long as
that takes; then the sockets open and reports flow. Containers are watched from the first moment on.
"""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TypeVar

from agent.awsvpc import ensure_network
from agent.cgroup import CannotLimit, Cgroup
from agent.control.aws import Aws
from agent.control.joining import HostKey
from agent.control.membership import PASSING, Membership
from agent.control.reporter import THREADS
from agent.identity import Identity, IdentityFile
from agent.keys import NO_KEYS
from agent.log import facts
from agent.offer import offer_of, size_of
from agent.parts import Ground, Parts, put_together
from agent.runtime import EngineInfo, Runtime, RuntimeTrouble, Status
from agent.runtime.docker import DockerRuntime
from agent.settings import AgentSettings
from agent.steady import SteadyClock
from agent.tasks import messages as m
from agent.tasks.render import AGENT_LABEL, Host
from kit.clock import Clock, SystemClock, backoff

RETRY_FIRST = timedelta(milliseconds=250)
RETRY_MOST = timedelta(seconds=15)

log = facts(__name__)
T = TypeVar("T")
Threads = Iterator[tuple[str, Callable[[], None]]]


class Agent:
    """A host agent; ``run`` blocks until ``stop``."""

    def __init__(
        self,
        settings: AgentSettings,
        identity_file: IdentityFile,
        identity: Identity,
        *,
        clock: Clock | None = None,
        runtime: Runtime | None = None,
    ) -> None:
        self._id = identity.id
        self._settings = settings
        self._clock = clock or SystemClock()
        self._runtime = runtime or DockerRuntime(clock=self._clock, host=settings.docker_host)
        self._aws = Aws(
            endpoint=settings.endpoint,
            region=settings.region,
            keys=settings.keys or NO_KEYS,
            clock=self._clock,
            ca_bundle=settings.ca_bundle,
        )
        self._membership = Membership(
            aws=self._aws, identity=identity, file=identity_file, key=HostKey(settings.data, settings.keys)
        )
        self._stop = threading.Event()
        self._cgroup: Cgroup | None = None
        self._stoppers: list[Callable[[], None]] = []

    def stop(self) -> None:
        """End the agent; whatever runs goes on running."""
        self._stop.set()

    def run(self) -> None:
        """Run until told to stop. Raises NoCluster, CannotJoin."""
        log.info("agent started", id=self._id, cluster=self._membership.identity.cluster)
        try:
            # Nothing can be offered before the container engine answers.
            info = self._insist(self._runtime.info, "engine does not answer", RuntimeTrouble)
            if info:
                self._work(info)
        finally:
            self._stop.set()
            for stopper in self._stoppers:
                stopper()
            self._aws.close()
            self._clean_up()
            self._runtime.close()
            log.info("agent stopped", id=self._id)

    def _work(self, info: EngineInfo) -> None:
        ground = self._ground(info)
        parts = put_together(ground)
        self._take_over(parts)
        for name, run in self._on_this_host(parts):
            self._thread(name, run)

        def join() -> bool:
            offer = offer_of(self._settings, info, agent_id=self._id, network_cidr=ground.network_cidr)
            self._membership.join(offer, info)
            return True

        if self._insist(join, "not registered", *PASSING):
            parts.reporter.open()
            for name, run in self._with_the_control_plane(parts):
                self._thread(name, run)
            self._stop.wait()

    def _ground(self, info: EngineInfo) -> Ground:
        settings = self._settings
        self._cgroup = self._bound(info)
        cgroup_parent = self._cgroup.path if self._cgroup else ""
        return Ground(
            settings=settings,
            clock=self._clock,
            steady=SteadyClock(self._clock),
            runtime=self._runtime,
            info=info,
            host=Host(agent_id=self._id, cgroup_parent=cgroup_parent, network=settings.awsvpc_network),
            network_cidr=ensure_network(self._runtime, settings.awsvpc_network, settings.awsvpc_cidr),
            aws=self._aws,
            membership=self._membership,
        )

    def _take_over(self, parts: Parts) -> None:
        """Go on with what an earlier run has left; what happens to it meanwhile is heard already."""
        labels = {AGENT_LABEL: self._id}
        subscription = self._runtime.events(labels, lambda event: parts.engine.post(m.Happened(event)))
        self._stoppers = [*_stoppers(parts), subscription.close]
        found = self._insist(lambda: self._runtime.list(labels), "containers not listed", RuntimeTrouble) or ()
        parts.engine.recover(found)
        running = [state.id for state in found if state.status is Status.RUNNING]
        self._thread("sessions-left", lambda: parts.sessions.end_left(running))
        if parts.endpoints:
            parts.endpoints.recover()

    def _on_this_host(self, parts: Parts) -> Threads:
        """What runs from the first moment on, whether there is a control plane or not."""
        if parts.endpoints:
            yield "endpoints", parts.endpoints.run
        yield "engine", lambda: parts.engine.run(self._stop)
        if self._settings.capacity:
            # Fargate's tasks run on capacity, and others' storage is not bounded.
            yield "storage", lambda: parts.storage.run(self._stop)
        if cleaner := parts.cleaner:
            yield "images", lambda: cleaner.run(self._stop)
        yield "logs", lambda: parts.shipper.run(self._stop)
        for number in range(THREADS):
            yield f"reports-{number}", lambda: parts.reporter.run(self._stop)

    def _with_the_control_plane(self, parts: Parts) -> Threads:
        """What runs once this host has joined."""
        yield "payloads", lambda: parts.payloads.run(parts.acs)
        yield "telemetry", lambda: parts.telemetry.run(parts.tcs)
        yield "publishing", lambda: parts.tcs.run(self._stop)

    def _thread(self, name: str, target: Callable[[], None]) -> None:
        threading.Thread(target=target, name=name, daemon=True).start()

    def _insist(self, ask: Callable[[], T], complaint: str, *troubles: type[Exception]) -> T | None:
        """What ``ask`` answers once it has no trouble any more; None when the agent is to stop before that."""
        attempt = 0
        while not self._stop.is_set():
            try:
                return ask()
            except troubles as error:
                attempt += 1
                log.warning(complaint, because=str(error) or repr(error))
                self._clock.wait(self._stop, backoff(attempt, first=RETRY_FIRST, most=RETRY_MOST))
        return None

    def _bound(self, info: EngineInfo) -> Cgroup | None:
        """Make the cgroup that bounds this capacity; None when each container is bounded by itself."""
        if not self._settings.cgroup_parent:
            return None
        size = size_of(self._settings, info)
        try:
            cgroup = Cgroup(self._settings.cgroup_parent)
            cgroup.create(size, info)
        except CannotLimit as error:
            log.warning("capacity not bounded as a whole, each container is", because=str(error))
            return None
        log.info("capacity bounded", cgroup=cgroup.path, cpu=size.cpu, memory=size.memory)
        return cgroup

    def _clean_up(self) -> None:
        if self._cgroup and not self._cgroup.remove():
            log.info("cgroup kept: containers live in it", cgroup=self._cgroup.path)
        if not self._settings.capacity:
            try:
                self._runtime.remove_network(self._settings.awsvpc_network)
            except RuntimeTrouble as error:
                log.warning("awsvpc network not removed", because=str(error))


def _stoppers(parts: Parts) -> list[Callable[[], None]]:
    """How the parts are told to end, whether they ever ran or not: first those that bring anything new."""
    return [
        parts.payloads.stop,
        parts.telemetry.stop,
        parts.sessions.stop,
        parts.tcs.stop,
        parts.reporter.stop,
        parts.shipper.stop,
        parts.records.flush,
        parts.engine.wake,
        *((parts.endpoints.stop,) if parts.endpoints else ()),
    ]
