"""The gauge: what a run has come to, read from its own store twice a second, on the screen and for the chart.

Only what is committed counts. Memory is this process's, the control plane's; simulated agents live in another.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType

import psutil
from rich.console import Console
from rich.live import Live
from rich.table import Table

from kit.clock import monotonic
from state.store import Store
from state.task_counts import tally_clusters

EVERY = 0.5
PLAIN_EVERY = 10.0
RECENT = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One look: seconds since the start, tasks launched and tasks RUNNING by then; of this process resident bytes and
    seconds of processor time, and those of its children."""

    at: float
    launched: int
    running: int
    memory: int
    processor: float = 0.0
    children: float = 0.0


class Gauge:
    """Samples in a thread of its own while it is entered."""

    def __init__(self, store: Store, cluster: str, *, wanted: int, console: Console | None = None) -> None:
        self.samples: list[Sample] = []
        self.done = threading.Event()
        self._store = store
        self._cluster = cluster
        self._wanted = wanted
        self._console = console or Console()
        self._process = psutil.Process()
        self._children: Sequence[psutil.Process] = ()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gauge", daemon=True)
        self._began = monotonic()

    def __enter__(self) -> "Gauge":
        self._began = monotonic()
        self._children = self._process.children()
        self._look()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        if not self._console.is_terminal:
            self._sample(self._tell_plainly())
            return
        with Live(console=self._console, refresh_per_second=2, transient=True) as live:
            self._sample(lambda: live.update(show(self.samples, self._wanted)))

    def _sample(self, tell: Callable[[], None]) -> None:
        while not self._stopping.wait(EVERY):
            self._look()
            tell()
            if self.samples[-1].running >= self._wanted:
                self.done.set()
                return

    def _look(self) -> None:
        counts = self._store.read(lambda session: list(tally_clusters(session, [self._cluster])))
        self.samples.append(
            Sample(
                at=monotonic() - self._began,
                launched=sum(tasks for *_, tasks in counts),
                running=sum(tasks for _, _, status, tasks in counts if status == "RUNNING"),
                memory=self._process.memory_info().rss,
                processor=_processor(self._process),
                children=sum(_processor(child) for child in self._children),
            )
        )

    def _tell_plainly(self) -> Callable[[], None]:
        told = 0.0

        def tell() -> None:
            nonlocal told
            now = self.samples[-1]
            if now.at - told >= PLAIN_EVERY:
                told = now.at
                print(
                    f"  {now.at:5.0f} s  {now.launched:>9,} placed  {now.running:>9,} running  "
                    f"{rate_now(self.samples):>7,.0f}/s  {now.memory / 2**20:,.0f} MiB",
                    flush=True,
                )

        return tell


def _processor(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def show(samples: Sequence[Sample], wanted: int) -> Table:
    """The panel on the screen."""
    now = samples[-1]
    first, last = rate_between(samples, 0, wanted // 100), rate_now(samples)
    grid = Table.grid(padding=(0, 2))
    for name, value in (
        ("elapsed", f"{now.at:,.0f} s"),
        ("placed", f"{now.launched:,} of {wanted:,}"),
        ("running", f"{now.running:,} ({now.running / wanted:.1%})"),
        ("rate now", f"{last:,.0f} tasks/s"),
        ("rate of the first 1 %", f"{first:,.0f} tasks/s" if first else "…"),
        ("rate in all", f"{now.running / now.at:,.0f} tasks/s" if now.at else "…"),
        ("memory", f"{now.memory / 2**20:,.0f} MiB"),
    ):
        grid.add_row(name, value)
    return grid


def rate_now(samples: Sequence[Sample]) -> float:
    """Tasks a second that came to RUNNING over the last few samples."""
    recent = samples[-RECENT:]
    length = recent[-1].at - recent[0].at
    return (recent[-1].running - recent[0].running) / length if length else 0.0


def rate_between(samples: Sequence[Sample], low: int, high: int) -> float | None:
    """Tasks a second from the ``low``-th RUNNING task to the ``high``-th; None while it is not reached."""
    began, ended = _reached(samples, low), _reached(samples, high)
    return None if began is None or ended is None or ended <= began else (high - low) / (ended - began)


def _reached(samples: Sequence[Sample], count: int) -> float | None:
    """When the ``count``-th task came to RUNNING, between samples in proportion; the moment before the first for 0."""
    before = samples[0]
    for sample in samples[1:]:
        if sample.running > count or (sample.running == count and count):
            share = (count - before.running) / (sample.running - before.running)
            return before.at + max(share, 0) * (sample.at - before.at)
        before = sample
    return None
