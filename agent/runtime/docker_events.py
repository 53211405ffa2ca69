"""Docker's stream of events, kept open for ever: when it breaks, LOST is told, and BACK once it flows again."""

import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from agent.log import facts
from agent.runtime import Event, Kind, RuntimeTrouble, Sink
from agent.runtime.docker_errors import translated
from agent.runtime.docker_reading import HEALTH
from kit.clock import Clock, backoff

RETRY_FIRST = timedelta(milliseconds=200)
RETRY_MOST = timedelta(seconds=10)
# Docker begins to listen a moment after it has answered; what happened around then is asked for again.
OVERLAP = timedelta(seconds=2)
WANTED = ("die", "health_status")

log = facts(__name__)


class EventStream:
    """One thread that reads events and calls the sink."""

    def __init__(self, *, client: Callable[[], Any], labels: Mapping[str, str], sink: Sink, clock: Clock) -> None:
        self._client = client
        self._filters = {
            "type": ["container"],
            "event": list(WANTED),
            "label": [f"{name}={value}" for name, value in labels.items()],
        }
        self._sink = sink
        self._clock = clock
        self._closed = threading.Event()
        self._stream: Any = None
        self._thread = threading.Thread(target=self._run, name="docker-events", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        if stream := self._stream:
            try:
                stream.close()
            except (OSError, AttributeError) as error:
                log.debug("event stream closed roughly", because=str(error))
        self._thread.join(timeout=5)

    def _run(self) -> None:
        attempt = 0
        lost = False
        while not self._closed.is_set():
            try:
                with translated():
                    since = (self._clock.now() - OVERLAP).timestamp()
                    self._stream = self._client().events(since=f"{since:.9f}", filters=self._filters, decode=True)
                    if lost:
                        log.info("engine back", after_attempts=attempt)
                        self._sink(Event(kind=Kind.BACK, labels={}))
                    attempt, lost = 0, False
                    for happening in self._stream:
                        if event := read_event(happening):
                            self._sink(event)
                because = "the stream ended"
            except RuntimeTrouble as error:
                because = str(error)
            except Exception as error:
                # The SDK decodes a stream that broke in the middle of a line; whatever it raises, the stream is over.
                because = repr(error)
            if self._closed.is_set():
                return
            if not lost:
                lost = True
                log.warning("engine lost", because=because)
                self._sink(Event(kind=Kind.LOST, labels={}))
            attempt += 1
            self._clock.wait(self._closed, backoff(attempt, first=RETRY_FIRST, most=RETRY_MOST))


def read_event(raw: Any) -> Event | None:
    """One of Docker's events as ours, or None when it is none we asked for."""
    if not isinstance(raw, Mapping):
        return None
    action = str(raw.get("Action", ""))
    actor = raw.get("Actor") or {}
    labels = actor.get("Attributes") or {}
    container = str(actor.get("ID", ""))
    if action == "die":
        return Event(kind=Kind.DIED, container_id=container, labels=labels)
    if action.startswith("health_status: "):
        health = HEALTH.get(action.removeprefix("health_status: "))
        return Event(kind=Kind.HEALTH, container_id=container, labels=labels, health=health)
    return None
