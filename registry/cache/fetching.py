"""Fetching from an upstream: one manifest, or one blob, kept when its digest is verified and not before."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import chain
from threading import Lock

from kit.clock import Clock
from kit.secrets import SecretBox
from registry.cache.arrivals import Arrival
from registry.cache.downloads import Download
from registry.cache.sources import Source
from registry.cache.upstreams import connect
from registry.credentials import NoCredentials, SealedElsewhere, open_login
from registry.errors import DigestInvalid, ManifestInvalid, RegistryError
from registry.manifests import IMAGES, LARGEST, LISTS, Manifest, read_manifest
from registry.names import algorithm_of, digest_of, is_digest
from registry.storage import StorageError
from registry.uploads import Uploads
from registry.upstream import Address, Login, Misbehaved, Refused, RegistryConnection
from state.store import Session, StoreBusy, StoreUnavailable

_TYPES = (*IMAGES, *LISTS)
_ACCEPT = {"Accept": ", ".join(_TYPES)}
_DIGEST = "docker-content-digest"
# The answer for a smaller blob waits until it is verified, and so can still be that it cannot be had.
FOLLOWED_FROM = 4 * 1024 * 1024
_CONNECTIONS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A manifest as it is served, and what it says."""

    digest: str
    media_type: str
    body: bytes
    manifest: Manifest


class Connections:
    """Connections to upstreams, kept for their tokens and sockets."""

    def __init__(self, clock: Clock, secrets: SecretBox | None) -> None:
        self._clock = clock
        self._secrets = secrets
        self._open: OrderedDict[tuple[Address, Login | None], RegistryConnection] = OrderedDict()
        self._lock = Lock()

    def login(self, session: Session, source: Source) -> Login | None:
        """The credentials for the source; raises Refused where they are not to be had."""
        if source.credential_arn is None:
            return None
        try:
            if self._secrets is not None:
                return open_login(session, self._secrets, source.credential_arn)
        except (NoCredentials, SealedElsewhere):
            pass
        raise Refused(f"the credentials '{source.credential_arn}' are missing, or sealed with another master key")

    def to(self, source: Source, login: Login | None) -> RegistryConnection:
        """The connection to the source's registry with these credentials."""
        with self._lock:
            key = (source.address, login)
            if key not in self._open:
                self._open[key] = connect(source.address, login, clock=self._clock)
            self._open.move_to_end(key)
            # One that somebody is using works on; its sockets go with it.
            while len(self._open) > _CONNECTIONS:
                self._open.popitem(last=False)
            return self._open[key]


def digest_there(connection: RegistryConnection, source: Source, tag: str) -> str | None:
    """The digest that the upstream has under the tag, if it says so; raises UpstreamError."""
    answer = connection.head(_path(source, "manifests", tag), scope=source.scope, headers=_ACCEPT)
    said = answer.headers.get(_DIGEST, "")
    return said if is_digest(said) else None


def fetch_manifest(connection: RegistryConnection, source: Source, reference: str) -> Fetched:
    """The manifest of a tag or digest; raises UpstreamError."""
    where, path = connection.address.url, _path(source, "manifests", reference)
    answer = connection.get(path, scope=source.scope, headers=_ACCEPT, largest=LARGEST)
    said = reference if is_digest(reference) else answer.headers.get(_DIGEST, "")
    digest = digest_of(answer.body, algorithm_of(said) if is_digest(said) else "sha256")
    if is_digest(said) and digest != said:
        raise Misbehaved(f"{where} sent a manifest that is not {said}")
    media_type = answer.headers.get("content-type", "").partition(";")[0].strip()
    try:
        manifest = read_manifest(answer.body, media_type if media_type in _TYPES else None)
    except ManifestInvalid as error:
        raise Misbehaved(f"{where} sent what cannot be kept: {error.message}") from None
    return Fetched(digest=digest, media_type=manifest.media_type, body=answer.body, manifest=manifest)


def fetch_blob(
    connection: RegistryConnection,
    source: Source,
    uploads: Uploads,
    repository: str,
    digest: str,
    announce: Callable[[Arrival | None], None],
) -> None:
    """Fetch the blob into the repository; raises UpstreamError, and what an upload raises.

    One that is not small is announced when it begins to arrive, any other when it is kept.
    """
    download = Download(connection, _path(source, "blobs", digest), scope=source.scope)
    with closing(download.pieces()) as pieces:
        # Nothing is begun here for what cannot be had there.
        first = next(pieces, b"")
        upload = uploads.begin(repository, algorithm=algorithm_of(digest))
        arrival = Arrival(upload, download.size or 0)
        followed = arrival.size >= FOLLOWED_FROM
        if followed:
            announce(arrival)
        try:
            _receive(uploads, repository, digest, arrival, chain((first,), pieces))
        except DigestInvalid:
            trouble = Misbehaved(f"{connection.address.url} sent a blob that is not {digest}")
            arrival.end(trouble)
            raise trouble from None
        except BaseException as trouble:
            # First of all: many wait for it, and what cannot be cleared away now is swept later.
            arrival.end(trouble)
            with suppress(RegistryError, StorageError, StoreBusy, StoreUnavailable):
                uploads.cancel(repository, upload)
            raise
        arrival.end()
    if not followed:
        announce(None)


def _receive(uploads: Uploads, repository: str, digest: str, arrival: Arrival, pieces: Iterable[bytes]) -> None:
    incoming = uploads.write(repository, arrival.upload, digest=digest)
    try:
        for piece in pieces:
            incoming.write(piece)
            arrival.advance(incoming.flushed)
        incoming.finish(digest)
    finally:
        incoming.close()


def _path(source: Source, kind: str, reference: str) -> str:
    return f"/v2/{source.repository}/{kind}/{reference}"
