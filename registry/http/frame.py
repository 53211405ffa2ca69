"""The frame of every request: authenticate, authorise, run the handler, and turn errors into the protocol's.

Whoever may not is told so before anything about the repository, also whether it exists.

A route is a path and, for each method, the ECR action it needs and its handler. There is no way to add a
route that is not authenticated.
"""

import logging
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from kit.clock import Clock
from kit.ids import Arns
from kit.settings import Settings
from registry.access import USER, Authenticate, Grant
from registry.cache.cache import Cache
from registry.errors import (
    Denied,
    RegistryError,
    StorageFull,
    Unauthorized,
    Unavailable,
    Unsupported,
)
from registry.http.certain import certainly_may
from registry.names import check_name
from registry.policies import EVERY, REPLICATE, Asker, check
from registry.pulls import Pulls
from registry.storage import Storage, StorageError
from registry.templates import REPLICATION, create_from_template, create_on_push
from registry.uploads import Uploads
from state.lookups import Lookups
from state.repositories import get_repository
from state.store import Session, Store, StoreBusy, StoreFull, StoreUnavailable

log = logging.getLogger(__name__)
T = TypeVar("T")
# What a push begins with, where its layers are here already or not.
_PUSHES = ("ecr:InitiateLayerUpload", "ecr:PutImage")


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What handlers work with; one for the process."""

    store: Store
    lookups: Lookups
    storage: Storage
    uploads: Uploads
    clock: Clock
    settings: Settings
    authenticate: Authenticate
    pulls: Pulls
    cache: Cache

    @property
    def arns(self) -> Arns:
        return Arns(self.settings.account, self.settings.region)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One authenticated and authorised request."""

    room: Room
    request: Request
    grant: Grant

    @property
    def name(self) -> str:
        """The repository in the path; raises NameInvalid."""
        return check_name(self.request.path_params["name"])

    @property
    def asker(self) -> Asker:
        """Who asks, as policies see it."""
        return _asker(self.grant, self.request)

    def part(self, name: str) -> str:
        """Another variable part of the path."""
        return str(self.request.path_params[name])

    def query(self, name: str) -> str | None:
        return self.request.query_params.get(name)

    async def read(self, work: Callable[[Session], T]) -> T:
        """Run ``work`` on one view of the store, in a thread."""
        return await run_in_threadpool(self.room.store.read, work)

    async def transact(self, work: Callable[[Session], T]) -> T:
        """Run ``work`` in one transaction, in a thread."""
        return await run_in_threadpool(self.room.store.transact, work)


Handler = Callable[[Ask], Awaitable[Response]]
Methods = Mapping[str, tuple[str | None, Handler]]
"""For each method, the action it needs (None: a valid token is enough) and its handler."""


def endpoint(room: Room, methods: Methods) -> Callable[[Request], Awaitable[Response]]:
    """What answers one route."""

    async def answer(request: Request) -> Response:
        try:
            response = await _answer(room, methods, request)
        except RegistryError as error:
            response = render(error, room)
        except ClientDisconnect:
            # Nobody is there to hear it; what arrived is kept.
            response = Response(status_code=400)
        except StorageError as error:
            log.warning("storage failed", extra={"path": request.scope["path"], "because": str(error)})
            response = render(Unavailable(), room)
        except StoreBusy:
            response = render(Unavailable(), room)
        except StoreUnavailable as error:
            log.warning("store failed", extra={"path": request.scope["path"], "because": str(error)})
            response = render(StorageFull() if isinstance(error, StoreFull) else Unavailable(), room)
        except Exception:
            log.exception("request failed", extra={"method": request.method, "path": request.scope["path"]})
            response = render(_Failure(), room)
        response.headers["Docker-Distribution-Api-Version"] = "registry/2.0"
        return response

    return answer


async def _answer(room: Room, methods: Methods, request: Request) -> Response:
    found = methods.get(request.method)
    action = found[0] if found is not None else None
    grant = _admit_certain(room, request, action) if room.lookups.immediate else None
    if grant is None:
        grant = await run_in_threadpool(_admit, room, request, action)
    if found is None:
        raise Unsupported(headers={"Allow": ", ".join(methods)})
    _, handler = found
    return await handler(Ask(room=room, request=request, grant=grant))


def _admit(room: Room, request: Request, action: str | None) -> Grant:
    """Who asks; raises Unauthorized, and Denied for whoever may not do this to the repository in the path."""
    certain = None if room.lookups.immediate else _admit_certain(room, request, action)
    if certain is not None:
        return certain
    grant = room.authenticate(_credentials(request))
    reads = request.method in ("GET", "HEAD")
    if grant.only_path is not None and not (reads and request.scope["path"] == grant.only_path):
        raise Denied
    if action is not None:
        asker, now = _asker(grant, request), room.clock.now()
        # A path without a name is the catalog's.
        repository = request.path_params.get("name", EVERY)
        wanted = REPLICATE if is_sent_on(request) else action
        room.store.read(lambda session: check(session, asker, wanted, repository, arns=room.arns, now=now))
        if not reads and wanted in (REPLICATE, *_PUSHES):
            _make_room_for(room, check_name(repository), wanted, asker)
    return grant


def _admit_certain(room: Room, request: Request, action: str | None) -> Grant | None:
    """Who asks, where one look-up shows that they may do this to a repository that is there; else None."""
    credentials = request.headers.get("authorization")
    grant = room.authenticate.remembered(credentials) if credentials is not None else None
    if grant is None or grant.only_path is not None or is_sent_on(request):
        return None
    if action is None:
        return grant
    # The catalog's path has no name, and goes the ordinary way.
    repository = str(request.path_params.get("name", ""))
    policies = room.lookups.policies(repository)
    if policies is None:
        return None
    now = room.clock.now()
    may = certainly_may(grant, action, repository, policies, request.scope, arns=room.arns, now=now)
    return grant if may else None


def is_sent_on(request: Request) -> bool:
    """Whether another Berth replicates an image to this one: it asks what is here, and writes."""
    return request.headers.get("berth-replication") == "1" and request.method in ("HEAD", "POST", "PUT")


def _make_room_for(room: Room, repository: str, wanted: str, asker: Asker) -> None:
    """Make the repository that an image is sent or pushed to, where it is missing, as its template has it."""
    if room.store.read(lambda session: get_repository(session, repository)) is not None:
        return
    now = room.clock.now()

    def make(session: Session) -> None:
        if wanted == REPLICATE:
            create_from_template(session, repository, REPLICATION, now=now)
        else:
            create_on_push(session, asker, repository, arns=room.arns, now=now)

    room.store.transact(make)


def _asker(grant: Grant, request: Request) -> Asker:
    return Asker(
        principal_arn=grant.principal_arn,
        actions=grant.actions,
        source_ip=request.client.host if request.client is not None else None,
        secure=request.url.scheme == "https",
    )


def render(error: RegistryError, room: Room) -> Response:
    """The error as a response."""
    headers = dict(error.headers)
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = f'Basic realm="{room.settings.registry_url}/",service="ecr.amazonaws.com"'
    return JSONResponse(error.body(), status_code=error.status, headers=headers)


def _credentials(request: Request) -> str | None:
    """The Authorization header, or in its place the token of a download link."""
    header = request.headers.get("authorization")
    token = request.query_params.get("token")
    if header is None and token is not None:
        return "Basic " + b64encode(f"{USER}:{token}".encode()).decode()
    return header


class _Failure(RegistryError):
    """the registry failed to serve the request; its log says why"""

    code, status = "UNKNOWN", 500
