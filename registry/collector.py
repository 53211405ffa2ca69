"""The garbage collector: removes what no image needs while pushes go on. There is no read-only mode.

**Links.** A layer is visible in a repository by its link. A link that no image of its repository needs is marked with
the instant, and swept when it has been unused for the grace time without a break. A client that is told "you need not
push this" (HEAD, BatchCheckLayerAvailability, mount, a push of the same bytes) takes the mark away, so the time begins
anew and it can count on the layer. A link is swept under the repository's lock, as images are put: either the image is
there first and the link stays, or the link is gone first and the manifest is refused for naming it.

**Bytes.** A blob that no repository shows can be found by nobody, so its bytes can go; but at every moment a push may
bring the same digest. Three steps, each harmless when repeated:

1. *condemn*, in a transaction: the row is held, seen to have no link, and marked with this collector and an end;
2. the bytes are deleted;
3. *forget*, in a transaction: the row goes, if it still names this collector.

A push keeps the bytes and then records the row and a link in one transaction. What must never be is a row that is not
condemned and has no bytes. Suppose the push found the row: not condemned, it holds the row, so step 1 waits and then
finds the link; condemned, the push begins again once the row is gone. Suppose it found none and inserted it: then step
2 may have removed what it kept only if the blob was condemned before or after it had looked first. Before keeping
anything it has seen that the digest is not condemned, and how often the collector has condemned anything; after the
insert it compares that number. The insert holds the key, so nobody can condemn from then on; an unchanged number
means that nobody did since it looked; so nobody was at step 2. Otherwise the push keeps its bytes, which its spool
still has, once more.

Bytes without a row are what a crash left between keeping and recording. They are condemned by inserting the row, which
fails on the key where a push records it, and so decides between the two as above.

A collector that is killed leaves condemned rows, without links and so invisible, and the next one carries on with
them. It must not come too early: a deletion that the first one still begins would meet bytes kept by a push since. So a
collector is on a roll (``registry.roll``) while it works; once its lock is free it begins nothing more, and
``SETTLES`` after it condemned something nothing is on its way. Where nothing tells a dead collector from a slow one,
such as another machine's, others wait until far beyond the time in which it begins deletions (``BEGINS``); its storage
must not take longer than the difference for one.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from functools import partial

from kit.clock import Clock
from kit.ids import new_id
from kit.settings import Settings
from registry.collected import Collected, Wish
from registry.foresight import Foresight, Tell
from registry.home import Home
from registry.images import remove_image
from registry.orphans import list_orphans
from registry.roll import Roll
from registry.storage import Storage
from registry.untagged import list_dispensable, still_dispensable
from registry.uploads import Uploads
from state.garbage import (
    CollectionEnd,
    by_repository,
    condemn,
    forget_condemned,
    list_condemned,
    list_condemners,
    list_loose_links,
    list_unlinked,
    mark_links,
    sweep_links,
)
from state.images import get_image
from state.repositories import lock_repository
from state.store import Session, Store
from state.untagged import repositories_with_untagged

log = logging.getLogger(__name__)
# How long others leave what a collector has condemned to it, and how long it begins to delete such bytes.
HELD = timedelta(minutes=10)
BEGINS = timedelta(seconds=10)
# How long after it has condemned something nothing of a dead collector's is on its way any more.
SETTLES = timedelta(seconds=30)
# Rows in one transaction: others want to write, too.
BITE = 200


class Collector:
    """Collects in one store and storage. Any number may, at the same time; each is used by one thread."""

    def __init__(
        self,
        store: Store,
        storage: Storage,
        *,
        clock: Clock,
        settings: Settings,
        tell: Tell = lambda what, name, size: None,
    ) -> None:
        self._store = store
        self._storage = storage
        self._clock = clock
        self._settings = settings
        self._tell = tell
        self._home = Home(store, storage, founds=False)
        self._uploads = Uploads(store, storage, clock=clock, account=settings.account)
        self._roll = Roll(settings.data / "collectors")
        self._name = new_id()

    def collect(self, wish: Wish) -> Collected:
        """Remove what is due. Raises NotAtHome where this is not the registry's storage: all in it would look unknown.

        Of a dry run the answer and what ``tell`` hears are the same, and nothing changes; only what killed collectors
        and broken uploads left is not foreseen.
        """
        # Where nothing was ever pushed there is no home yet, and nothing to collect.
        if self._storage.identity() is None and not self._has_blobs():
            return Collected()
        self._home.check()
        done = Collected()
        if wish.dry:
            foresight = Foresight(
                self._store, self._storage, wish, clock=self._clock, settings=self._settings, tell=self._tell
            )
            for part in foresight.parts():
                done += part
            return done
        with self._at_work():
            for part in self._parts(wish):
                done += part
        self._store.transact(lambda session: self._record(session, done))
        log.info("garbage collected", extra={**asdict(done)})
        return done

    def take_over(self) -> Collected:
        """Carry on where collectors were killed. Raises NotAtHome."""
        done = Collected()
        if not any(self._left()):
            return done
        self._home.check()
        with self._at_work():
            for part in self._finish_others():
                done += part
        log.info("garbage of killed collectors removed", extra={**asdict(done)})
        return done

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        # A new name each time: what this one left, when it could not end, is another's.
        self._name = new_id()
        with self._roll.entered(self._name):
            yield
        self._roll.strike(keep=self._store.read(list_condemners))

    def _parts(self, wish: Wish) -> Iterator[Collected]:
        started_at = self._clock.now()
        yield Collected(uploads=self._uploads.sweep())
        yield from self._finish_others()
        if wish.untagged:
            yield from self._untagged(started_at - wish.grace)
        yield from self._links(wish)
        yield from self._unlinked()
        for orphans in list_orphans(self._store, self._storage, before=started_at - wish.grace):
            for some in _bites(orphans):
                done = self._remove([], some)
                yield replace(done, orphans=done.blobs)

    def _has_blobs(self) -> bool:
        return bool(self._store.read(lambda session: list_unlinked(session, after=None))) or bool(
            self._store.read(lambda session: list_loose_links(session, after=None))
        )

    def _left(self) -> tuple[list[str], list[str]]:
        """The collectors that are known to be dead, and those whose time is over."""
        now, dead, late = self._clock.now(), [], []
        for name, until in self._store.read(list_condemners).items():
            if until < now:
                late.append(name)
            elif until - HELD + SETTLES < now and self._roll.is_dead(name):
                dead.append(name)
        return dead, late

    def _finish_others(self) -> Iterator[Collected]:
        dead, late = self._left()
        while left := self._store.read(partial(list_condemned, by=[*dead, *late])):
            done = self._remove(left, {}, dead=dead)
            yield done
            if not done.blobs:
                return

    def _untagged(self, before: datetime) -> Iterator[Collected]:
        for repository in self._store.read(partial(repositories_with_untagged, before=before)):
            digests = self._store.read(
                partial(list_dispensable, repository=repository, settings=self._settings, before=before)
            )
            for start in range(0, len(digests), BITE):
                yield self._remove_images(repository, digests[start : start + BITE], before)

    def _remove_images(self, repository: str, digests: list[str], before: datetime) -> Collected:
        def remove(session: Session) -> list[str]:
            # Looked at again under the lock: a push may have come since.
            lock_repository(session, repository)
            gone = still_dispensable(session, repository, digests, self._settings, before=before)
            for digest in gone:
                # What was beside another one went with it.
                if get_image(session, repository, digest) is not None:
                    remove_image(session, repository, digest, now=self._clock.now())
            return gone

        gone = self._store.transact(remove)
        for digest in gone:
            self._tell("image", f"{repository}@{digest}", 0)
        return Collected(images=len(gone))

    def _links(self, wish: Wish) -> Iterator[Collected]:
        after = None
        while page := self._store.read(partial(list_loose_links, after=after)):
            after = page[-1].key
            swept: set[tuple[str, str]] = set()
            for repository, digests in by_repository([link.key for link in page]):
                swept |= {(repository, digest) for digest in self._sweep(repository, digests, wish.grace)}
            for repository, digest in sorted(swept):
                self._tell("layer", f"{repository}@{digest}", 0)
            waiting = [link.size for link in page if not link.needed and link.key not in swept]
            yield Collected(links=len(swept), waiting=len(waiting), waiting_bytes=sum(waiting))

    def _sweep(self, repository: str, digests: list[str], grace: timedelta) -> set[str]:
        def sweep(session: Session) -> set[str]:
            now = self._clock.now()
            lock_repository(session, repository)
            mark_links(session, repository, digests, now=now)
            return sweep_links(session, repository, digests, before=now - grace)

        return self._store.transact(sweep)

    def _unlinked(self) -> Iterator[Collected]:
        after = None
        while page := self._store.read(partial(list_unlinked, after=after)):
            after = page[-1][0]
            for some in _bites(dict(page)):
                yield self._remove(list(some), {})

    def _remove(self, digests: list[str], orphans: Mapping[str, int], *, dead: Sequence[str] = ()) -> Collected:
        """Condemn, delete, forget; what could not be begun in time once more."""
        done = Collected()
        while digests or orphans:
            now = self._clock.now()
            condemned = self._store.transact(
                partial(condemn, digests=digests, orphans=orphans, by=self._name, now=now, until=now + HELD, dead=dead)
            )
            deleted: dict[str, int] = {}
            for digest, size in condemned.items():
                if self._clock.now() >= now + BEGINS:
                    break
                self._storage.delete(digest)
                deleted[digest] = size
            self._store.transact(partial(forget_condemned, digests=list(deleted), by=self._name))
            done += self._told(deleted)
            digests, orphans = [digest for digest in condemned if digest not in deleted] if deleted else [], {}
        return done

    def _told(self, sizes: Mapping[str, int]) -> Collected:
        for digest, size in sizes.items():
            self._tell("blob", digest, size)
        return Collected(blobs=len(sizes), bytes=sum(sizes.values()))

    def _record(self, session: Session, done: Collected) -> None:
        session.merge(CollectionEnd(name="garbage", ended_at=self._clock.now(), told=asdict(done)))


def _bites(sizes: Mapping[str, int]) -> Iterator[dict[str, int]]:
    each = list(sizes.items())
    return (dict(each[start : start + BITE]) for start in range(0, len(each), BITE))
