"""The ``berth`` command where things are not as it expects: plain words, and an exit code."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kit.processes import find_processes
from tests.support import faults
from tests.support.berth import (
    BERTH,
    clean_environment,
    free_port,
    make_client,
    processes_of,
    read_env,
    running_berth,
    until,
)
from tests.support.engine import Engine

NOBODY = 65534
# Root without what lets root read and write everything.
UNPRIVILEGED = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


class Place:
    """A directory that ``berth`` is called on."""

    def __init__(self, root: Path, engine: str) -> None:
        self.data = root / "data"
        self.environment = clean_environment(root, engine) | {"BERTH_DOCKER_HOST": engine}
        self.ports = (free_port(), free_port())

    def berth(self, *words: str, by: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        command = [*by, *BERTH, *words, "--data", str(self.data)]
        return subprocess.run(command, capture_output=True, text=True, env=self.environment, timeout=120, check=False)

    def up(self, *, port: int = 0, registry_port: int = 0) -> subprocess.CompletedProcess[str]:
        ports = ("--port", str(port or self.ports[0]), "--registry-port", str(registry_port or self.ports[1]))
        return self.berth("up", "--detach", *ports)


@pytest.fixture
def place(docker_engine: Engine) -> Iterator[Place]:
    root = Path(tempfile.mkdtemp(prefix="berth-cli-"))
    place = Place(root, docker_engine.host)
    yield place
    place.berth("down")
    assert processes_of(root) == []
    shutil.rmtree(root)


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """What a command that could not be done said: one plain sentence, and no traceback."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stderr.startswith("berth: ")
    return done.stderr


def test_nothing_is_up(place: Place) -> None:
    assert "berth up" in refused(place.berth("status"))
    assert "berth up" in refused(place.berth("env"))
    down = place.berth("down")
    assert (down.returncode, down.stdout) == (0, f"No Berth was up in {place.data}.\n")
    assert not place.data.exists()


def test_up_twice_and_down_twice(place: Place) -> None:
    first = place.up()
    assert first.returncode == 0, first.stderr
    card = json.loads((place.data / "berth.json").read_text())

    second = place.up(port=free_port(), registry_port=free_port())

    assert (second.returncode, second.stdout.split(":")[0]) == (0, "Berth is already up")
    assert json.loads((place.data / "berth.json").read_text()) == card
    down = place.berth("down")
    assert (down.returncode, down.stdout) == (0, f"Berth in {place.data} is down.\n")
    again = place.berth("down")
    assert (again.returncode, again.stdout) == (0, f"No Berth was up in {place.data}.\n")
    assert "is down" in refused(place.berth("status"))
    assert "is down" in refused(place.berth("env"))


@pytest.mark.parametrize("what", ["API", "registry"])
def test_a_port_that_is_taken(place: Place, what: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        done = place.up(port=port) if what == "API" else place.up(registry_port=port)

    said = refused(done)
    assert f"the {what} cannot listen on 127.0.0.1:{port}" in said and "another port" in said
    assert find_processes(["--serve-data", str(place.data)]) == []
    assert place.up().returncode == 0


def test_a_port_that_is_no_port(place: Place) -> None:
    for port in ("-1", "70000"):
        assert place.up(port=int(port)).returncode in (1, 2)
        assert "Traceback" not in place.up(port=int(port)).stderr
    assert place.berth("up", "--port", "many").returncode == 2


def test_a_data_directory_that_is_a_file(place: Place) -> None:
    place.data.write_text("not a directory")
    for command in (("up", "--detach"), ("status",), ("env",)):
        assert str(place.data) in refused(place.berth(*command))


def test_a_data_directory_of_somebody_else(place: Place) -> None:
    place.data.mkdir(mode=0o700)
    os.chown(place.data, NOBODY, NOBODY)
    for command in (("up", "--detach"), ("status",), ("env",)):
        said = refused(place.berth(*command, by=UNPRIVILEGED))
        assert str(place.data) in said and "ermission" in said


def test_a_store_that_is_no_database(place: Place) -> None:
    place.data.mkdir(mode=0o700)
    (place.data / "berth.db").write_text("this is not a database " * 1000)

    said = refused(place.up())

    assert "berth.db" in said and "damaged" in said


def test_in_the_foreground_a_person_is_told_when_it_is_up_and_ends_it_all_with_ctrl_c(place: Place) -> None:
    ours, theirs = os.openpty()
    ports = ("--port", str(place.ports[0]), "--registry-port", str(place.ports[1]))
    started = subprocess.Popen(
        [*BERTH, "up", *ports, "--data", str(place.data)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=place.environment,
        start_new_session=True,
    )
    os.close(theirs)
    said = b""
    try:
        while b"berth env --data" not in said:
            said += os.read(ours, 4096)
        assert f"Berth is up: API http://127.0.0.1:{place.ports[0]}".encode() in said
        started.send_signal(signal.SIGINT)
        assert started.wait(60) == 0
    finally:
        started.kill()
        started.wait()
        os.close(ours)
    assert b"Traceback" not in said
    assert find_processes(["--serve-data", str(place.data)]) == []


def test_another_master_key(place: Place) -> None:
    assert place.up().returncode == 0
    place.berth("down")
    place.environment["BERTH_SECRET_KEY"] = "A" * 43 + "="

    assert "master key" in refused(place.up())
    del place.environment["BERTH_SECRET_KEY"]


def test_settings_that_make_no_sense(place: Place) -> None:
    for name, value in {"ACCOUNT": "12", "PORT": "many", "INJECT_ENDPOINT": "perhaps", "SECRET_KEY": "short"}.items():
        place.environment[f"BERTH_{name}"] = value
        command = [*BERTH, "up", "--detach", "--data", str(place.data), "--registry-port", str(place.ports[1])]
        done = subprocess.run(command, capture_output=True, text=True, env=place.environment, timeout=60, check=False)
        assert f"BERTH_{name}" in refused(done)
        del place.environment[f"BERTH_{name}"]


def test_without_an_engine_the_api_answers_and_no_host_is_shown(place: Place) -> None:
    place.environment["BERTH_DOCKER_HOST"] = f"unix://{place.data}/nobody.sock"
    assert place.up().returncode == 0

    shown = place.berth("status")
    assert (shown.returncode, "No hosts" in shown.stdout) == (0, True)
    ecs = make_client("ecs", place.environment | read_env(place.berth("env").stdout))
    assert ecs.list_container_instances()["containerInstanceArns"] == []
    log = place.data / "logs" / "agent.log"
    until("the agent says what it waits for", lambda: "engine does not answer" in log.read_text())
    assert len(find_processes(["--data", str(place.data / "agent")])) == 1


def test_down_with_tasks_kept_and_up_again(docker_engine: Engine, busybox_image: str) -> None:
    with running_berth(docker_engine) as berth:
        image = berth.push(busybox_image, "faults/busybox")
        family = faults.register(berth, "kept", image, "sleep", "600")
        ids = faults.runtime_ids(faults.all_at(berth, "RUNNING", [faults.run_one(berth, family) for _ in range(2)]))

        berth.berth("down", "--keep-tasks")
        assert processes_of(berth.data) == []
        assert [docker_engine.client.containers.get(one).status for one in ids.values()] == ["running"] * 2
        faults.up_again(berth)

        until("the host is back", lambda: "connected" in berth.berth("status"))
        after = faults.all_at(berth, "RUNNING", ids)
        assert faults.runtime_ids(after) == ids
        faults.stop_all(berth)


def test_up_again_on_another_port_takes_its_hosts_along(docker_engine: Engine, busybox_image: str) -> None:
    with running_berth(docker_engine) as berth:
        image = berth.push(busybox_image, "faults/busybox")
        family = faults.register(berth, "moved", image, "sleep", "600")
        ids = faults.runtime_ids(faults.all_at(berth, "RUNNING", [faults.run_one(berth, family)]))

        faults.kill(faults.control_plane(berth))
        berth.berth("up", "--detach", "--port", str(free_port()), "--registry-port", str(free_port()))
        moved = replace(berth, environment={**berth.environment, **read_env(berth.berth("env"))})

        assert moved.environment["AWS_ENDPOINT_URL"] != berth.environment["AWS_ENDPOINT_URL"]
        until("the host is back", lambda: "connected" in moved.berth("status"))
        assert faults.runtime_ids(faults.all_at(moved, "RUNNING", ids)) == ids
        faults.stop_all(moved)


def test_down_stops_what_runs_and_up_again_says_so(docker_engine: Engine, busybox_image: str) -> None:
    with running_berth(docker_engine) as berth:
        image = berth.push(busybox_image, "faults/busybox")
        family = faults.register(berth, "ended", image, "sleep", "600")
        arn = faults.run_one(berth, family)
        faults.all_at(berth, "RUNNING", [arn])

        berth.berth("down")
        assert faults.on_engine(berth, arn) == []
        faults.up_again(berth)

        (task,) = faults.all_at(berth, "STOPPED", [arn])
        assert task["stoppedReason"]
