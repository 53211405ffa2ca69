"""The registry as an ASGI application: routes, and what each needs. Source: OCI distribution-spec, "Endpoints"."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from kit.clock import Clock
from kit.secrets import SecretBox
from kit.settings import Settings
from registry.access import Authenticate
from registry.cache.cache import Cache
from registry.errors import NoSuchPage
from registry.home import Home
from registry.http.blobs import delete_blob, get_blob_bytes, head_blob
from registry.http.frame import Ask, Methods, Room, endpoint
from registry.http.manifests import delete_manifest, get_manifest, put_manifest
from registry.http.quick import Quick
from registry.http.referrers import get_referrers
from registry.http.sending import check_delivery
from registry.http.tags import get_catalog, get_tags
from registry.http.uploads import begin_upload, cancel_upload, finish_upload, upload_chunk, upload_status
from registry.pulls import Pulls
from registry.storage import Storage
from registry.uploads import Uploads
from state.lookups import Lookups
from state.store import Store


async def probe(ask: Ask) -> Response:
    """Whether this is a registry, and whether the token is good."""
    return Response("{}", media_type="application/json")


async def nowhere(ask: Ask) -> Response:
    raise NoSuchPage


_BEGIN: Methods = {"POST": ("ecr:InitiateLayerUpload", begin_upload)}
ROUTES: tuple[tuple[str, Methods], ...] = (
    ("/v2/", {"GET": (None, probe), "HEAD": (None, probe)}),
    ("/v2", {"GET": (None, probe), "HEAD": (None, probe)}),
    ("/v2/_catalog", {"GET": ("ecr:DescribeRepositories", get_catalog)}),
    ("/v2/{name:path}/blobs/uploads/", _BEGIN),
    ("/v2/{name:path}/blobs/uploads", _BEGIN),
    (
        "/v2/{name:path}/blobs/uploads/{upload}",
        {
            "GET": ("ecr:UploadLayerPart", upload_status),
            "PATCH": ("ecr:UploadLayerPart", upload_chunk),
            "PUT": ("ecr:CompleteLayerUpload", finish_upload),
            "DELETE": ("ecr:UploadLayerPart", cancel_upload),
        },
    ),
    (
        "/v2/{name:path}/blobs/{digest}",
        {
            "GET": ("ecr:GetDownloadUrlForLayer", get_blob_bytes),
            "HEAD": ("ecr:BatchCheckLayerAvailability", head_blob),
            "DELETE": ("ecr:BatchDeleteImage", delete_blob),
        },
    ),
    (
        "/v2/{name:path}/manifests/{reference}",
        {
            "GET": ("ecr:BatchGetImage", get_manifest),
            "HEAD": ("ecr:BatchGetImage", get_manifest),
            "PUT": ("ecr:PutImage", put_manifest),
            "DELETE": ("ecr:BatchDeleteImage", delete_manifest),
        },
    ),
    ("/v2/{name:path}/tags/list", {"GET": ("ecr:ListImages", get_tags)}),
    ("/v2/{name:path}/referrers/{digest}", {"GET": ("ecr:BatchGetImage", get_referrers)}),
)
_EVERY_METHOD = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_NOWHERE: Methods = dict.fromkeys(_EVERY_METHOD, (None, nowhere))


def create_registry(
    store: Store,
    storage: Storage,
    *,
    clock: Clock,
    settings: Settings,
    authenticate: Authenticate,
    secrets: SecretBox | None = None,
) -> ASGIApp:
    """The application that keeps images in ``store`` and ``storage``.

    ``authenticate`` (``registry.access.EcrTokens``) is asked at every request; there is no door without it.
    Without ``secrets`` no credentials for upstream registries can be opened. Raises BadSetting.
    """
    check_delivery(settings.blob_delivery)
    home = Home(store, storage, founds=True)
    home.settle()
    uploads = Uploads(store, storage, clock=clock, account=settings.account, home=home)
    room = Room(
        store=store,
        lookups=Lookups(store),
        storage=storage,
        uploads=uploads,
        clock=clock,
        settings=settings,
        authenticate=authenticate,
        pulls=Pulls(store),
        cache=Cache(store, uploads, clock=clock, settings=settings, secrets=secrets),
    )
    routes = Starlette(
        routes=[Route(path, _Endpoint(room, methods)) for path, methods in (*ROUTES, ("/{rest:path}", _NOWHERE))]
    )
    return Quick(room, routes)


class _Endpoint:
    """An endpoint as starlette takes it for every method: an ASGI application."""

    def __init__(self, room: Room, methods: Methods) -> None:
        self._answer = endpoint(room, methods)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)
