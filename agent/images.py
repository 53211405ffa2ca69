"""Images: what name to pull, with which login, and when a pull is needed at all.

``<account>.dkr.ecr.<region>.amazonaws.com/<repository>`` means this Berth's registry. Several tasks that want the
same image share one pull. An image named by its digest is never pulled twice: its content can't have changed.
"""

import base64
import binascii
import re
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from urllib.parse import urlsplit

from agent.control.aws import ApiError, Calls, Keys, Unreachable
from agent.log import facts
from agent.runtime import Cancelled, RegistryLogin, Runtime, RuntimeTrouble
from agent.tasks.spec import ContainerSpec, RegistryAuth
from kit.clock import Clock

ECR_IMAGE = re.compile(r"(?P<account>\d{12})\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/(?P<rest>.+)")
RENEW_BEFORE = timedelta(minutes=30)
# After a failed pull the copy on this host serves, and the registry is left alone for this long.
FAILED_PULL_REMEMBERED = timedelta(seconds=60)

log = facts(__name__)


class PullBehavior(StrEnum):
    """ECS_IMAGE_PULL_BEHAVIOR of the ECS agent."""

    DEFAULT = "default"
    ALWAYS = "always"
    ONCE = "once"
    PREFER_CACHED = "prefer-cached"


class CannotPull(Exception):
    """The image is not to be had; the text says why."""


@dataclass(slots=True)
class _Pull:
    done: threading.Event = field(default_factory=threading.Event)
    digest: str | None = None
    error: RuntimeTrouble | CannotPull | None = None


class Images:
    """The images of one host."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        clock: Clock,
        behavior: PullBehavior = PullBehavior.DEFAULT,
        registry: "EcrLogins | None" = None,
    ) -> None:
        self._runtime = runtime
        self._clock = clock
        self._behavior = behavior
        self._registry = registry
        self._lock = threading.Lock()
        self._pulling: dict[str, _Pull] = {}
        self._pulled: set[str] = set()
        self._failed: dict[str, datetime] = {}

    def resolve(self, container: ContainerSpec) -> str:
        """The name under which the engine finds or pulls the image. Raises CannotPull."""
        found = ECR_IMAGE.fullmatch(container.image)
        if not found:
            return container.image
        if self._registry is None:
            raise CannotPull(f"{container.image}: this agent knows no registry")
        return f"{self._registry.server(_auth_of(container))}/{found['rest']}"

    def pull_first(self, container: ContainerSpec, image: str) -> bool:
        """Whether to pull before trying the copy on this host."""
        if container.internal:
            return False
        match self._behavior:
            case PullBehavior.ALWAYS:
                return True
            case PullBehavior.PREFER_CACHED:
                return False
            case PullBehavior.ONCE:
                return image not in self._pulled and "@sha256:" not in image
            case PullBehavior.DEFAULT:
                failed_at = self._failed.get(image)
                recently = failed_at is not None and self._clock.now() < failed_at + FAILED_PULL_REMEMBERED
                return "@sha256:" not in image and not recently

    @property
    def cached_copy_will_do(self) -> bool:
        """Whether a copy on this host may serve when the pull has failed."""
        return self._behavior in (PullBehavior.DEFAULT, PullBehavior.PREFER_CACHED)

    def pull(self, container: ContainerSpec, image: str, cancelled: Cancelled) -> str | None:
        """Pull, or wait for a pull of the same image that is under way. Raises CannotPull, Temporary."""
        with self._lock:
            pull = self._pulling.get(image)
            leader = pull is None
            if pull is None:
                pull = self._pulling[image] = _Pull()
        if leader:
            self._lead(pull, container, image, cancelled)
        else:
            while not pull.done.wait(1):
                if cancelled():
                    raise CannotPull(f"{image}: the task was stopped")
        if pull.error:
            raise pull.error
        return pull.digest

    def _lead(self, pull: _Pull, container: ContainerSpec, image: str, cancelled: Cancelled) -> None:
        try:
            pull.digest = self._runtime.pull(image, self._login(container), cancelled)
            self._pulled.add(image)
            self._failed.pop(image, None)
            log.info("image pulled", image=image, digest=pull.digest)
        except (RuntimeTrouble, CannotPull) as error:
            pull.error = error
            self._failed[image] = self._clock.now()
            log.warning("image not pulled", image=image, because=str(error))
        finally:
            with self._lock:
                self._pulling.pop(image, None)
            pull.done.set()

    def _login(self, container: ContainerSpec) -> RegistryLogin | None:
        if container.registry_auth and container.registry_auth.login:
            return container.registry_auth.login
        if self._registry is None:
            return None
        if container.registry_auth or ECR_IMAGE.fullmatch(container.image):
            return self._registry.login(_auth_of(container))
        return None


def _auth_of(container: ContainerSpec) -> RegistryAuth:
    """What the payload says, or for an ECR name what the name says."""
    if container.registry_auth:
        return container.registry_auth
    found = ECR_IMAGE.fullmatch(container.image)
    return RegistryAuth(registry_id=found["account"] if found else "", keys=None)


@dataclass(frozen=True, slots=True)
class _Token:
    login: RegistryLogin
    renew_at: datetime


class EcrLogins:
    """Pull logins from ECR's ``GetAuthorizationToken``, kept until shortly before they expire.

    ``server`` overrides the registry's address that the token's ``proxyEndpoint`` names.
    """

    def __init__(self, *, aws: Calls, clock: Clock, server: str = "") -> None:
        self._aws = aws
        self._clock = clock
        self._server = server
        self._tokens: dict[tuple[str, str], _Token] = {}
        self._lock = threading.Lock()

    def server(self, auth: RegistryAuth) -> str:
        """The registry's ``host:port``."""
        return self._server or self.login(auth).server

    def login(self, auth: RegistryAuth) -> RegistryLogin:
        """A login that is good for a while. Raises CannotPull."""
        key = (auth.registry_id, auth.keys.access_key if auth.keys else "")
        with self._lock:
            token = self._tokens.get(key)
            if token is None or self._clock.now() >= token.renew_at:
                token = self._tokens[key] = self._fetch(auth)
            return token.login

    def _fetch(self, auth: RegistryAuth) -> _Token:
        keys = None
        if auth.keys:
            keys = Keys(
                access_key=auth.keys.access_key,
                secret_key=auth.keys.secret_key,
                session_token=auth.keys.session_token or None,
            )
        request = {"registryIds": [auth.registry_id]} if auth.registry_id else {}
        try:
            answer = self._aws.call("ecr", "GetAuthorizationToken", request, keys=keys)
            data = answer["authorizationData"][0]
            username, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
            endpoint = str(data.get("proxyEndpoint", ""))
            server = self._server or urlsplit(endpoint).netloc or endpoint
            expires_at = datetime.fromtimestamp(float(data["expiresAt"]), UTC)
        except (ApiError, Unreachable) as error:
            raise CannotPull(f"ECR gave no authorization token: {error}") from error
        except (LookupError, TypeError, ValueError, binascii.Error) as error:
            raise CannotPull("ECR's authorization token makes no sense") from error
        return _Token(
            RegistryLogin(username=username, password=password, server=server),
            max(expires_at - RENEW_BEFORE, self._clock.now() + timedelta(minutes=1)),
        )
