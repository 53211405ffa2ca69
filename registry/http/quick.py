"""The hot path of pulls, in front of the routes: manifests, from one statement and a memory of their bytes.

It answers only what is certain: a token that was verified a moment ago, an image that is there and active, and whose
pull need not be recorded. Everything else, and every refusal, goes the ordinary way, which is the one that explains.
That the image is there is asked at every request; only its bytes, which its digest names for ever, are remembered.
"""

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import NoReturn

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from registry.access import Grant
from registry.http.frame import Room
from registry.policies import Asker, judge
from state.lookups import FoundImage, Lookups

# The action of the route that is run ahead of.
ACTION = "ecr:BatchGetImage"
_SENT_ON = b"berth-replication"
_PREFIX, _MARK = "/v2/", "/manifests"
# Of each manifest, and of all that are remembered, in bytes.
_LARGEST = 512 * 1024
_MOST = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Asked:
    repository: str
    reference: str
    grant: Grant
    source_ip: str | None
    secure: bool
    # HEAD: the image is asked about, and not pulled.
    bare: bool


class Quick:
    """The application, with what can be answered at once answered in front of it."""

    def __init__(self, room: Room, app: ASGIApp) -> None:
        self._room = room
        self._app = app
        self._arns = room.arns
        self._lookups = Lookups(room.store)
        self._bodies = _Bodies()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = self._ask(scope)
        found = None
        if asked is not None:
            found = self._find(asked) if self._lookups.immediate else await run_in_threadpool(self._find, asked)
        if asked is None or found is None:
            await self._app(scope, receive, send)
            return
        image, body = found
        headers = [
            (b"content-type", image.media_type.encode("latin-1")),
            (b"docker-content-digest", image.digest.encode()),
            (b"etag", b'"%s"' % image.digest.encode()),
            (b"content-length", b"%d" % image.body_size),
            (b"docker-distribution-api-version", b"registry/2.0"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _ask(self, scope: Scope) -> _Asked | None:
        """What is asked for, by whom; None for what is not to be answered here."""
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            return None
        where, _, reference = scope["path"].rpartition("/")
        if not (where.startswith(_PREFIX) and where.endswith(_MARK) and where.isascii() and reference):
            return None
        credentials = None
        for name, value in scope["headers"]:
            if name == b"authorization" and credentials is None:
                credentials = value
            elif name == _SENT_ON:
                # Another Berth needs another right.
                return None
        if credentials is None:
            return None
        grant = self._room.authenticate.remembered(credentials.decode("latin-1"))
        if grant is None or grant.only_path is not None:
            return None
        client = scope.get("client")
        return _Asked(
            where[len(_PREFIX) : -len(_MARK)],
            reference,
            grant,
            client[0] if client is not None else None,
            scope["scheme"] == "https",
            scope["method"] == "HEAD",
        )

    def _find(self, asked: _Asked) -> tuple[FoundImage, bytes] | None:
        """The image and its bytes, for whoever may have them; None when that is not certain."""
        image = self._lookups.image(asked.repository, asked.reference)
        if image is None or image.status != "ACTIVE" or (image.is_cached and ":" not in asked.reference):
            return None
        if not self._may(asked, image):
            return None
        if asked.bare:
            return image, b""
        now = self._room.clock.now()
        if self._room.pulls.is_due(asked.grant.principal_arn, image.pulled_at, now=now):
            return None
        body = self._bodies.get(image.digest)
        if body is None:
            if image.body_size > _LARGEST:
                return None
            body = self._lookups.body(asked.repository, image.digest)
            if body is None:
                return None
            self._bodies.put(image.digest, body)
        return image, body

    def _may(self, asked: _Asked, image: FoundImage) -> bool:
        asker = Asker(
            principal_arn=asked.grant.principal_arn,
            actions=asked.grant.actions,
            source_ip=asked.source_ip,
            secure=asked.secure,
        )
        try:
            refusal = judge(
                asker,
                ACTION,
                asked.repository,
                image.policies,
                arns=self._arns,
                now=self._room.clock.now(),
                tags=_not_known_here,
            )
        except _Uncertain:
            return False
        return refusal is None


class _Uncertain(Exception):
    """A policy asks for what is not known here."""


def _not_known_here() -> NoReturn:
    raise _Uncertain


class _Bodies:
    """The bytes of the manifests that were asked for last, by digest."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0
        self._lock = Lock()

    def get(self, digest: str) -> bytes | None:
        with self._lock:
            body = self._kept.get(digest)
            if body is not None:
                self._kept.move_to_end(digest)
            return body

    def put(self, digest: str, body: bytes) -> None:
        with self._lock:
            if digest not in self._kept:
                self._kept[digest] = body
                self._size += len(body)
            while self._size > _MOST:
                self._size -= len(self._kept.popitem(last=False)[1])
