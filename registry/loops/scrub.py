"""The scrub loop: reads every blob again once a week, a little at a time, and remembers its place."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from kit.clock import Clock
from kit.settings import Settings
from registry.scrub import Reading, check_blob
from registry.storage import Storage
from state.loop import Leases, Loop
from state.scrubs import ScrubPlace, get_scrub_place, list_kept, note_faults
from state.store import Session, Store

log = logging.getLogger(__name__)
MIB = 1024 * 1024
ROUND = timedelta(days=7)
STEP = timedelta(seconds=5)
_PAGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Where the round is, and the blobs that come next."""

    after: str
    resting_until: datetime | None
    blobs: list[tuple[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What was found of blobs; ``after`` is the last of them, None where the round is over."""

    after: str | None
    found: dict[str, str | None]


class ScrubLoop(Loop):
    """Reads at most ``registry_scrub_rate`` MiB in a second. A large blob takes several steps, anew after a restart."""

    name: ClassVar[str] = "scrub"
    every = timedelta(minutes=10)

    def __init__(self, store: Store, clock: Clock, leases: Leases, *, storage: Storage, settings: Settings) -> None:
        super().__init__(store, clock, leases)
        self._storage = storage
        self._rate = settings.registry_scrub_rate
        self._reading: tuple[str, Reading] | None = None

    def observe(self, session: Session, now: datetime) -> Seen:
        place = get_scrub_place(session)
        after = place.after if place is not None else ""
        ended_at = place.ended_at if place is not None and not after else None
        resting = ended_at + ROUND if ended_at is not None and now < ended_at + ROUND else None
        blobs = [] if resting is not None else list_kept(session, after=after, limit=_PAGE)
        return Seen(after=after, resting_until=resting, blobs=blobs)

    def decide(self, seen: Seen, now: datetime) -> Seen | None:
        return seen if self._rate > 0 and seen.resting_until is None else None

    def act(self, plan: Seen) -> Read | None:
        left = self._rate * MIB * int(STEP.total_seconds())
        found: dict[str, str | None] = {}
        for digest, _ in plan.blobs:
            if left <= 0:
                break
            reading = self._continue(digest)
            left -= max(1, reading.read(left))
            if not reading.ended:
                break
            self._reading = None
            # Looked at twice: it may have been collected meanwhile.
            found[digest] = reading.fault and check_blob(self._storage, digest)
            if found[digest]:
                log.error("blob is damaged", extra={"digest": digest, "because": found[digest]})
        if found:
            return Read(after=max(found), found=found)
        return Read(after=None, found={}) if not plan.blobs else None

    def record(self, session: Session, outcome: Read, now: datetime) -> None:
        place = get_scrub_place(session)
        if place is None:
            place = ScrubPlace(name="scrub", after="", started_at=now, ended_at=None)
            session.add(place)
        if outcome.after is None:
            place.after, place.ended_at = "", now
            return
        if not place.after:
            place.started_at = now
        place.after = outcome.after
        note_faults(session, outcome.found, now=now)

    def next_look(self, seen: Seen, now: datetime) -> datetime | None:
        return seen.resting_until or (now + STEP if self._rate > 0 else None)

    def _continue(self, digest: str) -> Reading:
        if self._reading is not None and self._reading[0] != digest:
            self._reading[1].close()
            self._reading = None
        if self._reading is None:
            self._reading = (digest, Reading(self._storage, digest))
        return self._reading[1]
