"""The hot path of pulls, in front of the routes: manifests and blobs, each found by one statement.

It answers only what is certain: a token that was verified a moment ago, a blob that is there, an image that is there
and active and whose pull need not be recorded. Everything else, and every refusal, goes the ordinary way, which is
the one that explains. That something is there is asked at every request; only the bytes of manifests, which their
digests name for ever, are remembered.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from registry.access import Grant
from registry.errors import RegistryError
from registry.http.blobs import answer_blob
from registry.http.certain import certainly_may
from registry.http.frame import Ask, Room
from registry.storage import StorageError
from state.blobs import Blob
from state.lookups import FoundImage
from state.registry_account import PolicyTexts

T = TypeVar("T")
# For each kind of path, the methods that are answered, and the action of the route that is run ahead of.
ACTIONS = {"manifests": (("GET", "HEAD"), "ecr:BatchGetImage"), "blobs": (("GET",), "ecr:GetDownloadUrlForLayer")}
_PREFIX = "/v2/"
# Offered by Berth's own server: head and body in one packet.
SEND_WHOLE = "berth.http.send_whole"
_SENT_ON = b"berth-replication"
# Of each manifest, and of all that are remembered, in bytes.
_LARGEST = 512 * 1024
_MOST = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Asked:
    kind: str
    repository: str
    reference: str
    grant: Grant
    # HEAD: the image is asked about, and not pulled.
    bare: bool


class Quick:
    """The application, with what can be answered at once answered in front of it."""

    def __init__(self, room: Room, app: ASGIApp) -> None:
        self._room = room
        self._app = app
        self._arns = room.arns
        self._lookups = room.lookups
        self._bodies = _Bodies()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = self._ask(scope)
        if asked is None:
            answered = False
        elif asked.kind == "blobs":
            answered = await self._answer_blob(asked, scope, receive, send)
        else:
            answered = await self._answer_image(asked, scope, send)
        if not answered:
            await self._app(scope, receive, send)

    def _ask(self, scope: Scope) -> _Asked | None:
        """What is asked for, by whom; None for what is not to be answered here."""
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            return None
        where, _, reference = scope["path"].rpartition("/")
        where, _, kind = where.rpartition("/")
        if kind not in ACTIONS or scope["method"] not in ACTIONS[kind][0]:
            return None
        if not (where.startswith(_PREFIX) and where.isascii() and reference):
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
        return _Asked(kind, where[len(_PREFIX) :], reference, grant, scope["method"] == "HEAD")

    async def _answer_blob(self, asked: _Asked, scope: Scope, receive: Receive, send: Send) -> bool:
        blob = await self._look(self._lookups.blob, asked.repository, asked.reference)
        if blob is None or not self._may(asked, blob.policies, scope):
            return False
        ask = Ask(room=self._room, request=Request(scope, receive), grant=asked.grant)
        try:
            response = await answer_blob(ask, Blob(digest=asked.reference, size=blob.size))
        except (RegistryError, StorageError):
            return False
        response.headers["Docker-Distribution-Api-Version"] = "registry/2.0"
        await response(scope, receive, send)
        return True

    async def _answer_image(self, asked: _Asked, scope: Scope, send: Send) -> bool:
        image = await self._look(self._lookups.image, asked.repository, asked.reference)
        if image is None or image.status != "ACTIVE" or (image.is_cached and ":" not in asked.reference):
            return False
        if not self._may(asked, image.policies, scope):
            return False
        body: bytes | None = b""
        if not asked.bare:
            now = self._room.clock.now()
            if self._room.pulls.is_due(asked.grant.principal_arn, image.pulled_at, now=now):
                return False
            body = await self._body(asked, image)
            if body is None:
                return False
        digest = image.digest.encode()
        headers = [
            (b"content-type", image.media_type.encode("latin-1")),
            (b"docker-content-digest", digest),
            (b"etag", b'"%s"' % digest),
            (b"content-length", b"%d" % image.body_size),
            (b"docker-distribution-api-version", b"registry/2.0"),
        ]
        whole = scope.get("extensions", {}).get(SEND_WHOLE)
        if whole is not None:
            await whole(200, headers, body)
        else:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        return True

    async def _body(self, asked: _Asked, image: FoundImage) -> bytes | None:
        """The manifest's bytes; None for one that is too large to remember."""
        body = self._bodies.get(image.digest)
        if body is None and image.body_size <= _LARGEST:
            body = await self._look(self._lookups.body, asked.repository, image.digest)
            if body is not None:
                self._bodies.put(image.digest, body)
        return body

    async def _look(self, lookup: Callable[[str, str], T], repository: str, reference: str) -> T:
        if self._lookups.immediate:
            return lookup(repository, reference)
        return await run_in_threadpool(lookup, repository, reference)

    def _may(self, asked: _Asked, policies: PolicyTexts, scope: Scope) -> bool:
        """Whether whoever asks certainly may."""
        _, action = ACTIONS[asked.kind]
        now = self._room.clock.now()
        return certainly_may(asked.grant, action, asked.repository, policies, scope, arns=self._arns, now=now)


class _Bodies:
    """The bytes of the manifests that were asked for last, by digest. For the event loop's thread alone."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0

    def get(self, digest: str) -> bytes | None:
        body = self._kept.get(digest)
        if body is not None:
            self._kept.move_to_end(digest)
        return body

    def put(self, digest: str, body: bytes) -> None:
        if digest not in self._kept:
            self._kept[digest] = body
            self._size += len(body)
        while self._size > _MOST:
            self._size -= len(self._kept.popitem(last=False)[1])
