"""One agent put together: its parts, its threads, and the order in which they begin and end.

First the engine is asked what runs here and the tasks are taken over; then the agent registers, for as long as
that takes; then the sockets open and reports flow. Containers are watched from the first moment on.
"""

import threading
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TypeVar

from agent.awsvpc import ensure_network
from agent.cgroup import CannotLimit, Cgroup, Limit
from agent.control.acs import Acs
from agent.control.aws import ApiError, Aws, KeyRefused, Unreachable
from agent.control.joining import HostKey
from agent.control.registration import Doors, Offer, discover, register
from agent.control.reporter import THREADS, Reporter
from agent.control.session import Session, dial
from agent.control.tcs import Tcs
from agent.control.usage import UsageMeter
from agent.endpoints.endpoints import Endpoints
from agent.endpoints.wiring import NoWiring
from agent.env_files import EnvironmentFiles
from agent.exec.sessions import ExecSessions
from agent.executor import ThreadExecutor
from agent.firelens import Firelens
from agent.gpus import find_gpus
from agent.identity import Identity, IdentityFile, cluster_arn
from agent.images import EcrLogins, Images
from agent.images.cleaner import Cleaner, disk_of
from agent.images.records import RecordFile
from agent.injections import Injections
from agent.keys import NO_KEYS
from agent.log import facts
from agent.logs.cursor import CursorFiles
from agent.logs.shipper import LogShipper
from agent.runtime import ContainerState, EngineInfo, Runtime, RuntimeTrouble, Status
from agent.runtime.docker import DockerRuntime
from agent.s3 import S3
from agent.secrets import Secrets
from agent.settings import AgentSettings
from agent.steady import SteadyClock
from agent.storage import StorageWatch
from agent.surroundings import TaskSurroundings
from agent.tasks import messages as m
from agent.tasks.actions import Actions
from agent.tasks.engine import Engine
from agent.tasks.files import TaskFiles
from agent.tasks.host_ports import HostPorts, local_ports
from agent.tasks.model import Task
from agent.tasks.render import AGENT_LABEL, Host
from kit.clock import Clock, SystemClock, backoff

RETRY_FIRST = timedelta(milliseconds=250)
RETRY_MOST = timedelta(seconds=15)

log = facts(__name__)
T = TypeVar("T")


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
        self._settings = settings
        self._identity_file = identity_file
        self._identity = identity
        self._clock = clock or SystemClock()
        self._steady = SteadyClock(self._clock)
        self._runtime = runtime or DockerRuntime(clock=self._clock, host=settings.docker_host)
        self._aws = Aws(
            endpoint=settings.endpoint,
            region=settings.region,
            keys=settings.keys or NO_KEYS,
            clock=self._clock,
            ca_bundle=settings.ca_bundle,
        )
        self._host_key = HostKey(settings.data, settings.keys)
        self._stop = threading.Event()
        self._doors: Doors | None = None
        self._info = EngineInfo(version="", architecture="", cpus=1, memory_mib=0)
        self._cgroup: Cgroup | None = None
        self._stoppers: list[Callable[[], None]] = []

    def stop(self) -> None:
        """End the agent; whatever runs goes on running."""
        self._stop.set()

    def run(self) -> None:
        """Run until told to stop. Raises NoCluster, CannotJoin."""
        log.info("agent started", id=self._identity.id, cluster=self._identity.cluster)
        try:
            if self._ask_engine():
                self._work()
        finally:
            self._stop.set()
            for stopper in reversed(self._stoppers):
                stopper()
            self._aws.close()
            self._clean_up()
            self._runtime.close()
            log.info("agent stopped", id=self._identity.id)

    def _work(self) -> None:
        settings, clock, runtime = self._settings, self._clock, self._runtime
        host = Host(agent_id=self._identity.id, cgroup_parent=self._bound(), network=self._settings.awsvpc_network)
        self._cidr = ensure_network(runtime, host.network, settings.awsvpc_cidr)
        reporter = Reporter(aws=self._aws, clock=clock, post=lambda message: engine.post(message))
        shipper = LogShipper(
            aws=self._aws,
            runtime=runtime,
            cursors=CursorFiles(settings.data),
            clock=self._steady,
            post=lambda message: engine.post(message),
        )
        storage = StorageWatch(
            runtime=runtime,
            tasks=lambda: engine.tasks(),
            post=lambda message: engine.post(message),
            steady=self._steady,
        )
        endpoints = self._endpoints(lambda: engine.tasks(), storage)
        surroundings = TaskSurroundings(
            runtime=runtime,
            host=host,
            network_cidr=self._cidr,
            logs=shipper,
            injections=self._injections(),
            endpoints=endpoints.reach if endpoints else None,
        )
        records = RecordFile(settings.image_records or settings.data / "images.json")
        images = Images(
            runtime=runtime,
            clock=clock,
            behavior=settings.pull_behavior,
            registry=EcrLogins(aws=self._aws, clock=clock, server=settings.registry),
            records=records,
        )
        actions = Actions(
            runtime=runtime,
            images=images,
            host=host,
            surroundings=surroundings,
            logs=shipper,
            clock=clock,
            ports=self._ports(),
        )
        telemetry = Session(name="telemetry", door=lambda: self._door().telemetry, aws=self._aws, clock=self._steady)
        payloads = Session(name="payloads", door=lambda: self._door().agent, aws=self._aws, clock=self._steady)
        tcs = Tcs(
            identity=lambda: self._identity,
            docker_version=lambda: self._info.version,
            tasks=lambda: engine.tasks(),
            meter=UsageMeter(runtime=runtime, cpus=self._info.cpus),
            send=telemetry.send,
            clock=clock,
            steady=self._steady,
        )
        engine = Engine(
            actions=actions,
            executor=ThreadExecutor(),
            files=TaskFiles(settings.data),
            clock=clock,
            steady=self._steady,
            reports=reporter,
            on_health=tcs.health_changed,
            on_runtime=tcs.runtime_changed,
        )
        sessions = ExecSessions(
            runtime=runtime,
            identity=lambda: self._identity,
            tasks=lambda: engine.tasks(),
            dial=lambda url: dial(self._aws, url),
            clock=clock,
        )
        acs = Acs(
            identity=lambda: self._identity,
            cluster_arn=lambda: cluster_arn(self._identity),
            docker_version=lambda: self._info.version,
            post=engine.post,
            send=payloads.send,
            on_open=reporter.hurry,
            summoned=sessions.summoned,
        )
        labels = {AGENT_LABEL: self._identity.id}
        subscription = runtime.events(labels, lambda event: engine.post(m.Happened(event)))
        found = self._found(labels)
        engine.recover(found)
        running = [state.id for state in found if state.status is Status.RUNNING]
        self._thread("sessions-left", lambda: sessions.end_left(running))
        if endpoints:
            endpoints.recover()
            self._thread("endpoints", endpoints.run)
        self._stoppers = [
            subscription.close,
            *((endpoints.stop,) if endpoints else ()),
            engine.wake,
            records.flush,
            shipper.stop,
            reporter.stop,
            tcs.stop,
            sessions.stop,
            telemetry.stop,
            payloads.stop,
        ]
        self._thread("engine", lambda: engine.run(self._stop))
        if settings.capacity:
            # Fargate's tasks run on capacity, and others' storage is not bounded.
            self._thread("storage", lambda: storage.run(self._stop))
        if settings.clean_up:
            cleaner = Cleaner(
                runtime=runtime,
                images=images,
                records=records,
                rules=settings.clean_up,
                clock=clock,
                steady=self._steady,
                disk=disk_of(self._info),
                wanted=lambda: images.wanted(engine.tasks()),
            )
            self._thread("images", lambda: cleaner.run(self._stop))
        self._thread("logs", lambda: shipper.run(self._stop))
        for number in range(THREADS):
            self._thread(f"reports-{number}", lambda: reporter.run(self._stop))
        if not self._join():
            return
        reporter.open()
        self._thread("payloads", lambda: payloads.run(acs))
        self._thread("telemetry", lambda: telemetry.run(tcs))
        self._thread("publishing", lambda: tcs.run(self._stop))
        self._stop.wait()

    def _endpoints(self, tasks: Callable[[], Iterable[Task]], storage: StorageWatch) -> Endpoints | None:
        """What containers see at 169.254.170.2; None where this agent can't be reached from its containers."""
        try:
            return Endpoints(
                runtime=self._runtime,
                engine=self._info,
                data=self._settings.data,
                # A piece of capacity runs tasks with namespaces of their own; the host's is left to its agent.
                door=not self._settings.capacity,
                zone=lambda: self._identity.zone,
                storage=lambda: storage.used,
                tasks=tasks,
                aws=self._aws,
                clock=self._clock,
                steady=self._steady,
            )
        except NoWiring as error:
            log.warning("tasks get no metadata and no credentials of their role", because=str(error))
            return None

    def _thread(self, name: str, target: Callable[[], None]) -> None:
        threading.Thread(target=target, name=name, daemon=True).start()

    def _ask_engine(self) -> bool:
        """Wait for the container engine; nothing can be offered before it answers."""
        info = self._insist(self._runtime.info, "engine does not answer", RuntimeTrouble)
        self._info = info or self._info
        return info is not None

    def _found(self, labels: dict[str, str]) -> tuple[ContainerState, ...]:
        return self._insist(lambda: self._runtime.list(labels), "containers not listed", RuntimeTrouble) or ()

    def _join(self) -> bool:
        """Register and find the sockets, for as long as it takes. Raises NoCluster, CannotJoin."""

        def join() -> Doors:
            self._host_key.take_up(self._aws)
            try:
                return offer()
            except ApiError as error:
                if not self._host_key.lost(error):
                    raise
                self._host_key.take_up(self._aws)
                return offer()

        def offer() -> Doors:
            self._identity = register(self._aws, self._identity, self._identity_file, self._offer(), self._info)
            return discover(self._aws, self._identity)

        doors = self._insist(join, "not registered", ApiError, Unreachable, LookupError, TypeError)
        self._doors = doors or self._doors
        return doors is not None

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

    def _door(self) -> Doors:
        """Where the sockets are: asked for again before every dial, since they may have moved."""
        try:
            self._doors = discover(self._aws, self._identity)
        except KeyRefused:
            raise
        except (ApiError, Unreachable, LookupError, TypeError) as error:
            log.warning("sockets not discovered", because=str(error))
        assert self._doors
        return self._doors

    def _offer(self) -> Offer:
        attributes = {
            "berth.awsvpc-cidr": self._cidr,
            "berth.agent": self._identity.id,
            "berth.cpus": str(self._info.cpus),
        }
        if self._settings.capacity:
            attributes["berth.capacity"] = self._settings.capacity
        return Offer(
            cpu=self._settings.cpu or self._info.cpus * 1024,
            memory=self._settings.memory or self._info.memory_mib,
            reserved_ports=self._settings.reserved_ports,
            gpus=self._gpus(),
            resources=self._settings.resources,
            attributes={**attributes, **self._settings.attributes},
        )

    def _injections(self) -> Injections:
        settings = self._settings
        s3 = S3(
            endpoint=settings.s3_endpoint,
            region=settings.region,
            clock=self._clock,
            keys=settings.s3_keys,
            trust=self._aws.trust,
        )
        secrets = Secrets(aws=self._aws)
        firelens = Firelens(runtime=self._runtime, secrets=secrets, s3=s3, agent_id=self._identity.id)
        return Injections(secrets=secrets, environment_files=EnvironmentFiles(s3), firelens=firelens)

    def _ports(self) -> HostPorts:
        """Where the engine's ports are this machine's, they can be tried before they are picked."""
        reserved = self._settings.reserved_ports
        return local_ports(reserved) if self._info.local else HostPorts(reserved=reserved)

    def _gpus(self) -> tuple[str, ...]:
        """Those that were named, else the machine's; a piece of capacity, and an engine elsewhere, have none found."""
        if self._settings.gpus is not None:
            return self._settings.gpus
        return () if self._settings.capacity or not self._info.local else find_gpus()

    def _bound(self) -> str:
        """Make the cgroup that bounds this capacity; empty when each container is bounded by itself."""
        if not self._settings.cgroup_parent:
            return ""
        offer = Limit(
            cpu=self._settings.cpu or self._info.cpus * 1024,
            memory=self._settings.memory or self._info.memory_mib,
        )
        try:
            cgroup = Cgroup(self._settings.cgroup_parent)
            cgroup.create(offer, self._info)
        except CannotLimit as error:
            log.warning("capacity not bounded as a whole, each container is", because=str(error))
            return ""
        self._cgroup = cgroup
        log.info("capacity bounded", cgroup=cgroup.path, cpu=offer.cpu, memory=offer.memory)
        return cgroup.path

    def _clean_up(self) -> None:
        if self._cgroup and not self._cgroup.remove():
            log.info("cgroup kept: containers live in it", cgroup=self._cgroup.path)
        if not self._settings.capacity:
            try:
                self._runtime.remove_network(self._settings.awsvpc_network)
            except RuntimeTrouble as error:
                log.warning("awsvpc network not removed", because=str(error))
