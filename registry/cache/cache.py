"""The cache: images and layers that are fetched from an upstream when somebody here first asks for them.

However many ask, in however many processes, one fetches: the askers of a process share a flight, and processes a claim
in the store. A manifest is told to its askers as soon as it is verified, so that they can ask for the layers, which
are on their way by then; it is kept, and seen by all others, once all it needs is here, like any push. Of a list of
images only those are fetched that somebody asks for.

A tag that is here already is held against its upstream's once a day. Whatever goes wrong with that, the image that
is here is served.
"""

import logging
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from threading import Semaphore

from kit.clock import Clock
from kit.secrets import SecretBox
from kit.settings import Settings
from registry.cache.access import is_due
from registry.cache.arrivals import Arrival
from registry.cache.claims import Claims
from registry.cache.fetching import Connections, Fetched, digest_there, fetch_blob, fetch_manifest
from registry.cache.flights import Flights
from registry.cache.sources import Source, source_of
from registry.errors import NameUnknown
from registry.images import Push, is_immutable, missing_parts, put_image
from registry.manifests import LISTS, read_manifest
from registry.templates import PULL_THROUGH_CACHE, create_from_template
from registry.uploads import Uploads
from registry.upstream import NotThere, RegistryConnection
from state.blobs import get_blob
from state.cached_tags import note_cached_tag
from state.images import Image, get_image, get_tag
from state.repositories import get_repository
from state.scrubs import is_faulty
from state.store import Session, Store

log = logging.getLogger(__name__)
# When an upstream that gave no answer is asked again about a tag that is here.
TRIED_AGAIN_AFTER = timedelta(minutes=1)
# Most wait: images for their layers, and both for what another process fetches.
_AT_ONCE = 64
_DOWNLOADS_AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What is here already, and where more comes from."""

    source: Source
    image: Fetched | None
    due: bool


class Cache:
    """The cache of one process. Any thread may ask; answers are futures."""

    def __init__(
        self, store: Store, uploads: Uploads, *, clock: Clock, settings: Settings, secrets: SecretBox | None
    ) -> None:
        self._store = store
        self._uploads = uploads
        self._clock = clock
        self._settings = settings
        self._connections = Connections(clock, secrets)
        self._claims = Claims(store, clock)
        self._images: Flights[Fetched] = Flights("upstream-images", most=_AT_ONCE, clock=clock)
        self._blobs: Flights[Arrival | None] = Flights("upstream-blobs", most=_AT_ONCE, clock=clock)
        self._downloads = Semaphore(_DOWNLOADS_AT_ONCE)
        # Manifests that were told, and whose layers are still on their way.
        self._arriving: dict[tuple[str, str], Fetched] = {}

    def image(self, repository: str, reference: str, *, forced: bool = False) -> "Future[Fetched]":
        """The manifest of a tag or digest, from here while that will do, or else from the upstream.

        ``forced`` asks the upstream whatever is here. The future raises UpstreamError and RegistryError.
        """
        arriving = self._arriving.get((repository, reference))
        if arriving is not None:
            told: Future[Fetched] = Future()
            told.set_result(arriving)
            return told

        def work(announce: Callable[[Fetched], None]) -> None:
            with self._claims.hold(repository, reference):
                if ":" in reference:
                    self._import_digest(repository, reference, announce)
                else:
                    self._import_tag(repository, reference, announce, forced=forced)

        return self._images.join((repository, reference, forced), work)

    def wait(self, repository: str, reference: str, *, forced: bool = False) -> None:
        """Wait until what was told of the image is kept whole, or has failed."""
        self._images.wait((repository, reference, forced))

    def blob(self, repository: str, digest: str) -> "Future[Arrival | None]":
        """Have the blob in the repository, which is there: what arrives there, or None once it has.

        The future, and the arrival's ``kept``, raise UpstreamError, RegistryError and StorageError.
        """

        def work(announce: Callable[[Arrival | None], None]) -> None:
            self._take_blob(repository, digest, announce)

        return self._blobs.join((repository, digest), work)

    def names(self, repository: str, digest: str) -> bool:
        """Whether a manifest that was told a moment ago needs the blob."""
        arriving = tuple(self._arriving.items())
        return any(digest in found.manifest.blobs for (where, _), found in arriving if where == repository)

    def _import_digest(self, repository: str, digest: str, announce: Callable[[Fetched], None]) -> None:
        seen = self._look(repository, digest)
        if seen.image is None:
            found = fetch_manifest(self._connect(seen.source), seen.source, digest)
            self._take(repository, found, lambda: announce(found))
        else:
            announce(seen.image)

    def _import_tag(self, repository: str, tag: str, announce: Callable[[Fetched], None], *, forced: bool) -> None:
        seen = self._look(repository, tag)
        if seen.image is None:
            found = fetch_manifest(self._connect(seen.source), seen.source, tag)
            self._take_tagged(repository, tag, found, lambda: announce(found))
        elif forced:
            announce(self._renew(seen, repository, tag, seen.image))
        elif seen.due:
            announce(self._renew_if_possible(seen, repository, tag, seen.image))
        else:
            announce(seen.image)

    def _renew_if_possible(self, seen: _Seen, repository: str, tag: str, here: Fetched) -> Fetched:
        try:
            return self._renew(seen, repository, tag, here)
        except NotThere:
            # Taken away there, kept here.
            self._note(repository, tag, here.digest, self._ttl)
        except Exception as trouble:
            log.warning("upstream not asked", extra={"repository": repository, "tag": tag, "because": str(trouble)})
            self._note(repository, tag, here.digest, min(TRIED_AGAIN_AFTER, self._ttl))
        return here

    def _renew(self, seen: _Seen, repository: str, tag: str, here: Fetched) -> Fetched:
        """What the upstream has under the tag, whole and kept."""
        connection = self._connect(seen.source)
        if digest_there(connection, seen.source, tag) == here.digest:
            self._note(repository, tag, here.digest, self._ttl)
            return here
        found = fetch_manifest(connection, seen.source, tag)
        if self._take_tagged(repository, tag, found):
            return found
        self._note(repository, tag, here.digest, self._ttl)
        return here

    def _take_tagged(
        self, repository: str, tag: str, found: Fetched, verified: Callable[[], None] = lambda: None
    ) -> bool:
        """Take the image under its tag; False where the tag stays with the image that it has."""
        with self._claims.hold(repository, found.digest):
            return self._take(repository, found, verified, tag=tag)

    def _take(self, repository: str, found: Fetched, verified: Callable[[], None], *, tag: str | None = None) -> bool:
        """Take the manifest and all that it needs; ``verified`` is called once it can be told."""
        self._store.transact(self._make_repository(repository))
        self._arriving[repository, found.digest] = found
        try:
            verified()
            missing = self._store.read(lambda session: missing_parts(session, repository, found.manifest))
            layers = [digest for digest in missing if digest in found.manifest.blobs]
            for layer in [self.blob(repository, digest) for digest in layers]:
                arrival = layer.result()
                if arrival is not None:
                    arrival.kept.result()
            return self._store.transact(lambda session: self._put(session, repository, found, tag))
        finally:
            self._arriving.pop((repository, found.digest), None)

    def _make_repository(self, name: str) -> Callable[[Session], object]:
        now = self._clock.now()
        return lambda session: create_from_template(session, name, PULL_THROUGH_CACHE, now=now)

    def _put(self, session: Session, name: str, found: Fetched, tag: str | None) -> bool:
        now, account = self._clock.now(), self._settings.account
        repository, taken = get_repository(session, name), None
        if tag is not None and repository is not None and is_immutable(repository, tag):
            taken = get_tag(session, name, tag)
        stays = taken is not None and taken.digest != found.digest
        tags = [tag] if tag is not None and not stays else []
        # Others pull from the upstream themselves: what comes from there is not sent on.
        push = Push(digest=found.digest, body=found.body, manifest=found.manifest, tags=tags, replicated=True)
        put_image(session, name, push, account=account, now=now, sparse=found.media_type in LISTS)
        for each in tags:
            note_cached_tag(session, name, each, found.digest, due_at=now + self._ttl)
        return not stays

    def _take_blob(self, repository: str, digest: str, announce: Callable[[Arrival | None], None]) -> None:
        with self._claims.hold(repository, digest):

            def look(session: Session) -> Source | None:
                here = get_blob(session, repository, digest) is not None and not is_faulty(session, digest)
                return None if here else _source(session, repository)

            source = self._store.read(look)
            if source is None:
                announce(None)
                return
            connection = self._connect(source)
            with self._downloads:
                fetch_blob(connection, source, self._uploads, repository, digest, announce)

    def _look(self, repository: str, reference: str) -> _Seen:
        now = self._clock.now()

        def look(session: Session) -> _Seen:
            digest: str | None = reference
            if ":" not in reference:
                tag = get_tag(session, repository, reference)
                digest = tag.digest if tag is not None else None
            image = get_image(session, repository, digest, body=True) if digest is not None else None
            return _Seen(
                source=_source(session, repository),
                image=_served(image) if image is not None else None,
                due=image is not None and is_due(session, image, reference, now=now),
            )

        return self._store.read(look)

    def _connect(self, source: Source) -> RegistryConnection:
        return self._connections.to(source, self._store.read(lambda session: self._connections.login(session, source)))

    def _note(self, repository: str, tag: str, digest: str, length: timedelta) -> None:
        due_at = self._clock.now() + length

        def note(session: Session) -> None:
            # It may have been deleted meanwhile, or pushed.
            there = get_tag(session, repository, tag)
            if there is not None and there.digest == digest:
                note_cached_tag(session, repository, tag, digest, due_at=due_at)

        self._store.transact(note)

    @property
    def _ttl(self) -> timedelta:
        return timedelta(seconds=self._settings.registry_cache_ttl_seconds)


def _source(session: Session, repository: str) -> Source:
    source = source_of(session, repository)
    if source is None:
        raise NameUnknown(f"{repository} is not pulled through from another registry", detail={"name": repository})
    return source


def _served(image: Image) -> Fetched:
    return Fetched(
        digest=image.digest,
        media_type=image.media_type,
        body=image.body,
        manifest=read_manifest(image.body, image.media_type),
    )
