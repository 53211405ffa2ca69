"""The cleaner: removes images that agents pulled here and nobody uses, by age and when the disk fills up.

By age as the ECS agent does: every interval the images longest unused, a few at a time, none younger than a minimum
age. Above a share of the disk: the images longest unused, until the disk is below it, whatever the interval and age.
Never one that a container has, running or not, whoever made it; never one of a task that is being launched; never a
name that nobody here has pulled.
"""

import os
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta

from agent.images.images import Images
from agent.images.records import Record, RecordFile
from agent.log import facts
from agent.runtime import Damaged, EngineInfo, ImageMissing, Runtime, RuntimeTrouble
from kit.clock import Clock

LOOK_EVERY = timedelta(minutes=1)
# Other agents of the engine launch too: what one of them has just had pulled is left alone.
JUST_USED = timedelta(minutes=1)

log = facts(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanUp:
    """ECS_IMAGE_CLEANUP_INTERVAL, ECS_IMAGE_MINIMUM_CLEANUP_AGE, ECS_NUM_IMAGES_DELETE_PER_CYCLE with ECS's defaults,
    and the share of the disk, in percent, above which images go at once."""

    interval: timedelta = timedelta(minutes=30)
    minimum_age: timedelta = timedelta(hours=1)
    most: int = 5
    disk_percent: int = 85


class Cleaner:
    """``disk`` answers how full the engine's disk is, in percent, or None where that can't be seen; ``wanted`` the
    names of images that tasks wait to be launched with."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        images: Images,
        records: RecordFile,
        rules: CleanUp,
        clock: Clock,
        steady: Clock,
        disk: Callable[[], float | None],
        wanted: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self._runtime = runtime
        self._images = images
        self._records = records
        self._rules = rules
        self._clock = clock
        self._steady = steady
        self._disk = disk
        self._wanted = wanted
        self._one = threading.Lock()
        self._helpless = False
        images.make_room = self.make_room

    def run(self, stop: threading.Event) -> None:
        """Look whether something is due, until told to stop."""
        self.recover()
        while not stop.is_set():
            try:
                self.look()
            except Exception:
                log.surprise("images not cleaned up")
            self._steady.wait(stop, min(LOOK_EVERY, self._rules.interval))

    def look(self) -> None:
        """Remove what is due now."""
        self.make_room()
        if self._records.claim_sweep(self._clock.now(), self._rules.interval):
            self._sweep()

    def make_room(self) -> None:
        """Remove images until the disk is no longer too full. May be called on any thread."""
        with self._one:
            for record in self._unused(timedelta(0)) if self._too_full() else ():
                if timedelta(0) <= self._clock.now() - record.used_at < JUST_USED:
                    continue
                self._remove(record, f"the disk is more than {self._rules.disk_percent} % full")
                if not self._too_full():
                    break
            helpless = self._too_full()
            if helpless and not self._helpless:
                log.warning("disk too full, and no image is left to remove", more_than_percent=self._rules.disk_percent)
            self._helpless = helpless

    def _too_full(self) -> bool:
        full = self._disk()
        return full is not None and full > self._rules.disk_percent

    def _sweep(self) -> None:
        with self._one:
            left = self._rules.most
            for record in self._unused(self._rules.minimum_age):
                if not left:
                    return
                left -= self._remove(record, f"not used since {record.used_at.isoformat(timespec='seconds')}")

    def recover(self) -> None:
        """Settle what an earlier run began to pull."""

        def id_of(name: str) -> str:
            try:
                return self._runtime.image(name).id
            except ImageMissing:
                return ""

        try:
            self._records.recover(id_of, self._clock.now())
        except RuntimeTrouble as error:
            # They stay noted, and the next start settles them.
            log.warning("pulls of an earlier run not settled", because=str(error))

    def _unused(self, age: timedelta) -> Iterator[Record]:
        """The images of that age that no container has, longest unused first."""
        try:
            used = self._runtime.images_in_use()
        except RuntimeTrouble as error:
            log.warning("images not cleaned up", because=str(error))
            return
        now = self._clock.now()
        for record in self._records.list():
            if record.id in used:
                for name in record.names:
                    self._records.used(name, now)
            # An instant that is yet to come was told by a clock that was wrong.
            elif now - record.pulled_at > age or record.pulled_at > now:
                yield record

    def _remove(self, record: Record, because: str) -> bool:
        """Whether anything was removed."""
        with self._images.removing(record.names) as free:
            if not free or not set(record.names).isdisjoint(self._wanted()):
                return False
            try:
                # A launch that was quicker has its container by now, and one that comes later waits.
                if record.id in self._runtime.images_in_use():
                    return False
                gone = self._take_names(record)
            except RuntimeTrouble as error:
                log.warning("image not removed", image=_called(record), because=str(error))
                return False
            self._records.forget(record.id)
            self._images.forget(record.names)
        log.info("image removed" if gone else "image let go, others have it", image=_called(record), because=because)
        return gone

    def _take_names(self, record: Record) -> bool:
        """Take from the image the names that it was pulled under; whether it is gone with them."""
        for name in record.names:
            try:
                if self._runtime.image(name).id == record.id:
                    self._runtime.remove_image(name)
            except ImageMissing:
                continue
            except Damaged:
                # The engine tells no id of it; the name is one that was pulled here.
                self._runtime.remove_image(name)
        try:
            left = self._runtime.image(record.id)
        except ImageMissing:
            return True
        except Damaged:
            return False
        if any("@" not in name for name in left.names):
            return False
        self._runtime.remove_image(record.id)
        return True


def disk_of(info: EngineInfo) -> Callable[[], float | None]:
    """How full the file system with the engine's data is, as ``df`` tells; None where it isn't this machine's."""

    def percent() -> float | None:
        if not info.local or not info.root:
            return None
        try:
            seen = os.statvfs(info.root)
        except OSError:
            return None
        used = seen.f_blocks - seen.f_bfree
        return 100 * used / max(used + seen.f_bavail, 1)

    return percent


def _called(record: Record) -> str:
    return ", ".join(record.names) or record.id
