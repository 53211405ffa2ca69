"""The control plane's side of a simulated fleet's connections: what the agents' socket (ACS) does, without a socket.

Each connected host has a real Conversation and listens to its host's wakes; since those may be lost, ``refresh`` wakes
the hosts that are behind what the store says, as the heartbeat of an API process does.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from bench.fleet.agents import Frame
from kit.clock import Clock
from kit.ids import new_uuid
from kit.settings import Settings
from orchestrator.agents.acs import HEARTBEAT_SECONDS
from orchestrator.agents.conversation import Conversation
from orchestrator.agents.payload_texts import PayloadTexts
from orchestrator.agents.presence import Presence
from state.store import Store


@dataclass(slots=True, eq=False)
class Door:
    """One connection. Whoever speaks for it holds ``speaking``, so that its frames keep their order."""

    conversation: Conversation
    connection_id: str
    stop_listening: Callable[[], None] = lambda: None
    speaking: threading.Lock = field(default_factory=threading.Lock)


class Doors:
    """All connections of a fleet. ``on_wake`` is called whenever a host should be looked at."""

    def __init__(self, store: Store, clock: Clock, settings: Settings, on_wake: Callable[[], None]) -> None:
        self.presence = Presence(store, clock)
        self._store = store
        self._clock = clock
        self._settings = settings
        self._texts = PayloadTexts(settings)
        self._on_wake = on_wake
        self._doors: dict[str, Door] = {}
        self._woken: dict[str, None] = {}
        self._beaten_at: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._doors)

    def open(self, host_ids: Sequence[str]) -> list[Frame]:
        """Agents dial; answers their opening frames."""
        arrived = {}
        for host_id in host_ids:
            talk = Conversation(self._store, self._clock, self._settings, host_id, self._texts)
            door = self._doors[host_id] = Door(talk, new_uuid())
            door.stop_listening = self._store.wakes.listen(f"agent:{host_id}", partial(self.wake, host_id))
            arrived[door.connection_id] = host_id
        self.presence.arrived_together(arrived)
        now = self._clock.now().timestamp()
        openings = [(host_id, self._doors[host_id].conversation.opening()) for host_id in host_ids]
        with self._lock:
            for host_id in host_ids:
                self._beaten_at[host_id] = now
                self._woken[host_id] = None
        self._on_wake()
        return openings

    def close(self, host_id: str) -> None:
        """A connection is broken."""
        door = self._doors.pop(host_id, None)
        if door is None:
            return
        door.stop_listening()
        with self._lock:
            self._beaten_at.pop(host_id, None)
            self._woken.pop(host_id, None)
        self.presence.left(host_id, door.connection_id)

    def wake(self, host_id: str) -> None:
        with self._lock:
            self._woken[host_id] = None
        self._on_wake()

    def take_woken(self, most: int) -> list[str]:
        """Hosts to be looked at, the longest woken first; each is given to one caller alone."""
        with self._lock:
            taken = [host_id for host_id, _ in zip(self._woken, range(most), strict=False)]
            for host_id in taken:
                del self._woken[host_id]
        return taken

    def any_woken(self) -> bool:
        return bool(self._woken)

    def heartbeats(self) -> list[Frame]:
        """Heartbeats that are due."""
        now = self._clock.now().timestamp()
        frames = []
        with self._lock:
            while self._beaten_at:
                host_id, at = next(iter(self._beaten_at.items()))
                if now - at < HEARTBEAT_SECONDS:
                    break
                self._beaten_at[host_id] = now
                self._beaten_at.move_to_end(host_id)
                frames.append((host_id, self._doors[host_id].conversation.heartbeat()))
        return frames

    def refresh(self) -> None:
        """The heartbeat of the process: a share of its agents is here, and hosts that have changed count as woken."""
        marks = self.presence.refresh()
        doors = [door for host_id in marks if (door := self._doors.get(host_id)) is not None]
        behind = [door.conversation.instance_id for door in doors if door.conversation.compare(marks)]
        with self._lock:
            self._woken.update(dict.fromkeys(behind))
        if behind:
            self._on_wake()

    def news(self, host_id: str, send: Callable[[Iterable[Frame]], None]) -> None:
        """Send what the host has not been told yet; a host that may not be here any more is hung up on."""
        door = self._doors.get(host_id)
        if door is None:
            return
        with door.speaking:
            send([(host_id, text) for text in door.conversation.news()])
        if door.conversation.closed:
            self.close(host_id)

    def answers(self, frames: Sequence[Frame]) -> list[Frame]:
        """What is said to the agents' frames."""
        answers = []
        for host_id, text in frames:
            door = self._doors.get(host_id)
            answer = door.conversation.answer(text) if door is not None else None
            if answer is not None:
                answers.append((host_id, answer))
        return answers
