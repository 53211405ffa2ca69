"""Foresight: what a collection of garbage would remove now, and what it would leave to its time. Nothing changes."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

from kit.clock import Clock
from kit.settings import Settings
from registry.collected import Collected, Wish
from registry.images import list_beside
from registry.orphans import list_orphans
from registry.storage import Storage
from registry.untagged import list_dispensable
from state.garbage import LooseLink, list_loose_links, list_unlinked
from state.store import Session, Store
from state.untagged import list_freed_blobs, list_freed_links, repositories_with_untagged

Tell = Callable[[str, str, int], None]
"""Hears of everything that goes: what it is, its name, and its bytes."""


class Foresight:
    """As the collector does it, in the same order. Only what killed collectors and broken uploads left is not told."""

    def __init__(
        self, store: Store, storage: Storage, wish: Wish, *, clock: Clock, settings: Settings, tell: Tell
    ) -> None:
        self._store = store
        self._storage = storage
        self._settings = settings
        self._tell = tell
        self._wish = wish
        self._now = clock.now()
        self._leaving = self._now - wish.grace

    def parts(self) -> Iterator[Collected]:
        """What would be done, in parts that add up."""
        freed: list[LooseLink] = []
        if self._wish.untagged:
            for repository in self._store.read(partial(repositories_with_untagged, before=self._leaving)):
                images, links = self._store.read(partial(self._untagged, repository=repository))
                freed += links
                yield self._told("image", {f"{repository}@{digest}": 0 for digest in images})
        yield from self._links(freed)
        yield from self._unlinked()
        swept = {link.key for link in freed if self._is_due(link)}
        yield self._told(
            "blob", self._store.read(partial(list_freed_blobs, swept=swept, leaving=self._leaving, now=self._now))
        )
        for page in list_orphans(self._store, self._storage, before=self._leaving):
            yield replace(self._told("blob", page), orphans=len(page))

    def _untagged(self, session: Session, repository: str) -> tuple[list[str], list[LooseLink]]:
        images = list_dispensable(session, repository, self._settings, before=self._leaving)
        beside = {each for digest in images for each in list_beside(session, repository, digest)}
        return images, list_freed_links(session, repository, {*images, *beside})

    def _links(self, freed: list[LooseLink]) -> Iterator[Collected]:
        yield self._weighed(freed)
        after = None
        while page := self._store.read(partial(list_loose_links, after=after)):
            after = page[-1].key
            yield self._weighed([link for link in page if not link.needed])

    def _weighed(self, links: list[LooseLink]) -> Collected:
        waiting = [link.size for link in links if not self._is_due(link)]
        swept = self._told("layer", {f"{link.repository}@{link.digest}": 0 for link in links if self._is_due(link)})
        return swept + Collected(waiting=len(waiting), waiting_bytes=sum(waiting))

    def _unlinked(self) -> Iterator[Collected]:
        after = None
        while page := self._store.read(partial(list_unlinked, after=after, leaving=self._leaving, now=self._now)):
            after = page[-1][0]
            yield self._told("blob", dict(page))

    def _is_due(self, link: LooseLink) -> bool:
        # Without a mark it would be marked now.
        return (link.unused_since or self._now) <= self._leaving

    def _told(self, what: str, sizes: Mapping[str, int]) -> Collected:
        for name, size in sizes.items():
            self._tell(what, name, size)
        match what:
            case "image":
                return Collected(images=len(sizes))
            case "layer":
                return Collected(links=len(sizes))
            case _:
                return Collected(blobs=len(sizes), bytes=sum(sizes.values()))
