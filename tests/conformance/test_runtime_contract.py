"""What every runtime driver promises, asked of the simulated one and of a real Docker Engine alike."""

import io
import tarfile
import threading
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest

from agent.firelens import packed
from agent.pause import pause_tar
from agent.runtime import (
    Event,
    Hindered,
    ImageMissing,
    Kind,
    LogLine,
    LogStream,
    NameTaken,
    NotFound,
    Refused,
    Runtime,
    Status,
    Temporary,
)
from agent.runtime.docker import DockerRuntime
from agent.runtime.simulated import Program, SimulatedRuntime
from kit.clock import ManualClock, SystemClock, monotonic
from tests.support.engine import Engine

GRACE = timedelta(seconds=1)


class Rig(ABC):
    """A runtime and how to make things happen on it: ``body`` of a container that does something, and waiting."""

    runtime: Runtime

    def __init__(self) -> None:
        self.run = uuid.uuid4().hex[:12]
        self.labels = {"berth.test.contract": self.run}

    def name(self, name: str) -> str:
        return f"{self.run}-{name}"

    @abstractmethod
    def body(self, program: str, **host_config: Any) -> dict[str, Any]: ...

    @abstractmethod
    def wait_for_exit(self, container: str) -> None: ...

    def until(self, true: Any) -> None:
        give_up_at = monotonic() + 20
        while not true():
            assert monotonic() < give_up_at, "it did not happen in time"
            self.wait_a_moment()

    @abstractmethod
    def wait_a_moment(self) -> None: ...

    def create(self, name: str, program: str, **host_config: Any) -> str:
        return self.runtime.create(self.name(name), self.body(program, **host_config))

    def started(self, name: str, program: str, **host_config: Any) -> str:
        container = self.create(name, program, **host_config)
        self.runtime.start(container)
        return container


class SimulatedRig(Rig):
    PROGRAMS: Mapping[str, Program] = {
        "sleep": Program(),
        "exit-3": Program(lasts=timedelta(seconds=1), exit_code=3),
        "talk": Program(lasts=timedelta(seconds=1), output=("one", "two", "three")),
        "missing": Program(start_error='exec: "/no/such": no such file or directory'),
    }

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.runtime = self.simulated = SimulatedRuntime(clock=self.clock, images=self.PROGRAMS)

    def body(self, program: str, **host_config: Any) -> dict[str, Any]:
        return {"Image": program, "Labels": self.labels, "HostConfig": host_config}

    def wait_for_exit(self, container: str) -> None:
        self.wait_a_moment()

    def wait_a_moment(self) -> None:
        self.clock.tick(seconds=1)
        self.simulated.settle()


class DockerRig(Rig):
    COMMANDS: Mapping[str, list[str]] = {
        "sleep": ["sleep", "600"],
        "exit-3": ["sh", "-c", "sleep 0.3; exit 3"],
        "talk": ["sh", "-c", "echo one; echo two; echo three"],
        "missing": ["/no/such"],
    }

    def __init__(self, host: str, image: str) -> None:
        super().__init__()
        self.image = image
        self.clock = SystemClock()
        self.runtime = DockerRuntime(clock=self.clock, host=host)

    def body(self, program: str, **host_config: Any) -> dict[str, Any]:
        image = self.image if program in self.COMMANDS else program
        command = self.COMMANDS.get(program, [])
        ports = {port: {} for port in host_config.get("PortBindings", {})}
        return {
            "Image": image,
            "Cmd": command,
            "Labels": self.labels,
            "ExposedPorts": ports,
            "HostConfig": host_config,
        }

    def wait_for_exit(self, container: str) -> None:
        self.until(lambda: self.runtime.inspect(container).status is Status.EXITED)

    def wait_a_moment(self) -> None:
        threading.Event().wait(0.05)


@pytest.fixture(params=["simulated", pytest.param("docker", marks=pytest.mark.docker)])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    if request.param == "simulated":
        yield SimulatedRig()
        return
    engine = request.getfixturevalue("docker_engine")
    rig = DockerRig(engine.host, request.getfixturevalue("busybox_image"))
    yield rig
    engine.remove(f"berth.test.contract={rig.run}")
    rig.runtime.remove_network(rig.name("net"))
    rig.runtime.remove_volume(rig.name("vol"))
    rig.runtime.close()


def read_log(rig: Rig, container: str, *, since: str = "", follow: bool = False) -> list[LogLine]:
    with closing(rig.runtime.logs(container, since=since, follow=follow, tty=False)) as log:
        return list(log)


def test_a_container_goes_from_created_to_running_to_exited(rig: Rig) -> None:
    container = rig.create("c", "exit-3")
    assert rig.runtime.inspect(container).status is Status.CREATED
    rig.runtime.start(container)
    running = rig.runtime.inspect(container)
    assert (running.status, running.exit_code) == (Status.RUNNING, None)
    assert running.started_at is not None
    rig.wait_for_exit(container)
    exited = rig.runtime.inspect(container)
    assert (exited.status, exited.exit_code, exited.oom_killed) == (Status.EXITED, 3, False)
    assert exited.finished_at is not None
    assert exited.finished_at >= running.started_at


def test_a_container_is_found_by_id_by_name_and_by_labels(rig: Rig) -> None:
    container = rig.create("c", "sleep")
    assert rig.runtime.inspect(rig.name("c")).id == container
    assert [state.id for state in rig.runtime.list(rig.labels)] == [container]
    assert rig.runtime.list({**rig.labels, "other": "label"}) == ()
    assert rig.runtime.inspect(container).name == rig.name("c")


def test_a_name_is_given_once(rig: Rig) -> None:
    rig.create("c", "sleep")
    with pytest.raises(NameTaken):
        rig.create("c", "sleep")


def test_an_image_that_is_not_there_is_missing(rig: Rig) -> None:
    assert not rig.runtime.has_image("127.0.0.1:9/never:made")
    with pytest.raises(ImageMissing):
        rig.create("c", "127.0.0.1:9/never:made")
    with pytest.raises(ImageMissing):
        rig.runtime.image("127.0.0.1:9/never:made")
    # No registry there, or one without the image.
    with pytest.raises((Hindered, Refused)):
        rig.runtime.pull("127.0.0.1:9/never:made", None, lambda: False)


def test_a_program_that_is_not_there_refuses_to_start_and_leaves_its_reason(rig: Rig) -> None:
    container = rig.create("c", "missing")
    with pytest.raises(Refused, match="no such file or directory"):
        rig.runtime.start(container)
    state = rig.runtime.inspect(container)
    assert (state.status, state.exit_code) == (Status.CREATED, 127)
    assert "no such file or directory" in state.error


def test_every_call_may_be_repeated(rig: Rig) -> None:
    container = rig.started("c", "sleep")
    rig.runtime.start(container)
    rig.runtime.stop(container, GRACE)
    code = rig.runtime.inspect(container).exit_code
    rig.runtime.stop(container, GRACE)
    rig.runtime.kill(container)
    assert rig.runtime.inspect(container).exit_code == code
    rig.runtime.remove(container)
    rig.runtime.remove(container)


def test_a_kill_is_137(rig: Rig) -> None:
    container = rig.started("c", "sleep")
    rig.runtime.kill(container)
    rig.wait_for_exit(container)
    assert rig.runtime.inspect(container).exit_code == 137


def test_what_does_not_exist_is_not_found(rig: Rig) -> None:
    for call in (rig.runtime.start, rig.runtime.kill, rig.runtime.inspect, rig.runtime.stats):
        with pytest.raises(NotFound):
            call(rig.name("nobody"))
    with pytest.raises(NotFound):
        rig.runtime.stop(rig.name("nobody"), GRACE)


def test_a_running_container_is_removed_too(rig: Rig) -> None:
    container = rig.started("c", "sleep")
    rig.runtime.remove(container)
    assert rig.runtime.list(rig.labels) == ()


def test_a_death_is_told_to_whoever_asked_for_its_labels(rig: Rig) -> None:
    heard: list[Event] = []
    elsewhere: list[Event] = []
    subscriptions = [
        rig.runtime.events(rig.labels, heard.append),
        rig.runtime.events({"another": "label"}, elsewhere.append),
    ]
    container = rig.started("c", "exit-3")
    rig.until(lambda: any(event.kind is Kind.DIED for event in heard))
    died = next(event for event in heard if event.kind is Kind.DIED)
    assert died.container_id == container
    assert rig.labels.items() <= died.labels.items()
    assert elsewhere == []
    for subscription in subscriptions:
        subscription.close()


def test_free_ports_are_chosen_and_taken_ones_refused(rig: Rig) -> None:
    first = rig.started("a", "sleep", PortBindings={"80/tcp": [{"HostPort": ""}]})
    [port] = rig.runtime.inspect(first).ports
    assert (port.container_port, port.protocol, port.bind_ip) == (80, "tcp", "0.0.0.0")
    second = rig.create("b", "sleep", PortBindings={"80/tcp": [{"HostPort": str(port.host_port)}]})
    with pytest.raises(Refused, match="port is already allocated"):
        rig.runtime.start(second)


def test_a_log_is_read_from_any_line_on(rig: Rig) -> None:
    container = rig.started("c", "talk")
    rig.wait_for_exit(container)
    lines = read_log(rig, container)
    assert [line.text for line in lines] == [b"one", b"two", b"three"]
    assert [line.at for line in lines] == sorted(line.at for line in lines)
    again = read_log(rig, container, since=lines[1].at)
    assert [line.text for line in again] == [b"two", b"three"]


def test_following_a_log_ends_with_the_container(rig: Rig) -> None:
    container = rig.started("c", "talk")
    assert [line.text for line in read_log(rig, container, follow=True)] == [b"one", b"two", b"three"]


@pytest.mark.parametrize("tty", [False, True])
def test_a_log_that_is_followed_can_be_closed_from_another_thread(rig: Rig, tty: bool) -> None:
    container = rig.runtime.create(rig.name("c"), {**rig.body("sleep"), "Tty": tty})
    rig.runtime.start(container)
    for _ in range(5):
        log = rig.runtime.logs(container, since="", follow=True, tty=tty)
        ended: list[object] = []

        def read(log: LogStream = log, ended: list[object] = ended) -> None:
            try:
                ended.append(list(log))
            except Exception as error:
                ended.append(error)

        reading = threading.Thread(target=read)
        reading.start()
        rig.wait_a_moment()
        log.close()
        reading.join(10)
        assert ended == [[]]


def test_usage_is_counted(rig: Rig) -> None:
    container = rig.started("c", "sleep")
    usage = rig.runtime.stats(container)
    assert usage.memory_bytes > 0
    assert usage.cpu_ns >= 0


def test_a_network_is_made_once_and_keeps_its_addresses(rig: Rig) -> None:
    name = rig.name("net")
    cidr = f"10.{200 + uuid.uuid4().int % 32}.{uuid.uuid4().int % 256}.0/28"
    assert rig.runtime.network(name, cidr) == cidr
    assert rig.runtime.network(name, "10.99.0.0/28") == cidr
    rig.started("c", "sleep", NetworkMode=name)
    assert not rig.runtime.remove_network(name)
    rig.runtime.remove(rig.name("c"))
    assert rig.runtime.remove_network(name)
    assert rig.runtime.remove_network(name)


def test_containers_share_a_network_namespace_only_while_its_owner_runs(rig: Rig) -> None:
    owner = rig.create("owner", "sleep")
    guest = rig.create("guest", "sleep", NetworkMode=f"container:{rig.name('owner')}")
    with pytest.raises(Refused):
        rig.runtime.start(guest)
    rig.runtime.start(owner)
    rig.runtime.start(guest)
    assert rig.runtime.inspect(guest).status is Status.RUNNING


def test_volumes_come_and_go(rig: Rig) -> None:
    name = rig.name("vol")
    assert not rig.runtime.has_volume(name)
    rig.runtime.create_volume(name, "local", {}, rig.labels)
    rig.runtime.create_volume(name, "local", {}, rig.labels)
    assert rig.runtime.has_volume(name)
    rig.runtime.remove_volume(name)
    rig.runtime.remove_volume(name)
    assert not rig.runtime.has_volume(name)


def test_a_volume_has_a_place_on_the_engines_machine(rig: Rig) -> None:
    name = rig.name("vol")
    with pytest.raises(NotFound):
        rig.runtime.volume_path(name)
    rig.runtime.create_volume(name, "local", {}, rig.labels)
    path = rig.runtime.volume_path(name)
    assert path.startswith("/")
    assert name in path


def test_files_are_put_into_a_container_before_it_starts_and_again(rig: Rig) -> None:
    tar = packed({"word": b"one"})
    container = rig.create("c", "sleep")
    for _ in range(2):
        rig.runtime.put(container, "/tmp", tar)
    rig.runtime.start(container)
    with pytest.raises(NotFound):
        rig.runtime.put(rig.name("absent"), "/tmp", tar)


def test_a_container_is_started_again_in_its_place(rig: Rig) -> None:
    container = rig.started("c", "exit-3")
    rig.wait_for_exit(container)
    first = rig.runtime.inspect(container)
    rig.runtime.start(container)
    again = rig.runtime.inspect(container)
    assert (again.id, again.status, again.exit_code) == (first.id, Status.RUNNING, None)
    assert first.started_at and again.started_at
    assert again.started_at > first.started_at
    rig.wait_for_exit(container)
    last = rig.runtime.inspect(container)
    assert last.finished_at and first.finished_at
    assert last.finished_at > first.finished_at


def test_a_container_on_the_bridge_has_an_address_while_it_runs(rig: Rig) -> None:
    container = rig.started("c", "sleep", NetworkMode="bridge")
    assert rig.runtime.inspect(container).address
    rig.runtime.stop(container, GRACE)
    assert not rig.runtime.inspect(container).address


def test_details_and_statistics_are_told_of_what_runs(rig: Rig) -> None:
    container = rig.started("sleeper", "sleep", NetworkMode="bridge")
    details = rig.runtime.details(container)
    assert details.image_id and details.created_at is not None
    assert details.addresses == {"bridge": rig.runtime.inspect(container).address}
    assert (details.pid > 0) == rig.runtime.info().local
    sample = rig.runtime.statistics(container)
    assert sample["read"] and sample["cpu_stats"]["cpu_usage"]["total_usage"] >= 0
    assert sample["memory_stats"] and {"rx_bytes", "tx_bytes"} <= sample["networks"]["eth0"].keys()
    rig.runtime.stop(container, GRACE)
    assert rig.runtime.details(container).pid == 0
    for ask in (rig.runtime.details, rig.runtime.statistics):
        with pytest.raises(NotFound):
            ask(rig.name("nobody"))


def test_an_imported_image_runs(rig: Rig) -> None:
    image = f"berth-test/pause:{rig.run}"
    architecture = rig.runtime.info().architecture
    rig.runtime.import_image(
        image, pause_tar(architecture), ('ENTRYPOINT ["/pause"]', f"LABEL berth.test.contract={rig.run}")
    )
    assert rig.runtime.has_image(image)
    body = {"Image": image, "Labels": rig.labels, "HostConfig": {}}
    container = rig.runtime.create(rig.name("pause"), body)
    rig.runtime.start(container)
    assert rig.runtime.inspect(container).status is Status.RUNNING
    before = monotonic()
    rig.runtime.stop(container, timedelta(seconds=30))
    assert monotonic() - before < 15, "the pause program must end at once when told to"
    assert rig.runtime.inspect(container).status is Status.EXITED


def test_an_image_is_kept_while_a_container_has_it_and_removed_by_its_name_or_id(rig: Rig) -> None:
    image = f"berth-test/kept:{rig.run}"
    tar = pause_tar(rig.runtime.info().architecture)
    rig.runtime.import_image(image, tar, ('ENTRYPOINT ["/pause"]', f"LABEL berth.test.contract={rig.run}"))
    found = rig.runtime.image(image)
    assert image in found.names
    assert rig.runtime.image(found.id).id == found.id
    assert found.id not in rig.runtime.images_in_use()
    rig.runtime.create(rig.name("c"), {"Image": image, "Labels": rig.labels, "HostConfig": {}})
    assert found.id in rig.runtime.images_in_use()
    for name in (image, found.id):
        with pytest.raises(Refused):
            rig.runtime.remove_image(name)
    assert rig.runtime.has_image(image)
    rig.runtime.remove(rig.name("c"))
    for _ in range(2):
        rig.runtime.remove_image(image)
    assert not rig.runtime.has_image(image)
    with pytest.raises(ImageMissing):
        rig.runtime.image(found.id)


def test_the_engine_says_what_it_is(rig: Rig) -> None:
    info = rig.runtime.info()
    assert info.version
    assert info.cpus >= 1
    assert info.memory_mib > 0
    assert info.architecture in ("x86_64", "aarch64")


def test_an_engine_that_does_not_answer_is_a_temporary_trouble(rig: Rig) -> None:
    if isinstance(rig, SimulatedRig):
        rig.simulated.go_away()
        away: Runtime = rig.runtime
    else:
        away = DockerRuntime(clock=SystemClock(), host="tcp://127.0.0.1:9")
    for call in (away.info, lambda: away.inspect("c"), lambda: away.list({}), lambda: away.create("c", {"Image": "i"})):
        with pytest.raises(Temporary):
            call()


def test_the_pause_image_holds_one_program_and_is_always_the_same() -> None:
    assert pause_tar("x86_64") == pause_tar("x86_64")
    with tarfile.open(fileobj=io.BytesIO(pause_tar("aarch64"))) as tar:
        assert tar.getnames() == ["pause"]


@pytest.mark.docker
def test_a_terminals_log_and_a_very_long_line_are_read_whole(docker_engine: Engine, busybox_image: str) -> None:
    rig = DockerRig(docker_engine.host, busybox_image)
    script = "echo first; head -c 40000 /dev/zero | tr '\\0' x; echo; printf unfinished"
    for tty in (False, True):
        body = {**rig.body("sleep"), "Cmd": ["sh", "-c", script], "Tty": tty}
        container = rig.runtime.create(rig.name(f"tty-{tty}"), body)
        rig.runtime.start(container)
        rig.wait_for_exit(container)
        with closing(rig.runtime.logs(container, since="", follow=False, tty=tty)) as log:
            lines = [line.text for line in log]
        assert lines[0] == b"first"
        assert lines[-1] == b"unfinished"
        if not tty:
            assert lines[1] == b"x" * 40000
    docker_engine.remove(f"berth.test.contract={rig.run}")
    rig.runtime.close()
