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

A collector that is killed leaves condemned rows, without links and so invisible, which the next one takes over after
their end and carries on with. Nothing tells a dead collector from a slow one, so the end is far beyond the time in
which a collector begins deletions (``BEGINS``); its storage must not take longer than the difference for one.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

from kit.clock import Clock
from kit.ids import new_id
from kit.settings import Settings
from registry.home import Home
from registry.images import remove_image
from registry.storage import Storage
from registry.uploads import Uploads
from registry.uses import images_in_use
from state.garbage import (
    PAGE,
    CollectionEnd,
    by_repository,
    condemn,
    forget_condemned,
    known_blobs,
    list_left_condemned,
    list_loose_links,
    list_unlinked,
    list_untagged,
    mark_links,
    sweep_links,
)
from state.images import get_image, lists_that_need, tags_of
from state.repositories import lock_repository
from state.store import Session, Store

log = logging.getLogger(__name__)
# How long others leave what a collector has condemned to it, and how long it begins to delete such bytes.
HELD = timedelta(minutes=10)
BEGINS = timedelta(minutes=2)
# Rows in one transaction: others want to write, too.
BITE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a collection removed or, of a dry run, would remove now; and what it left for its time to come."""

    # Images without a tag.
    images: int = 0
    # Layers hidden from a repository, and the blobs removed, with bytes.
    links: int = 0
    blobs: int = 0
    bytes: int = 0
    # Of the blobs, those of which no row told: left by a crash.
    orphans: int = 0
    uploads: int = 0
    # Layers that no image needs, still within the grace time, and their bytes.
    waiting: int = 0
    waiting_bytes: int = 0

    def __add__(self, other: "Collected") -> "Collected":
        mine, others = asdict(self), asdict(other)
        return Collected(**{name: mine[name] + others[name] for name in mine})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How to collect."""

    grace: timedelta
    untagged: bool = False
    dry: bool = False


def wish_of(settings: Settings) -> Wish:
    """How the settings want it."""
    return Wish(grace=timedelta(hours=settings.registry_grace_hours), untagged=settings.registry_delete_untagged)


class Collector:
    """Collects in one store and storage. Any number may, at the same time; each is used by one thread."""

    def __init__(
        self,
        store: Store,
        storage: Storage,
        *,
        clock: Clock,
        settings: Settings,
        tell: Callable[[str, str, int], None] = lambda what, name, size: None,
    ) -> None:
        """``tell`` hears of everything that goes: what it is, its name, and its bytes."""
        self._store = store
        self._storage = storage
        self._clock = clock
        self._settings = settings
        self._tell = tell
        self._home = Home(store, storage, founds=False)
        self._uploads = Uploads(store, storage, clock=clock, account=settings.account)
        self._name = new_id()

    def collect(self, wish: Wish) -> Collected:
        """Remove what is due. Raises NotAtHome where this is not the registry's storage: all in it would look unknown.

        Of a dry run the answer and what ``tell`` hears are the same, and nothing changes; only the layers of images
        without a tag are not foreseen, which have their grace time still before them.
        """
        # Where nothing was ever pushed there is no home yet, and nothing to collect.
        if self._storage.identity() is None and not self._has_blobs():
            return Collected()
        self._home.check()
        done = Collected()
        for part in self._parts(wish):
            done += part
        if not wish.dry:
            self._store.transact(lambda session: self._record(session, done))
            log.info("garbage collected", extra={**asdict(done)})
        return done

    def _parts(self, wish: Wish) -> Iterator[Collected]:
        started_at = self._clock.now()
        if not wish.dry:
            yield Collected(uploads=self._uploads.sweep())
            yield from self._finish_others()
        if wish.untagged:
            yield from self._untagged(wish, started_at)
        yield from self._links(wish)
        yield from self._unlinked(wish)
        yield from self._orphans(wish, started_at)

    def _has_blobs(self) -> bool:
        return bool(self._store.read(lambda session: list_unlinked(session, after=None))) or bool(
            self._store.read(lambda session: list_loose_links(session, after=None))
        )

    def _finish_others(self) -> Iterator[Collected]:
        """Carry on where collectors were killed."""
        while left := self._store.read(lambda session: list_left_condemned(session, now=self._clock.now())):
            done = self._remove(left, {})
            yield done
            if not done.blobs:
                return

    def _untagged(self, wish: Wish, started_at: datetime) -> Iterator[Collected]:
        before, after = started_at - wish.grace, None
        while page := self._store.read(
            lambda session, after=after: list_untagged(session, before=before, after=after)  # type: ignore[misc]
        ):
            after = page[-1]
            for repository, digests in by_repository(page):
                for start in range(0, len(digests), BITE):
                    yield self._remove_images(repository, digests[start : start + BITE], before, dry=wish.dry)

    def _remove_images(self, repository: str, digests: list[str], before: datetime, *, dry: bool) -> Collected:
        def remove(session: Session) -> list[str]:
            if not dry:
                lock_repository(session, repository)
            in_use = images_in_use(session, self._settings).get(repository, frozenset())
            tagged = tags_of(session, repository, digests)
            gone = []
            for digest in digests:
                image = get_image(session, repository, digest)
                # Looked at again under the lock: a push may have come since.
                if (
                    image is None
                    or digest in in_use
                    or digest in tagged
                    or image.pushed_at >= before
                    or lists_that_need(session, repository, digest)
                ):
                    continue
                gone.append(digest)
                if not dry:
                    remove_image(session, repository, digest, now=self._clock.now())
            return gone

        gone = self._store.read(remove) if dry else self._store.transact(remove)
        for digest in gone:
            self._tell("image", f"{repository}@{digest}", 0)
        return Collected(images=len(gone))

    def _links(self, wish: Wish) -> Iterator[Collected]:
        after = None
        while page := self._store.read(
            lambda session, after=after: list_loose_links(session, after=after)  # type: ignore[misc]
        ):
            after = page[-1].key
            sizes = {link.key: link.size for link in page}
            for repository, digests in by_repository(list(sizes)):
                if wish.dry:
                    now = self._clock.now()
                    swept = {
                        link.digest
                        for link in page
                        if link.repository == repository
                        and not link.needed
                        and (link.unused_since or now) <= now - wish.grace
                    }
                else:
                    swept = self._sweep(repository, digests, wish.grace)
                for digest in sorted(swept):
                    self._tell("layer", f"{repository}@{digest}", 0)
                waiting = [
                    link.size
                    for link in page
                    if link.repository == repository and not link.needed and link.digest not in swept
                ]
                yield Collected(links=len(swept), waiting=len(waiting), waiting_bytes=sum(waiting))

    def _sweep(self, repository: str, digests: list[str], grace: timedelta) -> set[str]:
        def sweep(session: Session) -> set[str]:
            now = self._clock.now()
            lock_repository(session, repository)
            mark_links(session, repository, digests, now=now)
            return sweep_links(session, repository, digests, before=now - grace)

        return self._store.transact(sweep)

    def _unlinked(self, wish: Wish) -> Iterator[Collected]:
        after, now = None, self._clock.now()
        leaving = now - wish.grace if wish.dry else None
        while page := self._store.read(
            lambda session, after=after: list_unlinked(  # type: ignore[misc]
                session, after=after, leaving=leaving, now=now
            )
        ):
            after = page[-1][0]
            for start in range(0, len(page), BITE):
                some = dict(page[start : start + BITE])
                yield self._told(some) if wish.dry else self._remove(list(some), {})

    def _orphans(self, wish: Wish, started_at: datetime) -> Iterator[Collected]:
        """Bytes without a row, older than the grace time: younger ones are most likely about to be recorded."""
        page: list[str] = []
        for digest, kept_at in self._storage.blobs():
            if kept_at <= started_at - wish.grace:
                page.append(digest)
            if len(page) >= PAGE:
                yield self._remove_orphans(page, wish)
                page = []
        if page:
            yield self._remove_orphans(page, wish)

    def _remove_orphans(self, page: list[str], wish: Wish) -> Collected:
        known = self._store.read(lambda session: known_blobs(session, page))
        unknown = [digest for digest in page if digest not in known]
        sizes = {digest: size for digest in unknown if (size := self._storage.size(digest)) is not None}
        done = Collected()
        for start in range(0, len(sizes), BITE):
            some = dict(list(sizes.items())[start : start + BITE])
            done += self._told(some) if wish.dry else self._remove([], some)
        return replace(done, orphans=done.blobs)

    def _remove(self, digests: list[str], orphans: Mapping[str, int]) -> Collected:
        """Condemn, delete, forget. What cannot be begun in time is left to be taken over."""
        now = self._clock.now()
        condemned = self._store.transact(
            lambda session: condemn(session, digests, orphans, by=self._name, now=now, until=now + HELD)
        )
        deleted: dict[str, int] = {}
        for digest, size in condemned.items():
            if self._clock.now() >= now + BEGINS:
                break
            self._storage.delete(digest)
            deleted[digest] = size
        self._store.transact(lambda session: forget_condemned(session, list(deleted), by=self._name))
        return self._told(deleted)

    def _told(self, sizes: Mapping[str, int]) -> Collected:
        for digest, size in sizes.items():
            self._tell("blob", digest, size)
        return Collected(blobs=len(sizes), bytes=sum(sizes.values()))

    def _record(self, session: Session, done: Collected) -> None:
        session.merge(CollectionEnd(name="garbage", ended_at=self._clock.now(), told=asdict(done)))
