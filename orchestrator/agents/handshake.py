"""The handshake of an agent's WebSocket: signed like any request, and only for a container instance that is there."""

from collections.abc import Callable
from urllib.parse import parse_qs

from starlette.responses import JSONResponse
from starlette.websockets import WebSocket

from kit.aws.errors import AccessDeniedException, AwsError, ServiceUnavailable
from kit.aws.http import HttpRequest
from kit.aws.sigv4 import Caller, Key, verify
from kit.clock import Clock
from kit.ids import last_part
from orchestrator.agents.own_host import check_own_host
from state.container_instances import ContainerInstance, get_container_instance
from state.store import Session, Store, StoreUnavailable

# What a server may put among a WebSocket's extensions: tells whether the other end has gone.
HUNG_UP = "berth.hung-up"


class InactiveInstanceException(AwsError):
    """The container instance is not known here, or no longer active."""


class Handshake:
    """Checks who asks for a socket and for which host."""

    def __init__(
        self, store: Store, clock: Clock, find_key: Callable[[str], Key | None], *, region: str | None = None
    ) -> None:
        self._store = store
        self._clock = clock
        self._find_key = find_key
        self._region = region

    def admit(self, request: HttpRequest, *, action: str, member: str) -> str:
        """The id of the container instance named by query member ``member``; raises AwsError."""
        caller: Caller = verify(request, self._find_key, self._clock.now(), service="ecs", region=self._region)
        if not caller.may(action):
            raise AccessDeniedException(f"User: {caller.principal_arn} is not authorized to perform: {action}")
        refs = parse_qs(request.query).get(member, [""])
        instance_id = last_part(refs[0])
        check_own_host(caller, instance_id)
        self.check_active(instance_id)
        return instance_id

    def check_active(self, instance_id: str) -> None:
        """Raise InactiveInstanceException for a container instance that is not here, or not any more."""

        def find(session: Session) -> ContainerInstance | None:
            return get_container_instance(session, instance_id)

        try:
            instance = self._store.read(find)
        except StoreUnavailable as trouble:
            raise ServiceUnavailable(str(trouble)) from trouble
        if instance is None or instance.status == "INACTIVE":
            raise InactiveInstanceException(f"The container instance {instance_id!r} is not active.")


def request_of(socket: WebSocket) -> HttpRequest:
    """The handshake's HTTP request, as the signature covers it."""
    scope = socket.scope
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return HttpRequest(
        method="GET",
        path=raw.split(b"?", 1)[0].decode("latin-1"),
        query=scope["query_string"].decode("latin-1"),
        headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
        body=b"",
    )


def has_hung_up(socket: WebSocket) -> bool:
    """Whether whoever dialled is gone already; on any thread. False where the server cannot tell."""
    told = socket.scope.get("extensions", {}).get(HUNG_UP)
    return told is not None and bool(told())


async def refuse(socket: WebSocket, error: AwsError) -> None:
    """Refuse the handshake with the protocol's own error body."""
    await socket.send_denial_response(
        JSONResponse({"type": error.code, "message": {"message": error.message}}, status_code=error.status)
    )
