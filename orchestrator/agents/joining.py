"""The door through which hosts join: who holds a join token, or a key that may ``berth:Join``, gets a host's key.

A host's key may do what an agent does and nothing else, for the one container instance that registers with it.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import anyio.to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse

from kit.aws.errors import (
    AccessDeniedException,
    AwsError,
    InvalidParameterException,
    RequestTimeout,
    ServiceUnavailable,
)
from kit.aws.http import HttpRequest
from kit.aws.joining import JOIN_ACTION, JOIN_PATH, derive_secret, read_nonce
from kit.aws.sigv4 import Key, verify
from kit.clock import Clock
from kit.secrets import SecretBox
from kit.settings import Settings
from orchestrator.identity import HOST_ACTIONS, JOIN_ACTIONS, new_key
from state.access_keys import AccessKey, get_access_key
from state.join_tokens import JoinToken, hold_join_token
from state.store import Session, Store, StoreBusy, StoreUnavailable

LARGEST_BODY = 4096
BODY_SECONDS = 20.0


class JoinTokenUsed(AwsError):
    """A host has joined with this token already. Make another one: berth agent token."""

    status = 403


class Joining:
    """Gives keys to hosts. Safe on any thread."""

    def __init__(
        self, store: Store, clock: Clock, find_key: Callable[[str], Key | None], secrets: SecretBox, settings: Settings
    ) -> None:
        self._store = store
        self._clock = clock
        self._find_key = find_key
        self._secrets = secrets
        self._settings = settings

    async def serve(self, request: Request) -> JSONResponse:
        """Answer ``POST /join``; every refusal has a code."""
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > LARGEST_BODY:
                        return _refusal(InvalidParameterException(f"The body may have {LARGEST_BODY} bytes."))
        except (TimeoutError, ClientDisconnect):
            return _refusal(RequestTimeout())
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]
        query = request.scope["query_string"].decode("latin-1")
        asked = HttpRequest(method="POST", path=JOIN_PATH, query=query, headers=headers, body=bytes(body))
        try:
            return JSONResponse({"accessKeyId": await anyio.to_thread.run_sync(self.join, asked)})
        except AwsError as error:
            return _refusal(error)

    def join(self, request: HttpRequest) -> str:
        """The id of the host's new key; its secret is derived from the key that signed. Raises AwsError."""
        now = self._clock.now()
        caller = verify(request, self._find_key, now, service="ecs", region=self._settings.region)
        if not caller.may(JOIN_ACTION):
            raise AccessDeniedException(f"User: {caller.principal_arn} is not authorized to perform: {JOIN_ACTION}")
        given = self._find_key(caller.access_key_id)
        if given is None:
            raise AccessDeniedException("The key has ended.")
        try:
            nonce = read_nonce(request.body)
        except ValueError as error:
            raise InvalidParameterException(str(error)) from error

        def write(session: Session) -> str:
            if get_access_key(session, given.access_key_id) is None:
                # It was known a moment ago; without its row a token would pass for a key that lets any number join.
                raise AccessDeniedException("The key has ended.")
            token = hold_join_token(session, given.access_key_id)
            if token is not None and token.nonce is not None:
                if token.nonce != nonce or get_access_key(session, token.host_key_id or "") is None:
                    raise JoinTokenUsed
                return str(token.host_key_id)
            key_id, _ = new_key()
            secret = derive_secret(given.secret, nonce=nonce, key_id=key_id)
            _keep_host_key(session, self._secrets, key_id, secret, account=self._settings.account, now=now)
            if token is not None:
                token.nonce, token.host_key_id = nonce, key_id
            return key_id

        try:
            return self._store.transact(write)
        except (StoreBusy, StoreUnavailable) as trouble:
            raise ServiceUnavailable(str(trouble)) from trouble


def make_token(session: Session, secrets: SecretBox, clock: Clock, *, account: str, life: timedelta) -> tuple[str, str]:
    """A key, as id and secret, with which one host may join within ``life``."""
    key_id, secret = new_key()
    now = clock.now()
    session.add(
        AccessKey(
            id=key_id,
            secret=secrets.encrypt(secret),
            principal_arn=f"arn:aws:iam::{account}:user/berth/joining/{key_id}",
            actions=list(JOIN_ACTIONS),
            created_at=now,
            expires_at=now + life,
        )
    )
    session.flush()
    session.add(JoinToken(key_id=key_id))
    return key_id, secret


def make_host_key(session: Session, secrets: SecretBox, *, account: str, now: datetime) -> tuple[str, str]:
    """A host's key, as id and secret, for an agent that cannot join by itself; it speaks for who registers with it."""
    key_id, secret = new_key()
    _keep_host_key(session, secrets, key_id, secret, account=account, now=now)
    return key_id, secret


def _keep_host_key(
    session: Session, secrets: SecretBox, key_id: str, secret: str, *, account: str, now: datetime
) -> None:
    session.add(
        AccessKey(
            id=key_id,
            secret=secrets.encrypt(secret),
            principal_arn=f"arn:aws:iam::{account}:user/berth/host/{key_id}",
            actions=list(HOST_ACTIONS),
            created_at=now,
            speaks_for="",
        )
    )


def _refusal(error: AwsError) -> JSONResponse:
    return JSONResponse({"__type": error.code, "message": error.message}, status_code=error.status)
