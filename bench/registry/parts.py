"""The parts of a run share this: contestants on folders of their own, a measured run, and a table row."""

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.registry.clients import apart
from bench.registry.outcome import Outcome, cpu_per_gb, milliseconds, percentile
from bench.registry.servers import PEER, Ground, Server, berth_up, find_peer, ground_made, peer_up, undisturbed
from bench.scale.notrun import NotRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """Berth with its ground and, where it could be found, the peer."""

    ground: Ground
    berth: Server
    peer: Server | None

    @property
    def servers(self) -> Sequence[Server]:
        return [self.berth] if self.peer is None else [self.berth, self.peer]


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is gone afterwards; ``TMPDIR`` says on which disk."""
    folder = Path(tempfile.mkdtemp(prefix="berth-bench-"))
    try:
        yield folder
    finally:
        with undisturbed():
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def contest_up(repositories: Sequence[str] = (), *, with_peer: bool = True) -> Iterator[Contest]:
    """Both contestants, empty but for the repositories."""
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        ground = stack.enter_context(ground_made(folder / "berth"))
        ground.make_repositories(repositories)
        berth = stack.enter_context(berth_up(ground))
        peer = stack.enter_context(peer_up(folder)) if with_peer and has_peer() else None
        yield Contest(ground=ground, berth=berth, peer=peer)


def has_peer() -> bool:
    """Whether there is a peer; says so when there is none."""
    try:
        find_peer()
    except NotRun as why:
        print(f"bench.registry: {PEER} is left out: {why}", file=sys.stderr)
        return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """An outcome and what it cost the server."""

    server: str
    outcome: Outcome
    cpu: float

    @property
    def per_gb(self) -> float | None:
        """Processor seconds of the server for each GB of layers; None where no layer was moved."""
        return cpu_per_gb(self.cpu, self.outcome.moved) if self.outcome.moved else None

    @property
    def per_request(self) -> float:
        return self.cpu / len(self.outcome.seconds)


def measure(server: Server, work: Callable[..., Outcome], *given: Any) -> Run:
    """Run a client in a process of its own, and see what the server spends meanwhile."""
    before = server.cpu
    outcome = apart(work, *given)
    return Run(server=server.name, outcome=outcome, cpu=server.cpu - before)


TIMES = ("wall", "per second", "p50", "p99", "longest")


def times(run: Run) -> tuple[str, ...]:
    """The cells under TIMES."""
    outcome = run.outcome
    rate = f"{outcome.rate:,.0f}" if outcome.rate >= 100 else f"{outcome.rate:.1f}"
    shown = [milliseconds(percentile(outcome.seconds, percent)) for percent in (50, 99, 100)]
    return (f"{outcome.wall:.2f} s", rate, *shown)


def ratio(own: float | None, other: float | None) -> str:
    """The first as a multiple of the second."""
    return f"{own / other:.2f} ×" if own is not None and other else ""
