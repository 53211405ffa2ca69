"""Berth as ``docker-compose.yml`` has it: many processes, brought up by docker-compose from images made here.

The project, its ports and its AWS account are its own, so it lives beside whatever else the engine runs.
"""

import json
import os
import random
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.berth import ROOT, clean_environment, containers_of, free_port, make_client, until
from tests.support.compose import build_context, build_stage, debian_image, postgres_image
from tests.support.engine import Engine

# The services that are built here.
BUILT = ("api-1", "api-2", "scheduler-1", "scheduler-2", "registry", "agent")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposedBerth:
    """A project under way. ``environment`` is docker-compose's, and a client's too."""

    project: str
    engine: Engine
    environment: Mapping[str, str]

    @property
    def registry(self) -> str:
        return self.environment["BERTH_REGISTRY_ADDRESS"]

    @property
    def account(self) -> str:
        return self.environment["BERTH_ACCOUNT"]

    def client(self, service: str) -> Any:
        """A boto3 client that tries again, as clients of AWS do."""
        return make_client(service, self.environment, retries={"mode": "standard", "total_max_attempts": 10})

    def compose(self, *words: str) -> str:
        """Run docker-compose on the project; answers what it printed."""
        return self.run("docker-compose", *words)

    def run(self, *command: str, given: str | None = None) -> str:
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, env=self.environment, timeout=300, check=False
        )
        assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout

    def kill(self, service: str) -> None:
        """``docker kill`` the service's container: an end without a word, and without a restart."""
        self.engine.client.api.kill(self._container(service))

    def start(self, service: str) -> None:
        """Bring a killed service back."""
        self.compose("start", service)

    def is_healthy(self, service: str) -> bool:
        """Whether it runs and passes its health check, if it has one."""
        state = self.engine.client.api.inspect_container(self._container(service))["State"]
        return state["Running"] and state.get("Health", {}).get("Status", "healthy") == "healthy"

    def log_end(self) -> str:
        """The last lines of each process, those that ``docker-compose run`` started included."""
        label = {"label": f"com.docker.compose.project={self.project}"}
        found = self.engine.client.containers.list(all=True, ignore_removed=True, filters=label)
        return "\n".join(f"{one.name} is {one.status}:\n{one.logs(tail=12).decode()}" for one in found)

    def _container(self, service: str) -> str:
        return f"{self.project}_{service}_1"


@contextmanager
def composed_berth(engine: Engine) -> Iterator[ComposedBerth]:
    """The whole project, up and answering; taken down with its volumes, tasks and images at the end."""
    root = Path(tempfile.mkdtemp(prefix="berth-compose-"))
    project = f"berth-test-{engine.run}"
    environment = clean_environment(root, engine.host) | _settings(engine, project)
    try:
        environment |= _secrets(root / "env")
        context = root / "context"
        context.mkdir()
        build_context(context)
        environment["COMPOSE_FILE"] = f"{context / 'docker-compose.yml'}:{_labels_file(engine, root)}"
        build_stage(engine, environment["BASE_IMAGE"], context)
        berth = ComposedBerth(project=project, engine=engine, environment=environment)
        try:
            berth.compose("build", "--quiet")
            berth.compose("up", "--detach", "--no-build")
            until("the door opens", lambda: _answers(environment["AWS_ENDPOINT_URL"]), seconds=120)
            until("the registry is healthy", lambda: berth.is_healthy("registry"), seconds=60)
            yield berth
        except BaseException as error:
            error.add_note(berth.log_end())
            raise
        finally:
            _take_down(berth)
    finally:
        shutil.rmtree(root)
    left = [*containers_of(engine, lambda arn: f":{berth.account}:" in arn), *_parts(berth)]
    assert not left, f"left of the project: {left}"


def _settings(engine: Engine, project: str) -> dict[str, str]:
    port, registry_port = free_port(), free_port()
    return {
        "COMPOSE_PROJECT_NAME": project,
        "BASE_IMAGE": debian_image(engine),
        "HAPROXY_IMAGE": debian_image(engine),
        "POSTGRES_IMAGE": postgres_image(engine),
        "BERTH_IMAGE": project,
        "BERTH_PORT": str(port),
        "BERTH_REGISTRY_PORT": str(registry_port),
        "BERTH_REGISTRY_ADDRESS": f"localhost:{registry_port}",
        "BERTH_ACCOUNT": str(random.randrange(10**11, 10**12)),
        "DOCKER_SOCKET": engine.host.removeprefix("unix://"),
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def _secrets(file: Path) -> dict[str, str]:
    """What ``.ci/secrets`` makes, and the root key under the names that clients look for."""
    subprocess.run([ROOT / ".ci/secrets", file], check=True, env={**os.environ})
    secrets = dict(line.split("=", 1) for line in file.read_text().splitlines())
    return secrets | {
        "AWS_ACCESS_KEY_ID": secrets["BERTH_ROOT_ACCESS_KEY_ID"],
        "AWS_SECRET_ACCESS_KEY": secrets["BERTH_ROOT_SECRET_ACCESS_KEY"],
    }


def _labels_file(engine: Engine, root: Path) -> Path:
    """What is different here: every image has the label by which it is removed at the end."""
    services = {service: {"build": {"labels": engine.labels}} for service in BUILT}
    file = root / "labels.json"
    file.write_text(json.dumps({"services": services}))
    return file


def _answers(endpoint: str) -> bool:
    try:
        with urllib.request.urlopen(f"{endpoint}/healthz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _take_down(berth: ComposedBerth) -> None:
    berth.compose("down", "--volumes", "--timeout", "10", "--remove-orphans")
    # An agent that ends leaves its tasks running: they are the next agent's. Here there will be none.
    for container in berth.engine.containers("com.amazonaws.ecs.task-arn"):
        if f":{berth.account}:" in container.labels["com.amazonaws.ecs.task-arn"]:
            container.remove(force=True, v=True)
    for tag in berth.engine.tags(berth.registry):
        berth.engine.client.images.remove(tag)


def _parts(berth: ComposedBerth) -> list[str]:
    """The project's containers, networks and volumes."""
    docker, label = berth.engine.client, {"label": f"com.docker.compose.project={berth.project}"}
    return [
        *(f"container {one.name}" for one in docker.containers.list(all=True, ignore_removed=True, filters=label)),
        *(f"network {one.name}" for one in docker.networks.list(filters=label)),
        *(f"volume {one.name}" for one in docker.volumes.list(filters=label)),
    ]
