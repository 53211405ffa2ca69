"""Logins: what ECR's ``GetAuthorizationToken`` gives for pulling, kept until shortly before it expires.

A token belongs to a role, and serves all its tasks, who wait for one fetch of it and for nobody else's; one that a
registry no longer takes is fetched anew.
"""

import base64
import binascii
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from agent.control.aws import ApiError, Calls, Unreachable
from agent.images.pulls import CannotPull
from agent.runtime import Hindered, Hindrance, RegistryLogin
from agent.tasks.spec import RegistryAuth
from kit.clock import Clock

RENEW_BEFORE = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class _Token:
    login: RegistryLogin
    renew_at: datetime


class EcrLogins:
    """Pull logins by registry and by whose they are.

    ``server`` overrides the registry's address that the token's ``proxyEndpoint`` names.
    """

    def __init__(self, *, aws: Calls, clock: Clock, server: str = "") -> None:
        self._aws = aws
        self._clock = clock
        self._server = server
        # Those that are being fetched, and those that were, for as long as they are good.
        self._tokens: dict[tuple[str, str], Future[_Token]] = {}
        self._servers: dict[str, str] = {}
        self._lock = threading.Lock()

    def server(self, auth: RegistryAuth) -> str:
        """The registry's ``host:port``; once it is known, nobody is asked for it. Raises CannotPull, Hindered."""
        return self._server or self._servers.get(auth.registry_id) or self.login(auth).server

    def known_server(self, registry_id: str) -> str:
        """The registry's ``host:port``; empty while nobody has asked for it."""
        return self._server or self._servers.get(registry_id, "")

    def login(self, auth: RegistryAuth) -> RegistryLogin:
        """A login that is good for a while. Raises CannotPull, Hindered."""
        while True:
            token, mine = self._take_part(_owner(auth))
            if mine:
                self._fetch_into(token, auth)
            try:
                return token.result().login
            except CannotPull:
                # A refusal is of the keys that asked: who has waited for that asks with their own.
                if mine:
                    raise

    def forget(self, auth: RegistryAuth, login: RegistryLogin) -> None:
        """A registry did not take this login: the next is a new one."""
        with self._lock:
            token = self._tokens.get(_owner(auth))
            if token and token.done() and token.result().login is login:
                del self._tokens[_owner(auth)]

    def _take_part(self, owner: tuple[str, str]) -> tuple[Future[_Token], bool]:
        """The owner's token, and whether it is the caller who has to fetch it."""
        with self._lock:
            now = self._clock.now()
            # Roles come and go; what is over of theirs is not kept.
            over = [owner for owner, token in self._tokens.items() if token.done() and now >= token.result().renew_at]
            for each in over:
                del self._tokens[each]
            if owner in self._tokens:
                return self._tokens[owner], False
            token = self._tokens[owner] = Future()
            return token, True

    def _fetch_into(self, token: Future[_Token], auth: RegistryAuth) -> None:
        try:
            fetched = self._fetch(auth)
        except BaseException as error:
            # Whatever it was is told to those who wait, and the next who asks begins anew.
            with self._lock:
                del self._tokens[_owner(auth)]
            token.set_exception(error)
        else:
            token.set_result(fetched)

    def _fetch(self, auth: RegistryAuth) -> _Token:
        keys = auth.role.keys if auth.role else None
        request = {"registryIds": [auth.registry_id]} if auth.registry_id else {}
        try:
            answer = self._aws.call("ecr", "GetAuthorizationToken", request, keys=keys)
            data = answer["authorizationData"][0]
            username, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
            endpoint = str(data.get("proxyEndpoint", ""))
            server = self._server or urlsplit(endpoint).netloc or endpoint
            expires_at = datetime.fromtimestamp(float(data["expiresAt"]), UTC)
        except Unreachable as error:
            raise Hindered(f"ECR gave no authorization token: {error}", Hindrance.ABSENT) from error
        except ApiError as error:
            text = f"ECR gave no authorization token: {error}"
            if error.status >= 500 or error.code in ("ThrottlingException", "TooManyRequestsException"):
                raise Hindered(text, Hindrance.ILL) from error
            raise CannotPull(text) from error
        except (LookupError, TypeError, ValueError, binascii.Error) as error:
            raise CannotPull("ECR's authorization token makes no sense") from error
        self._servers[auth.registry_id] = server
        return _Token(
            RegistryLogin(username=username, password=password, server=server),
            max(expires_at - RENEW_BEFORE, self._clock.now() + timedelta(minutes=1)),
        )


def owner_of(auth: RegistryAuth) -> str:
    """Whose login it is: the role's where there is one, else that of its keys, else this agent's own."""
    return (auth.role.arn or auth.role.keys.access_key) if auth.role else ""


def _owner(auth: RegistryAuth) -> tuple[str, str]:
    return auth.registry_id, owner_of(auth)
