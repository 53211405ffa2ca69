"""A whole Berth, started as a person would: ``berth up --detach`` on a directory and free ports of its own.

Each has an AWS account of its own, which stands in the ARN of every task. So whatever it started is told apart from
what others run on the same engine, and ``left`` can say what a Berth that is down has forgotten.
"""

import base64
import os
import random
import shlex
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import boto3
from botocore.config import Config

from tests.support.engine import Engine

ROOT = Path(__file__).resolve().parents[2]
BERTH = (sys.executable, "-m", "orchestrator")
TASK_LABEL = "com.amazonaws.ecs.task-arn"
T = TypeVar("T")

# What the machine's own set-up would add to a client under test.
FOREIGN = ("AWS_", "BERTH_", "AIRFLOW", "LUIGI_", "DOCKER_CONFIG")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningBerth:
    """A Berth that answers. ``environment`` is a client's: the lines of ``berth env``, and nothing of the machine's
    own AWS or docker configuration."""

    root: Path
    engine: Engine
    environment: Mapping[str, str]

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def account(self) -> str:
        return self.environment["BERTH_ACCOUNT"]

    @property
    def registry(self) -> str:
        """``host:port`` of the registry."""
        return self.environment["BERTH_REGISTRY"]

    def client(self, service: str) -> Any:
        """A boto3 client, as anybody would make it."""
        return make_client(service, self.environment)

    def run(self, *command: str | Path, given: str | None = None, seconds: int = 120) -> str:
        """Run a command in the client's environment; answers what it printed, and fails the test when it fails."""
        done = self.attempt(*command, given=given, seconds=seconds)
        told = f"{shlex.join(map(str, command))}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        assert done.returncode == 0, f"{told}\n{self.log_end()}"
        return done.stdout

    def attempt(
        self, *command: str | Path, given: str | None = None, seconds: int = 120
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command in the client's environment and answer how it went."""
        return subprocess.run(
            command, input=given, capture_output=True, text=True, env=self.environment, timeout=seconds, check=False
        )

    def berth(self, *words: str) -> str:
        """Run the ``berth`` command on this data directory."""
        return self.run(*BERTH, *words, "--data", self.data)

    def push(self, image: str, repository: str, tag: str = "1") -> str:
        """Push an image of the engine into this registry, and answer the name that tasks give it."""
        ecr = self.client("ecr")
        with suppress(ecr.exceptions.RepositoryAlreadyExistsException):
            ecr.create_repository(repositoryName=repository)
        token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        user, _, password = base64.b64decode(token).decode().partition(":")
        self.run("docker", "login", "--username", user, "--password-stdin", self.registry, given=password)
        name = f"{self.registry}/{repository}:{tag}"
        self.run("docker", "tag", image, name)
        self.run("docker", "push", "--quiet", name)
        return name

    def log_end(self, lines: int = 15) -> str:
        """The last lines of every log that are not merely informative, for a test that failed."""
        found = []
        for log in sorted(self.data.glob("logs/*.log")) + sorted(self.data.glob("capacities/*/log")):
            loud = [line for line in log.read_text(errors="replace").splitlines() if '"info"' not in line]
            found += [f"{log.relative_to(self.data)}: {line[:1000]}" for line in loud[-lines:]]
        return "\n".join(found)

    def left(self) -> list[str]:
        """What still runs or is kept on this machine for this Berth, apart from its data directory."""
        with closing(sqlite3.connect(f"file:{self.data / 'berth.db'}?mode=ro", uri=True)) as store:
            capacities = [str(row[0]) for row in store.execute("select id from capacities")]
        return [
            *containers_of(self.engine, lambda arn: f":{self.account}:" in arn),
            *processes_of(self.data),
            *cgroups_of(capacities),
        ]

    def remove_images(self) -> None:
        """Remove what was tagged here or pulled from this registry."""
        for tag in self.engine.tags(self.registry):
            subprocess.run(["docker", "--host", self.engine.host, "rmi", tag], check=True, capture_output=True)


@contextmanager
def running_berth(
    engine: Engine, *, directory: Path | None = None, ports: tuple[int, int] | None = None, **settings: str
) -> Iterator[RunningBerth]:
    """A Berth that is up; brought down at the end, also after a failure, and then nothing of it may be left.

    Its own directory is made in ``directory``. ``ports`` are the API's and the registry's, free ones unless given.
    ``settings`` are BERTH_* variables by their names in small letters.
    """
    root = Path(tempfile.mkdtemp(prefix="berth-e2e-", dir=directory))
    account = str(random.randrange(10**11, 10**12))
    environment = clean_environment(root, engine.host) | {
        "BERTH_ACCOUNT": account,
        "BERTH_DOCKER_HOST": engine.host,
        "BERTH_SERVICE_SETTLE_SECONDS": "1",
        **{f"BERTH_{name.upper()}": value for name, value in settings.items()},
    }
    running = RunningBerth(root=root, engine=engine, environment=environment)
    try:
        port, registry_port = ports or (free_port(), free_port())
        running.berth("up", "--detach", "--port", str(port), "--registry-port", str(registry_port))
        running = RunningBerth(root=root, engine=engine, environment=environment | read_env(running.berth("env")))
        ecs = running.client("ecs")
        until("the local agent joins", lambda: _connected(ecs))
        yield running
    finally:
        running.berth("down")
        left = running.left()
        running.remove_images()
        shutil.rmtree(root)
    assert not left, f"left by a Berth that is down: {left}"


def clean_environment(home: Path, docker_host: str) -> dict[str, str]:
    """This process's environment, without what would tell a client anything of AWS, Berth or docker logins."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return kept | {
        "HOME": str(home),
        "DOCKER_CONFIG": str(home / "docker"),
        "DOCKER_HOST": docker_host,
        # Every engine has this builder; the other one is a plug-in.
        "DOCKER_BUILDKIT": "0",
        "AWS_CONFIG_FILE": str(home / "aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / "aws-credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONWARNINGS": "ignore",
    }


def read_env(lines: str) -> dict[str, str]:
    """The variables that ``berth env`` exports, read as a shell reads them."""
    words = (shlex.split(line)[1] for line in lines.splitlines())
    return dict(word.split("=", 1) for word in words)


def make_client(service: str, environment: Mapping[str, str], **config: Any) -> Any:
    """A boto3 client for the Berth that ``environment`` names."""
    return boto3.client(
        service,
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_DEFAULT_REGION"],
        verify=environment.get("AWS_CA_BUNDLE"),
        config=Config(**config),
    )


def until(what: str, look: Callable[[], T], *, seconds: float = 60, every: float = 0.1) -> T:
    """Look until there is something to see, and answer it; fails the test after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain until {what}"
        time.sleep(every)
    return seen


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def containers_of(engine: Engine, ours: Callable[[str], bool]) -> list[str]:
    """The containers of tasks whose ARN is ``ours``."""
    found = [(one.name, one.labels.get(TASK_LABEL, "")) for one in engine.containers(TASK_LABEL)]
    return [f"container {name}" for name, arn in found if ours(arn)]


def processes_of(directory: Path) -> list[str]:
    """The processes whose command line names something in the directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        # It may end while we look. A zombie has no command line any more.
        with suppress(OSError):
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            if str(directory) in line and entry.name != str(os.getpid()):
                found.append(f"process {entry.name}: {line}")
    return found


def cgroups_of(capacities: Iterable[str]) -> list[str]:
    """The cgroups that bound these pieces of capacity, in either version of the kernel's cgroups."""
    wanted = {f"berth-{one}" for one in capacities}
    top = Path("/sys/fs/cgroup")
    return [f"cgroup {path}" for path in (*top.glob("berth-*"), *top.glob("*/berth-*")) if path.name in wanted]


def _connected(ecs: Any) -> bool:
    arns = ecs.list_container_instances()["containerInstanceArns"]
    found = ecs.describe_container_instances(containerInstances=arns)["containerInstances"] if arns else []
    return any(instance["agentConnected"] for instance in found)
