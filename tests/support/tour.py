"""The tour in a process of its own, on a host of its own: whatever is there after a tour, the tour has left."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.berth import ROOT, cgroups_of, clean_environment, processes_of
from tests.support.engine import Engine, OwnEngine, connect, start_second_engine

# The pause container's image is kept as a cache, as on any host that ran an awsvpc task.
CACHED = {"berth/pause:2"}
NETWORKS = {"bridge", "host", "none"}


@dataclass(slots=True, kw_only=True)
class Tour:
    """A tour under way. Its temporary files are in ``temporary`` alone; it leads a process group of its own."""

    temporary: Path
    engine: Engine
    process: "subprocess.Popen[str]"
    _lines: list[str] = field(default_factory=list)
    _capacities: set[str] = field(default_factory=set)

    @property
    def said(self) -> str:
        return "".join(self._lines)

    def capacities(self) -> set[str]:
        """The hosts provisioned so far, of those that somebody looked at in time."""
        self._capacities.update(path.name for path in self.temporary.glob("berth-demo-*/data/capacities/*"))
        return self._capacities

    def is_at(self, text: str) -> bool:
        """Whether it has said ``text``; fails the test when it has ended already."""
        self.capacities()
        assert self.process.poll() is None, self.said
        return text in self.said

    def end(self) -> int:
        """Wait for its end, and answer its exit code."""
        while self.process.poll() is None:
            self.capacities()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=0.1)
        return self.process.returncode

    def left(self) -> list[str]:
        """What the ended tour left behind, on the machine and on its engine."""
        docker = self.engine.client
        images = {tag for image in docker.images.list(all=True) for tag in image.tags or [image.id]}
        return [
            *(f"file {path}" for path in self.temporary.iterdir()),
            *processes_of(self.temporary),
            *cgroups_of(self.capacities()),
            *(f"container {one.name}" for one in docker.containers.list(all=True, ignore_removed=True)),
            *(f"network {one.name}" for one in docker.networks.list() if one.name not in NETWORKS),
            *(f"volume {one.name}" for one in docker.volumes.list()),
            *(f"image {name}" for name in images - CACHED),
        ]


@contextmanager
def tour_host() -> Iterator[OwnEngine]:
    """A host for tours."""
    host = start_second_engine(Path(tempfile.mkdtemp(prefix="berth-engine-")))
    try:
        yield host
    finally:
        host.close()


@contextmanager
def touring(host: OwnEngine, directory: Path) -> Iterator[Tour]:
    """A tour that has just begun on ``host``; ended at the end, if need be."""
    temporary = directory / "tmp"
    temporary.mkdir()
    engine = connect(host.host)
    process = subprocess.Popen(
        host.enter(sys.executable, "-m", "orchestrator.demo"),
        cwd=ROOT,
        env=clean_environment(directory, host.host) | {"TMPDIR": str(temporary), "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    tour = Tour(temporary=temporary, engine=engine, process=process)
    assert process.stdout is not None
    reader = threading.Thread(target=lambda: tour._lines.extend(process.stdout or ()))
    reader.start()
    try:
        yield tour
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=90)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        reader.join()
        process.stdout.close()
        engine.client.close()
