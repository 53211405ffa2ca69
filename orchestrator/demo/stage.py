"""The stage of the tour: a temporary Berth, clients for it, and the way everything is taken down again."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from kit.processes import find_processes

LABEL = "com.amazonaws.ecs.task-arn"


class Stage:
    """One tour's temporary directory and what was made for it. Nothing of the person's own set-up is touched:
    the docker CLI gets a configuration directory of its own."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="berth-demo-"))
        self.data = self.root / "data"
        self.environment = {
            **os.environ,
            "DOCKER_CONFIG": str(self.root / "docker"),
            # The classic builder is on every engine; it needs no plug-in.
            "DOCKER_BUILDKIT": "0",
        }
        self.endpoint = ""
        self.registry = ""
        self.images: list[str] = []
        self._keys: dict[str, str] = {}
        self._containers_before = frozenset(self.containers())

    def berth(self, *words: str) -> str:
        """Run the ``berth`` command on the tour's data directory."""
        return self.run([sys.executable, "-m", "orchestrator", *words, "--data", str(self.data)])

    def run(self, command: Sequence[str], *, given: str | None = None) -> str:
        """Run a command and answer what it printed; raises RuntimeError with its complaint when it fails."""
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, env=self.environment, timeout=180, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command[:3])}: {(done.stderr or done.stdout).strip()[-800:]}")
        return done.stdout

    def connect(self) -> None:
        """Read ``berth env``, as a shell would."""
        lines = (line.removeprefix("export ").partition("=") for line in self.berth("env").splitlines())
        self._keys = {name: value.strip("'") for name, _, value in lines}
        self.endpoint = self._keys["AWS_ENDPOINT_URL"]
        self.registry = self._keys["BERTH_REGISTRY"]

    def client(self, service: str) -> Any:
        """A boto3 client, as anybody would make it."""
        return boto3.client(
            service,
            endpoint_url=self._keys["AWS_ENDPOINT_URL"],
            aws_access_key_id=self._keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self._keys["AWS_SECRET_ACCESS_KEY"],
            region_name=self._keys["AWS_DEFAULT_REGION"],
            config=Config(retries={"mode": "standard"}),
        )

    def containers(self) -> list[str]:
        """The ids of all containers on the engine that belong to ECS tasks."""
        return self.run(["docker", "ps", "-aq", "--no-trunc", "--filter", f"label={LABEL}"]).split()

    def capacities(self) -> list[str]:
        """The provisioned hosts that are there now."""
        folder = self.data / "capacities"
        return sorted(home.name for home in folder.iterdir()) if folder.exists() else []

    def clues(self) -> str:
        """The last words of the logs, for a step that failed."""
        found = []
        for log in sorted((self.data / "logs").glob("*.log")) if (self.data / "logs").exists() else ():
            lines = [line for line in log.read_text(errors="replace").splitlines() if '"info"' not in line]
            found += [f"{log.name}: {line[:600]}" for line in lines[-5:]]
        return "\n".join(found)

    def clean(self) -> list[str]:
        """Stop and remove everything the tour made; answers what could not be removed."""
        left = []
        if self.data.exists():
            try:
                self.berth("down")
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                left.append(str(error))
        for image in self.images:
            subprocess.run(
                ["docker", "rmi", "-f", image], env=self.environment, capture_output=True, timeout=60, check=False
            )
        left += [f"container {name[:12]}" for name in self.containers() if name not in self._containers_before]
        left += [f"process {pid}" for pid in find_processes(["--serve-data", str(self.data)])]
        if not left:
            shutil.rmtree(self.root, ignore_errors=True)
        return left
