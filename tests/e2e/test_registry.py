"""The registry through the clients people use: the ``docker`` command and ``skopeo``, and through a killed process."""

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support.engine import Engine
from tests.support.images import make_busybox_image
from tests.support.registry import RegistryClient, running_registry, sha256
from tests.support.registry_process import registry_process


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RegistryClient]:
    with running_registry(tmp_path) as running:
        running.make_repository("team/web")
        running.make_repository("team/copy")
        yield running


class Docker:
    """The ``docker`` command with a configuration of its own; ``image`` is on the engine alone."""

    def __init__(self, engine: Engine, registry: RegistryClient, directory: Path) -> None:
        self._command = ["docker", "--host", engine.host, "--config", str(directory / "docker")]
        self.address = registry.address
        self.image = make_busybox_image(
            engine, f"{registry.address}/team/web:v1", changes=('CMD ["echo", "hello from the registry"]',)
        )

    def run(self, *words: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*self._command, *words], input=text, capture_output=True, text=True, timeout=120)

    def must(self, *words: str, text: str | None = None) -> str:
        done = self.run(*words, text=text)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def log_in(self, password: str) -> None:
        self.must("login", "--username", "AWS", "--password-stdin", self.address, text=password)


@pytest.fixture
def docker(docker_engine: Engine, registry: RegistryClient, tmp_path: Path) -> Iterator[Docker]:
    command = Docker(docker_engine, registry, tmp_path)
    yield command
    # Name by name: with its last name an image goes, and the nameless one it was built on goes with it.
    for image in docker_engine.client.images.list():
        for name in (*image.tags, *image.attrs["RepoDigests"]):
            if name.startswith(f"{registry.address}/"):
                command.run("image", "rm", "--force", name)


@pytest.fixture(scope="session")
def skopeo() -> str:
    """The program ``skopeo``."""
    found = shutil.which("skopeo")
    if found is None:
        pytest.fail("skopeo is missing; run: .ci/setup e2e", pytrace=False)
    return found


def test_docker_pushes_and_pulls_by_tag_and_by_digest(docker: Docker, registry: RegistryClient) -> None:
    docker.log_in(registry.password)
    pushed = docker.must("push", docker.image)
    digest = registry.call("HEAD", "team/web/manifests/v1").headers["Docker-Content-Digest"]
    assert f"digest: {digest}" in pushed
    for name in (docker.image, f"{registry.address}/team/web@{digest}"):
        docker.must("image", "rm", "--force", docker.must("image", "ls", "-q", "--no-trunc", docker.image).strip())
        docker.must("pull", name)
        assert docker.must("run", "--rm", "--network", "none", name) == "hello from the registry\n"
        docker.run("tag", name, docker.image)


def test_docker_pushes_layers_that_are_there_only_once(docker: Docker, registry: RegistryClient) -> None:
    docker.log_in(registry.password)
    docker.must("push", docker.image)
    assert "Layer already exists" in docker.must("push", docker.image)
    other = f"{registry.address}/team/copy:v2"
    docker.must("tag", docker.image, other)
    assert "Mounted from team/web" in docker.must("push", other)


def test_docker_is_told_why_it_may_not_push(docker: Docker, registry: RegistryClient) -> None:
    assert "no basic auth credentials" in docker.run("push", docker.image).stderr
    wrong = docker.run("login", "-u", "AWS", "--password-stdin", registry.address, text="wrong")
    assert (wrong.returncode != 0, "401 Unauthorized" in wrong.stderr) == (True, True)
    docker.log_in(registry.password)
    nowhere = f"{registry.address}/team/nowhere:v1"
    docker.must("tag", docker.image, nowhere)
    answer = docker.run("push", nowhere)
    assert answer.returncode != 0
    assert "The repository with name 'team/nowhere' does not exist in the registry" in answer.stderr


def test_docker_may_not_move_an_immutable_tag(docker: Docker, registry: RegistryClient) -> None:
    registry.make_repository("team/fixed", tag_mutability="IMMUTABLE")
    docker.log_in(registry.password)
    fixed = f"{registry.address}/team/fixed:v1"
    docker.must("tag", docker.image, fixed)
    docker.must("push", fixed)
    docker.must("push", fixed)
    docker.must("build", "--tag", fixed, "-", text=f"FROM {docker.image}\nLABEL changed=yes\n")
    refused = docker.run("push", fixed)
    assert "cannot be overwritten because the tag is immutable" in refused.stderr


def test_docker_pulls_with_a_key_that_may_only_pull(docker: Docker, registry: RegistryClient) -> None:
    docker.log_in(registry.password)
    docker.must("push", docker.image)
    docker.log_in(registry.token(actions=["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"], key_id="AKIAPULL"))
    docker.must("pull", docker.image)
    docker.must("build", "--tag", docker.image, "-", text=f"FROM {docker.image}\nLABEL changed=yes\n")
    refused = docker.run("push", docker.image)
    assert (refused.returncode != 0, "denied" in refused.stderr) == (True, True)


def test_skopeo_copies_both_ways_by_tag_and_by_digest(skopeo: str, registry: RegistryClient, tmp_path: Path) -> None:
    registry.push_image("team/web", "v1", layer=b"\x1f\x8b" + bytes(3_000_000))
    digest = registry.call("HEAD", "team/web/manifests/v1").headers["Docker-Content-Digest"]
    at, local = f"docker://{registry.address}/team", f"dir:{tmp_path / 'image'}"

    def copy(source: str, target: str) -> None:
        sides = [
            f"--{side}-{option}"
            for side, where in (("src", source), ("dest", target))
            if where.startswith("docker:")
            for option in ("tls-verify=false", f"creds=AWS:{registry.password}")
        ]
        done = subprocess.run(
            [skopeo, "copy", "--insecure-policy", *sides, source, target],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr

    copy(f"{at}/web:v1", local)
    assert sha256((tmp_path / "image" / "manifest.json").read_bytes()) == digest
    copy(local, f"{at}/copy:by-tag")
    copy(f"{at}/web@{digest}", f"{at}/copy:from-digest")
    copy(f"{at}/copy@{digest}", local)
    copy(local, f"{at}/copy@{digest}")
    assert registry.call("GET", "team/copy/tags/list").json()["tags"] == ["by-tag", "from-digest"]
    for tag in ("by-tag", "from-digest"):
        head = registry.call("HEAD", f"team/copy/manifests/{tag}")
        assert head.headers["Docker-Content-Digest"] == digest


def test_an_upload_goes_on_after_the_registry_was_killed_in_the_middle(tmp_path: Path) -> None:
    data = os.urandom(1 << 20) * 24
    digest = sha256(data)
    with registry_process(tmp_path) as (client, process):
        client.make_repository("web")
        location = client.call("POST", "web/blobs/uploads/").headers["Location"]
        some_sent = threading.Event()

        def slowly() -> Iterator[bytes]:
            for start in range(0, len(data) // 2, 1 << 20):
                yield data[start : start + (1 << 20)]
            some_sent.set()
            # Nothing more comes: the request is open until the process is gone.
            process.wait(timeout=60)

        killer = threading.Thread(target=lambda: (some_sent.wait(60), process.kill()))
        killer.start()
        with pytest.raises(requests.RequestException):
            client.call("PATCH", location, data=slowly())
        killer.join()
    with registry_process(tmp_path) as (client, _):
        arrived = int(client.call("GET", location).headers["Range"].partition("-")[2]) + 1
        assert 1 << 20 <= arrived <= len(data) // 2
        rest = {"Content-Range": f"{arrived}-{len(data) - 1}"}
        assert client.call("PATCH", location, data=data[arrived:], headers=rest).status_code == 202
        assert client.call("PUT", f"{location}?digest={digest}").status_code == 201
        assert sha256(client.call("GET", f"web/blobs/{digest}").content) == digest


def test_what_was_acknowledged_is_there_after_the_process_was_killed_again_and_again(tmp_path: Path) -> None:
    acknowledged: dict[str, str] = {}
    for generation in range(4):
        with registry_process(tmp_path) as (client, process):
            if generation == 0:
                client.make_repository("web")
            # Killed at another moment each time: after so many answers, with the next push under way.
            for number in range(3 + generation):
                if number == 2 + generation:
                    threading.Timer(0.003 * generation, process.kill).start()
                try:
                    tag = f"g{generation}-{number}"
                    acknowledged[tag] = client.push_image("web", tag, layer=os.urandom(100_000))
                except (requests.RequestException, AssertionError):
                    break
    with registry_process(tmp_path) as (client, _):
        assert len(acknowledged) >= 12
        for tag, digest in acknowledged.items():
            manifest = client.call("GET", f"web/manifests/{tag}")
            assert sha256(manifest.content) == digest
            for layer in json.loads(manifest.content)["layers"]:
                assert sha256(client.call("GET", f"web/blobs/{layer['digest']}").content) == layer["digest"]
