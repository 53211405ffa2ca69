"""The parts of one agent, each made of those before it. Nothing runs yet: ``app`` begins and ends them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from agent.control.acs import Acs
from agent.control.aws import Aws
from agent.control.membership import Membership
from agent.control.reporter import Reporter
from agent.control.session import Session, dial
from agent.control.tcs import Tcs
from agent.control.usage import UsageMeter
from agent.endpoints.endpoints import Endpoints
from agent.endpoints.wiring import NoWiring
from agent.env_files import EnvironmentFiles
from agent.exec.sessions import ExecSessions
from agent.executor import ThreadExecutor
from agent.firelens import Firelens
from agent.images import EcrLogins, Images
from agent.images.cleaner import Cleaner, disk_of
from agent.images.records import RecordFile
from agent.injections import Injections
from agent.log import facts
from agent.logs.cursor import CursorFiles
from agent.logs.shipper import LogShipper
from agent.runtime import EngineInfo, Runtime
from agent.s3 import S3
from agent.secrets import Secrets
from agent.settings import AgentSettings
from agent.storage import StorageWatch
from agent.surroundings import TaskSurroundings
from agent.tasks import messages as m
from agent.tasks.actions import Actions
from agent.tasks.engine import Engine
from agent.tasks.files import TaskFiles
from agent.tasks.host_ports import HostPorts, local_ports
from agent.tasks.model import Task
from agent.tasks.render import Host
from kit.clock import Clock

log = facts(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What all parts stand on. ``clock`` is the machine's; ``steady`` is for what is waited for."""

    settings: AgentSettings
    clock: Clock
    steady: Clock
    runtime: Runtime
    info: EngineInfo
    host: Host
    network_cidr: str
    aws: Aws
    membership: Membership


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Those that have a life of their own.

    ``endpoints`` is None where this agent can't be reached from its containers, ``cleaner`` where images stay.
    """

    engine: Engine
    reporter: Reporter
    shipper: LogShipper
    storage: StorageWatch
    endpoints: Endpoints | None
    records: RecordFile
    cleaner: Cleaner | None
    sessions: ExecSessions
    payloads: Session
    acs: Acs
    telemetry: Session
    tcs: Tcs


def put_together(ground: Ground) -> Parts:
    """Everything that an agent is made of, in the order in which one needs the other."""
    settings, runtime, aws, membership = ground.settings, ground.runtime, ground.aws, ground.membership

    # The engine is made of parts that tell it things: they know it by these two.
    def post(message: m.Message) -> None:
        engine.post(message)

    def tasks() -> tuple[Task, ...]:
        return engine.tasks()

    reporter = Reporter(aws=aws, clock=ground.clock, post=post)
    shipper = LogShipper(aws=aws, runtime=runtime, cursors=CursorFiles(settings.data), clock=ground.steady, post=post)
    storage = StorageWatch(runtime=runtime, tasks=tasks, post=post, steady=ground.steady)
    endpoints = _endpoints(ground, storage, tasks)
    records = RecordFile(settings.image_records or settings.data / "images.json")
    images = Images(
        runtime=runtime,
        clock=ground.clock,
        behavior=settings.pull_behavior,
        registry=EcrLogins(aws=aws, clock=ground.clock, server=settings.registry),
        records=records,
    )
    telemetry = Session(name="telemetry", door=lambda: membership.doors().telemetry, aws=aws, clock=ground.steady)
    tcs = Tcs(
        identity=lambda: membership.identity,
        docker_version=lambda: ground.info.version,
        tasks=tasks,
        meter=UsageMeter(runtime=runtime, cpus=ground.info.cpus),
        send=telemetry.send,
        clock=ground.clock,
        steady=ground.steady,
    )
    engine = Engine(
        actions=Actions(
            runtime=runtime,
            images=images,
            host=ground.host,
            surroundings=TaskSurroundings(
                runtime=runtime,
                host=ground.host,
                network_cidr=ground.network_cidr,
                logs=shipper,
                injections=_injections(ground),
                endpoints=endpoints.reach if endpoints else None,
            ),
            logs=shipper,
            clock=ground.clock,
            ports=_ports(ground),
        ),
        executor=ThreadExecutor(),
        files=TaskFiles(settings.data),
        clock=ground.clock,
        steady=ground.steady,
        reports=reporter,
        on_health=tcs.health_changed,
        on_runtime=tcs.runtime_changed,
    )
    sessions = ExecSessions(
        runtime=runtime,
        identity=lambda: membership.identity,
        tasks=tasks,
        dial=lambda url: dial(aws, url),
        clock=ground.clock,
    )
    payloads = Session(name="payloads", door=lambda: membership.doors().agent, aws=aws, clock=ground.steady)
    acs = Acs(
        identity=lambda: membership.identity,
        cluster_arn=lambda: membership.cluster_arn,
        docker_version=lambda: ground.info.version,
        post=post,
        send=payloads.send,
        on_open=reporter.hurry,
        summoned=sessions.summoned,
    )
    return Parts(
        engine=engine,
        reporter=reporter,
        shipper=shipper,
        storage=storage,
        endpoints=endpoints,
        records=records,
        cleaner=_cleaner(ground, images, records, engine),
        sessions=sessions,
        payloads=payloads,
        acs=acs,
        telemetry=telemetry,
        tcs=tcs,
    )


def _endpoints(ground: Ground, storage: StorageWatch, tasks: Callable[[], Iterable[Task]]) -> Endpoints | None:
    """What containers see at 169.254.170.2."""
    try:
        return Endpoints(
            runtime=ground.runtime,
            engine=ground.info,
            data=ground.settings.data,
            # A piece of capacity runs tasks with namespaces of their own; the host's is left to its agent.
            door=not ground.settings.capacity,
            zone=lambda: ground.membership.identity.zone,
            storage=lambda: storage.used,
            tasks=tasks,
            aws=ground.aws,
            clock=ground.clock,
            steady=ground.steady,
        )
    except NoWiring as error:
        log.warning("tasks get no metadata and no credentials of their role", because=str(error))
        return None


def _injections(ground: Ground) -> Injections:
    s3 = S3(
        endpoint=ground.settings.s3_endpoint,
        region=ground.settings.region,
        clock=ground.clock,
        keys=ground.settings.s3_keys,
        trust=ground.aws.trust,
    )
    secrets = Secrets(aws=ground.aws)
    firelens = Firelens(runtime=ground.runtime, secrets=secrets, s3=s3, agent_id=ground.host.agent_id)
    return Injections(secrets=secrets, environment_files=EnvironmentFiles(s3), firelens=firelens)


def _ports(ground: Ground) -> HostPorts:
    """Where the engine's ports are this machine's, they can be tried before they are picked."""
    reserved = ground.settings.reserved_ports
    return local_ports(reserved) if ground.info.local else HostPorts(reserved=reserved)


def _cleaner(ground: Ground, images: Images, records: RecordFile, engine: Engine) -> Cleaner | None:
    if not ground.settings.clean_up:
        return None
    return Cleaner(
        runtime=ground.runtime,
        images=images,
        records=records,
        rules=ground.settings.clean_up,
        clock=ground.clock,
        steady=ground.steady,
        disk=disk_of(ground.info),
        wanted=lambda: images.wanted(engine.tasks()),
    )
