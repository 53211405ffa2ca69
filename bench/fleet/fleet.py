"""The fleet as its user sees it: hosts that register, connect, run what they are told, and report it.

Driven step by step on any clock (``step``), or by threads on the system's clock (``start`` and ``stop``): workers ask
the conversations of woken hosts for news, and one pump carries frames to the agents and reports to the desk.
"""

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bench.fleet.agents import Frame, Said
from bench.fleet.behaviour import Behaviour
from bench.fleet.doors import Doors
from bench.fleet.link import InChild, InProcess, Link
from bench.fleet.registration import register_hosts
from orchestrator.agents.report_desk import ReportDesk
from orchestrator.app import Parts
from state.store import StoreBusy, StoreUnavailable

log = logging.getLogger(__name__)
MOST_REPORTS = 4_000
MOST_HOSTS = 16
IDLE_SECONDS = 0.05


class SimulatedFleet:
    """``hosts`` hosts of ``cpu`` units (1/1024 vCPU) and ``memory`` MiB each, zones in turn, in one cluster."""

    def __init__(
        self,
        parts: Parts,
        *,
        hosts: int,
        cpu: int,
        memory: int,
        zones: Sequence[str] = ("us-east-1a", "us-east-1b", "us-east-1c"),
        cluster: str = "default",
        attributes: Mapping[str, str] | None = None,
        behaviour: Behaviour | None = None,
        seed: int = 0,
        child: bool = False,
        workers: int = 2,
        desk: ReportDesk | None = None,
    ) -> None:
        self.host_ids: tuple[str, ...] = ()
        self.refused: list[tuple[Mapping[str, Any], Exception]] = []
        self._parts = parts
        self._clock = parts.clock
        self._sizes = {"count": hosts, "cpu": cpu, "memory": memory}
        self._zones = tuple(zones)
        self._cluster = cluster
        self._attributes = dict(attributes or {})
        self._desk = desk or ReportDesk(parts.store, parts.clock)
        self._link: Link = (InChild if child else InProcess)(behaviour or Behaviour(), seed)
        self._changed = threading.Condition()
        self._doors = Doors(parts.store, parts.clock, parts.settings, self._notify)
        self._outbox: list[Frame] = []
        self._opened: list[str] = []
        self._reports: list[Mapping[str, Any]] = []
        self._next_at: float | None = None
        self._refresh_at = datetime.min.replace(tzinfo=UTC)
        self._stopping = False
        self._trouble: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._guarded, args=(self._pump,), name="fleet-pump", daemon=True),
            *(
                threading.Thread(target=self._guarded, args=(self._work,), name=f"fleet-worker-{n}", daemon=True)
                for n in range(workers)
            ),
        ]

    def register(self) -> tuple[str, ...]:
        """Register all hosts and connect their agents; answers the hosts' ids."""
        hosts = register_hosts(
            self._parts, cluster=self._cluster, zones=self._zones, attributes=self._attributes, **self._sizes
        )
        self._link.join(hosts)
        self.host_ids = tuple(host_id for host_id, _, _ in hosts)
        self._take(self._exchange(()))
        return self.host_ids

    def step(self) -> bool:
        """Do what is due at the clock's instant, once, on the caller's thread; False when nothing was."""
        self._look_after_connections()
        woken = self._doors.take_woken(len(self.host_ids))
        for host_id in woken:
            self._doors.news(host_id, self._send)
        frames = self._take_outbox()
        said = self._exchange(frames)
        self._take(said)
        return bool(woken or frames) or not said.silent

    def rest(self) -> None:
        """Step until nothing is due at the clock's instant."""
        while self.step():
            pass

    @property
    def due_at(self) -> datetime | None:
        """When the agents do something next, if nobody speaks to them."""
        return datetime.fromtimestamp(self._next_at, UTC) if self._next_at is not None else None

    @property
    def connected(self) -> int:
        """How many agents are connected."""
        return len(self._doors)

    def behave(self, behaviour: Behaviour) -> None:
        """Have the hosts behave otherwise from now on; not while threads drive the fleet."""
        self._link.behave(behaviour)

    def running(self) -> int:
        """How many tasks run on the hosts; not while threads drive the fleet."""
        return self._link.running()

    def check(self) -> None:
        """Raise what a thread ended of, if any did."""
        if self._trouble is not None:
            raise self._trouble

    def start(self) -> None:
        """Drive the fleet by threads until ``stop``."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop the threads, hang up, and end the child if there is one. Raises what a thread ended of, if any did."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
        self._link.close()
        self.check()

    def _exchange(self, frames: Sequence[Frame]) -> Said:
        opened, self._opened = self._opened, []
        self._link.ask(self._clock.now().timestamp(), frames, opened)
        return self._link.answer()

    def _take(self, said: Said) -> None:
        """Carry what the agents did into the control plane."""
        self._next_at = said.next_at
        for host_id in said.broken:
            self._doors.close(host_id)
        if said.dialling:
            self._opened += said.dialling
            self._send(self._doors.open(said.dialling))
        self._send(self._doors.answers(said.frames))
        self._reports += said.reports
        self._submit()

    def _submit(self) -> None:
        while self._reports:
            batch = self._reports[:MOST_REPORTS]
            try:
                answers = self._desk.submit(batch)
            except (StoreBusy, StoreUnavailable) as trouble:
                # As agents do: what was not taken is reported again.
                log.warning("reports not taken", extra={"reports": len(batch), "because": str(trouble)})
                return
            self.refused += [(r, error) for r, error in zip(batch, answers, strict=True) if error is not None]
            del self._reports[: len(batch)]

    def _look_after_connections(self) -> None:
        self._send(self._doors.heartbeats())
        if self._clock.now() >= self._refresh_at:
            self._refresh_at = self._doors.presence.refresh_at()
            self._doors.refresh()

    def _pump(self) -> None:
        """Carry frames and reports. While the agents are at work on one exchange, the one before is written."""
        said: Said | None = None
        while not self._stopping:
            self._look_after_connections()
            opened, self._opened = self._opened, []
            self._link.ask(self._clock.now().timestamp(), self._take_outbox(), opened)
            if said is not None:
                self._take(said)
            said = self._link.answer()
            if said.silent and not self._opened:
                self._next_at = said.next_at
                self._pause(lambda: bool(self._outbox), self._next_at)

    def _work(self) -> None:
        """Tell woken hosts their news."""
        while not self._stopping:
            woken = self._doors.take_woken(MOST_HOSTS)
            for host_id in woken:
                self._doors.news(host_id, self._send)
            if not woken:
                self._pause(self._doors.any_woken, None)

    def _pause(self, wanted: Any, until: float | None) -> None:
        length = IDLE_SECONDS
        if until is not None:
            length = min(length, max(until - self._clock.now().timestamp(), 0.0))
        with self._changed:
            if not self._stopping and not wanted():
                self._changed.wait(length)

    def _guarded(self, body: Any) -> None:
        try:
            body()
        except BaseException as trouble:
            log.exception("the fleet's thread has ended")
            self._trouble = trouble
            self._stopping = True

    def _send(self, frames: Iterable[Frame]) -> None:
        with self._changed:
            before = len(self._outbox)
            self._outbox += frames
            if len(self._outbox) > before:
                self._changed.notify_all()

    def _take_outbox(self) -> list[Frame]:
        with self._changed:
            taken, self._outbox = self._outbox, []
        return taken

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()
