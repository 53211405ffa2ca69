"""The ground the other tests stand on: fresh stores, an engine that cleans up, an engine to stop, a tiny image."""

import socket
import subprocess
import tempfile
import urllib.request
from contextlib import closing
from pathlib import Path

import docker.errors
import pytest
from sqlalchemy import create_engine, inspect, text

from tests.support.berth import until
from tests.support.engine import Engine, OwnEngine, connect, start_second_engine
from tests.support.images import make_busybox_image
from tests.support.postgres import Postgres


def run(engine: Engine, image: str, *command: str) -> str:
    output: bytes = engine.client.containers.run(image, list(command), labels=engine.labels, remove=True)
    return output.decode()


@pytest.mark.parametrize("turn", ["first", "second"])
def test_every_test_gets_an_empty_store_of_its_own(empty_store_url: str, turn: str) -> None:
    engine = create_engine(empty_store_url)
    with engine.begin() as link:
        assert inspect(link).get_table_names() == []
        link.execute(text("CREATE TABLE kept (turn TEXT)"))
        link.execute(text("INSERT INTO kept VALUES (:turn)"), {"turn": turn})
    engine.dispose()


def test_a_store_is_dropped_even_while_somebody_is_connected(postgres: Postgres, postgresql_url: str) -> None:
    engine = create_engine(postgresql_url)
    link = engine.connect()
    postgres.drop_database(postgresql_url)
    with pytest.raises(Exception, match=r"terminat|closed"):
        link.execute(text("SELECT 1"))
    link.invalidate()
    engine.dispose()


def test_the_tiny_image_runs_a_shell(docker_engine: Engine, busybox_image: str) -> None:
    assert run(docker_engine, busybox_image, "sh", "-c", "echo $((6 * 7)) | cat") == "42\n"


def test_the_tiny_image_serves_and_fetches_a_page(docker_engine: Engine, busybox_image: str) -> None:
    script = "httpd -h /www && wget -q -O - http://127.0.0.1/"
    assert run(docker_engine, busybox_image, "sh", "-c", script) == "hello from berth\n"


def test_everything_with_the_runs_label_is_removed(docker_engine: Engine) -> None:
    ours = connect(docker_engine.host)
    image = make_busybox_image(ours, f"berth-test/gone:{ours.run}")
    ours.client.networks.create(f"berth-test-{ours.run}", labels=ours.labels)
    volume = ours.client.volumes.create(labels=ours.labels)
    container = ours.client.containers.run(
        image, ["sleep", "60"], detach=True, labels=ours.labels, volumes=[f"{volume.name}:/v"]
    )

    ours.remove()

    assert ours.containers() == []
    with pytest.raises(docker.errors.NotFound):
        ours.client.containers.get(container.id)
    with pytest.raises(docker.errors.ImageNotFound):
        ours.client.images.get(image)
    with pytest.raises(docker.errors.NotFound):
        ours.client.volumes.get(volume.name)
    assert ours.client.networks.list(names=[f"berth-test-{ours.run}"]) == []
    ours.remove()
    ours.client.close()


def test_a_second_engine_is_another_host(docker_engine: Engine, second_engine: OwnEngine) -> None:
    other = connect(second_engine.host)
    image = make_busybox_image(other, "tiny:1")
    assert run(other, image, "echo", "here") == "here\n"
    with pytest.raises(docker.errors.ImageNotFound):
        docker_engine.client.images.get("tiny:1")
    other.client.close()


def test_a_second_engine_serves_its_ports_and_reaches_this_machine(second_engine: OwnEngine) -> None:
    other = connect(second_engine.host)
    image = make_busybox_image(other, "tiny:1")
    other.client.containers.run(
        image, ["httpd", "-f", "-h", "/www"], ports={"80/tcp": 8080}, labels=other.labels, detach=True
    )
    fetch = second_engine.enter("/bin/busybox", "wget", "-q", "-O", "-", f"http://{second_engine.address}:8080/")

    def page() -> bytes:
        return subprocess.run(fetch, capture_output=True, check=False).stdout

    # A container that runs does not listen yet.
    assert until("the page is served", page) == b"hello from berth\n"
    with urllib.request.urlopen(f"http://{second_engine.address}:8080/", timeout=5) as answer:
        assert answer.read() == b"hello from berth\n"
    with socket.create_server((second_engine.gateway, 0)) as here:
        port = str(here.getsockname()[1])
        assert run(other, image, "nc", "-w", "5", second_engine.gateway, port, "-e", "true") == ""
    other.client.close()


def test_a_second_engine_leaves_the_machines_own_network_alone(docker_engine: Engine, busybox_image: str) -> None:
    with closing(start_second_engine(Path(tempfile.mkdtemp(prefix="berth-engine-")))) as engine:
        engine.kill()
        engine.start()
    assert run(docker_engine, busybox_image, "echo", "still here") == "still here\n"


def test_a_killed_second_engine_comes_back_with_its_images(second_engine: OwnEngine) -> None:
    other = connect(second_engine.host)
    make_busybox_image(other, "tiny:1")
    other.client.close()

    second_engine.kill()
    with pytest.raises(pytest.fail.Exception, match="no Docker Engine answers"):
        connect(second_engine.host)

    again = second_engine.start()

    assert again.client.images.get("tiny:1")
