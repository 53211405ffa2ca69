"""Images of one host: what name to pull, with which login, and when a pull is needed at all.

``<account>.dkr.ecr.<region>.amazonaws.com/<repository>`` means this Berth's registry. Whoever launches a container
holds its image from before the pull until the container is there, so that nothing is cleaned away in between.
"""

import re
import threading
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from enum import StrEnum

from agent.images.logins import EcrLogins, owner_of
from agent.images.pulls import CannotPull, Pulls
from agent.images.records import NOTHING_KEPT, Records
from agent.log import facts
from agent.runtime import (
    Cancelled,
    Damaged,
    Hindered,
    Hindrance,
    ImageMissing,
    NotFound,
    Refused,
    RegistryLogin,
    Runtime,
    RuntimeTrouble,
)
from agent.tasks.model import Phase, Task
from agent.tasks.spec import ContainerSpec, RegistryAuth
from kit.clock import Clock

ECR_IMAGE = re.compile(r"(?P<account>\d{12})\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/(?P<rest>.+)")
# After a pull that failed for a reason that may pass the copy on this host serves, and the registry is left alone.
FAILED_PULL_REMEMBERED = timedelta(seconds=60)

log = facts(__name__)


class PullBehavior(StrEnum):
    """ECS_IMAGE_PULL_BEHAVIOR of the ECS agent.

    default: pull, and when that fails use the copy on the host. always: pull, and when that fails fail. once: pull
    unless an earlier pull of this agent has brought it and it was not cleaned away. prefer-cached: pull only where
    there is no copy; nothing is cleaned away.
    """

    DEFAULT = "default"
    ALWAYS = "always"
    ONCE = "once"
    PREFER_CACHED = "prefer-cached"


class Images:
    """The images of one host."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        clock: Clock,
        behavior: PullBehavior = PullBehavior.DEFAULT,
        registry: EcrLogins | None = None,
        records: Records = NOTHING_KEPT,
    ) -> None:
        self._runtime = runtime
        self._clock = clock
        self._behavior = behavior
        self._registry = registry
        self._records = records
        self._pulls = Pulls(clock=clock)
        self._lock = threading.Condition()
        self._held: Counter[str] = Counter()
        self._removing: set[str] = set()
        self._pulled: set[str] = set()
        self._failed: dict[Hashable, datetime] = {}
        self.make_room: Callable[[], None] = lambda: None
        """Called when a pull has found the disk full."""

    def resolve(self, container: ContainerSpec) -> str:
        """The name under which the engine finds or pulls the image. Raises CannotPull, Hindered."""
        found = ECR_IMAGE.fullmatch(container.image)
        if not found:
            return container.image
        if self._registry is None:
            raise CannotPull(f"{container.image}: this agent knows no registry")
        return f"{self._registry.server(_auth_of(container))}/{found['rest']}"

    def known_name(self, image: str) -> str:
        """The same of an image's name in a task definition, asking nobody; empty when that isn't known."""
        found = ECR_IMAGE.fullmatch(image)
        if not found:
            return image
        server = self._registry.known_server(found["account"]) if self._registry else ""
        return f"{server}/{found['rest']}" if server else ""

    def wanted(self, tasks: Iterable[Task]) -> frozenset[str]:
        """The names of the images that containers of these tasks are yet to be made of."""
        waiting = (c.spec.image for task in tasks for c in task.containers.values() if c.phase is Phase.PENDING)
        return frozenset(self.known_name(image) for image in set(waiting))

    def pull_first(self, container: ContainerSpec, image: str) -> bool:
        """Whether to pull before trying the copy on this host.

        By default an image that is named by its digest, which can't have changed, is taken from the host; and so is
        one whose registry was in trouble a moment ago.
        """
        if container.internal:
            return False
        match self._behavior:
            case PullBehavior.ALWAYS:
                return True
            case PullBehavior.PREFER_CACHED:
                return False
            case PullBehavior.ONCE:
                return image not in self._pulled and not self._records.has(image)
            case PullBehavior.DEFAULT:
                failed_at = self._failed.get(self._key(container, image))
                return "@sha256:" not in image and not (failed_at and self._is_fresh(failed_at))

    @property
    def cached_copy_will_do(self) -> bool:
        """Whether a copy on this host may serve when the pull has failed."""
        return self._behavior in (PullBehavior.DEFAULT, PullBehavior.PREFER_CACHED)

    def pull(self, container: ContainerSpec, image: str, cancelled: Cancelled) -> str | None:
        """Pull, or wait for a pull of the same image that is under way. Raises CannotPull, Temporary."""
        key = self._key(container, image)
        try:
            digest = self._pulls.join(
                key,
                image,
                lambda given_up: self._pull_once(container, image, given_up),
                cancelled=cancelled,
                has_copy=lambda: self.cached_copy_will_do and self._has_copy(image),
            )
        except CannotPull as error:
            if error.passing:
                with self._lock:
                    self._failed = {other: at for other, at in self._failed.items() if self._is_fresh(at)}
                    self._failed[key] = self._clock.now()
            log.warning("image not pulled", image=image, because=str(error))
            raise
        with self._lock:
            self._pulled.add(image)
            self._failed.pop(key, None)
        return digest

    @contextmanager
    def held(self, image: str) -> Iterator[None]:
        """Keep the image from being removed, and wait for its removal to be over, where one is under way."""
        with self._lock:
            self._lock.wait_for(lambda: image not in self._removing)
            self._held[image] += 1
        try:
            yield
        finally:
            with self._lock:
                self._held[image] -= 1
                if not self._held[image]:
                    del self._held[image]
            self._records.used(image, self._clock.now())

    @contextmanager
    def removing(self, names: tuple[str, ...]) -> Iterator[bool]:
        """Keep launches of these images waiting; False, and nobody waits, where one is launched already."""
        with self._lock:
            free = not any(name in self._held for name in names)
            if free:
                self._removing.update(names)
        try:
            yield free
        finally:
            if free:
                with self._lock:
                    self._removing.difference_update(names)
                    self._lock.notify_all()

    def forget(self, names: tuple[str, ...]) -> None:
        """The images were removed: whoever wants one pulls it again."""
        self._pulled.difference_update(names)

    def discard(self, image: str) -> bool:
        """Remove a damaged copy that this agent has pulled, so that it can be pulled anew; whether it is gone."""
        record = self._records.find(image)
        if record is None:
            return False
        try:
            for name in record.names:
                self._runtime.remove_image(name)
            self._runtime.image(image)
        except ImageMissing:
            self._records.forget(record.id)
            self._pulled.difference_update(record.names)
            log.warning("damaged image removed", image=image)
            return True
        except RuntimeTrouble as error:
            log.warning("damaged image not removed", image=image, because=str(error))
        return False

    def _is_fresh(self, failed_at: datetime) -> bool:
        return timedelta(0) <= self._clock.now() - failed_at < FAILED_PULL_REMEMBERED

    def _pull_once(self, container: ContainerSpec, image: str, given_up: Cancelled) -> str | None:
        before = self._before(image)
        if before is not None:
            self._records.begun(image, before)
        try:
            digest = self._pull_with_login(container, image, given_up)
        except (Hindered, CannotPull) as error:
            if before is not None:
                self._records.failed(image)
            if isinstance(error, Hindered) and error.hindrance is Hindrance.FULL:
                self.make_room()
            raise
        if before is not None:
            try:
                self._records.pulled(image, before, self._id_of(image), self._clock.now())
            except Damaged as error:
                # A layer that it shares with an image of somebody else.
                raise CannotPull(f"{error}; {remedy(image)}") from error
        log.info("image pulled", image=image, digest=digest)
        return digest

    def _has_copy(self, image: str) -> bool:
        try:
            return self._runtime.has_image(image)
        except RuntimeTrouble:
            return False

    def _before(self, image: str) -> str | None:
        """The id that the name has before a pull, or empty; None for a damaged copy of somebody else's.

        Of such a copy the engine tells no id, and a pull mends nothing of what it believes to have.
        """
        try:
            return self._id_of(image)
        except Damaged as error:
            log.warning("image damaged", image=image, because=str(error))
            return "" if self.discard(image) else None

    def _pull_with_login(self, container: ContainerSpec, image: str, given_up: Cancelled) -> str | None:
        secret = container.registry_auth.login if container.registry_auth else None
        for last in (False, True):
            login = secret or self._login(container)
            try:
                return self._runtime.pull(image, login, given_up)
            except Hindered as error:
                if error.hindrance is not Hindrance.LOGIN:
                    raise
                if last or secret or login is None or self._registry is None:
                    raise CannotPull(str(error)) from error
                self._registry.forget(_auth_of(container), login)
                log.info("registry login renewed", image=image, because=str(error))
            except (Refused, NotFound) as error:
                raise CannotPull(str(error)) from error
        raise AssertionError("the second attempt returns or raises")

    def _login(self, container: ContainerSpec) -> RegistryLogin | None:
        if self._registry and (container.registry_auth or ECR_IMAGE.fullmatch(container.image)):
            return self._registry.login(_auth_of(container))
        return None

    def _key(self, container: ContainerSpec, image: str) -> Hashable:
        """What pulls are alike by: who may pull an image can't have it pulled for who may not."""
        auth = container.registry_auth
        if auth is None:
            return image
        if auth.login:
            return image, auth.login.server, auth.login.username, auth.login.password
        return image, auth.registry_id, owner_of(auth)

    def _id_of(self, image: str) -> str:
        """Raises Damaged."""
        try:
            return self._runtime.image(image).id
        except ImageMissing:
            return ""


def remedy(image: str) -> str:
    """What to do about an image whose layers on the disk are not whole, in words for people."""
    return (
        f"the copy of {image} on this host is damaged: check the host's disk, remove the image there "
        f"(docker image rm --force {image}) and start the task again, which pulls it anew"
    )


def _auth_of(container: ContainerSpec) -> RegistryAuth:
    """What the payload says, or for an ECR name what the name says."""
    if container.registry_auth:
        return container.registry_auth
    found = ECR_IMAGE.fullmatch(container.image)
    return RegistryAuth(registry_id=found["account"] if found else "")
