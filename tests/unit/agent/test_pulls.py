"""Pulls: shared by who may share them, left by who is stopped, tried again for what may pass."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from agent.images import CannotPull, Images, PullBehavior
from agent.images.pulls import ATTEMPTS, ATTEMPTS_WITH_COPY
from agent.keys import Keys
from agent.runtime import Cancelled, Damaged, Hindered, Hindrance, Refused, RegistryLogin, Temporary
from agent.runtime.simulated import Program, SimulatedRuntime
from agent.tasks.model import Phase
from agent.tasks.roles import Role
from agent.tasks.spec import ContainerSpec, RegistryAuth
from kit.clock import ManualClock
from tests.support.agent_process import container
from tests.unit.agent.calls import FakeCalls
from tests.unit.agent.host import PROGRAMS, MemoryHost
from tests.unit.agent.test_images import logins

WEB = ContainerSpec(name="web", image="web")
REFUSED = Hindered("dial tcp 10.0.0.1:443: connect: connection refused", Hindrance.ILL)
NO_NETWORK = Hindered("dial tcp: lookup registry: no such host", Hindrance.ABSENT)
NOT_TAKEN = Hindered("unauthorized: authentication required", Hindrance.LOGIN)


class Hurried(ManualClock):
    """A clock on which every wait passes at once; it keeps how long they were."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, event: threading.Event, timeout: timedelta) -> bool:
        self.waits.append(timeout.total_seconds())
        self.tick(seconds=timeout.total_seconds())
        return event.is_set()


class Slow(SimulatedRuntime):
    """Pulls end when they are let go, or when nobody wants them; who pulls with what is kept."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock=clock)
        self.begun = threading.Semaphore(0)
        self.let_go = threading.Event()
        self.left: list[str] = []
        self.logins: list[RegistryLogin | None] = []

    def pull(self, image: str, login: RegistryLogin | None, cancelled: Cancelled) -> str | None:
        self.logins.append(login)
        self.begun.release()
        while not self.let_go.wait(0.01):
            if cancelled():
                self.left.append(image)
                raise Refused("given up")
        return super().pull(image, login, cancelled)


class Asker:
    """Somebody who wants an image, on a thread of their own."""

    def __init__(self, images: Images, spec: ContainerSpec = WEB) -> None:
        self.stop = threading.Event()
        self.outcome: object = None
        self._thread = threading.Thread(target=self._ask, args=(images, spec), daemon=True)
        self._thread.start()

    def _ask(self, images: Images, spec: ContainerSpec) -> None:
        try:
            self.outcome = images.pull(spec, spec.image, self.stop.is_set)
        except (CannotPull, Temporary) as error:
            self.outcome = error

    def done(self) -> object:
        self._thread.join(20)
        assert not self._thread.is_alive()
        return self.outcome


@pytest.fixture
def slow() -> Slow:
    runtime = Slow(ManualClock())
    runtime.registry["web"] = ("sha256:abc", Program())
    return runtime


def until(true: Callable[[], bool]) -> None:
    for _ in range(2000):
        if true():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not happen")


def waiting(images: Images) -> list[int]:
    """How many wait for each of the pulls under way."""
    return sorted(len(pull.waiting) for pull in tuple(images._pulls._under_way.values()))


def test_whoever_wants_the_same_image_shares_one_pull(slow: Slow) -> None:
    images = Images(runtime=slow, clock=ManualClock())
    askers = [Asker(images) for _ in range(5)]
    slow.begun.acquire()
    until(lambda: waiting(images) == [5])
    slow.let_go.set()
    assert [asker.done() for asker in askers] == ["sha256:abc"] * 5
    assert slow.pulls == ["web"]


def test_the_others_get_their_image_when_the_first_who_asked_is_stopped(slow: Slow) -> None:
    images = Images(runtime=slow, clock=ManualClock())
    first = Asker(images)
    slow.begun.acquire()
    second = Asker(images)
    until(lambda: waiting(images) == [2])
    first.stop.set()
    assert "the task was stopped" in str(first.done())
    slow.let_go.set()
    assert second.done() == "sha256:abc"
    assert (slow.pulls, slow.left) == (["web"], [])


def test_a_pull_that_nobody_waits_for_is_given_up_and_the_next_is_a_new_one(slow: Slow) -> None:
    images = Images(runtime=slow, clock=ManualClock())
    askers = [Asker(images) for _ in range(2)]
    slow.begun.acquire()
    until(lambda: waiting(images) == [2])
    for asker in askers:
        asker.stop.set()
    assert all("the task was stopped" in str(asker.done()) for asker in askers)
    until(lambda: slow.left == ["web"])
    later = Asker(images)
    slow.begun.acquire()
    slow.let_go.set()
    assert later.done() == "sha256:abc"


def test_who_may_pull_an_image_does_not_have_it_pulled_for_others(slow: Slow) -> None:
    clock, calls = ManualClock(), FakeCalls()
    images = Images(runtime=slow, clock=clock, registry=logins(clock, calls))

    def by(access_key: str, arn: str) -> ContainerSpec:
        keys = Keys(access_key=access_key, secret_key="s", session_token="t")
        role = Role(id=access_key, arn=arn, keys=keys, expiration="")
        return ContainerSpec(name="web", image="web", registry_auth=RegistryAuth(registry_id="1", role=role))

    askers = [Asker(images, by("A1", "one")), Asker(images, by("A2", "one")), Asker(images, by("B1", "other"))]
    for _ in range(2):
        slow.begun.acquire()
    until(lambda: waiting(images) == [1, 2])
    slow.let_go.set()
    assert [asker.done() for asker in askers] == ["sha256:abc"] * 3
    assert len(slow.logins) == 2
    assert len(calls.bodies("GetAuthorizationToken")) == 2


def make(*troubles: Exception, copy: bool = False, behavior: PullBehavior = PullBehavior.DEFAULT):
    clock = Hurried()
    runtime = SimulatedRuntime(clock=clock, images={"web": Program()} if copy else {})
    runtime.registry["web"] = ("sha256:abc", Program())
    for trouble in troubles:
        runtime.fail_next("pull", trouble)
    return Images(runtime=runtime, clock=clock, behavior=behavior), runtime, clock


def test_what_may_pass_is_tried_again_with_longer_and_longer_pauses() -> None:
    images, runtime, clock = make(*[REFUSED] * 4)
    assert images.pull(WEB, "web", lambda: False) == "sha256:abc"
    assert clock.waits == [1.1, 2.2, 4.4, 5]
    assert runtime.pulls == ["web"]


def test_after_five_attempts_the_last_reason_is_told_in_ecs_words() -> None:
    images, _, clock = make(*[NO_NETWORK] * 4, REFUSED)
    with pytest.raises(CannotPull) as failed:
        images.pull(WEB, "web", lambda: False)
    assert str(failed.value) == (
        "image pull has been retried 5 time(s): dial tcp 10.0.0.1:443: connect: connection refused"
    )
    assert len(clock.waits) == ATTEMPTS - 1


def test_what_will_not_pass_is_told_at_once() -> None:
    images, _, clock = make(Refused("manifest unknown"))
    with pytest.raises(CannotPull, match=r"^manifest unknown$"):
        images.pull(WEB, "web", lambda: False)
    assert clock.waits == []


def test_an_engine_that_is_away_is_no_reason_to_fail() -> None:
    images, _, _ = make(Temporary("the engine is away"))
    with pytest.raises(Temporary):
        images.pull(WEB, "web", lambda: False)


@pytest.mark.parametrize(("trouble", "attempts"), [(REFUSED, ATTEMPTS_WITH_COPY), (NO_NETWORK, 1)])
def test_where_a_copy_will_do_nobody_waits_long_for_a_registry(trouble: Hindered, attempts: int) -> None:
    images, _, clock = make(*[trouble] * ATTEMPTS, copy=True)
    with pytest.raises(CannotPull, match=rf"retried {attempts} time\(s\)"):
        images.pull(WEB, "web", lambda: False)
    assert len(clock.waits) == attempts - 1
    assert not images.pull_first(WEB, "web"), "the registry is left alone for a while"
    clock.tick(seconds=61)
    assert images.pull_first(WEB, "web")


def test_where_no_copy_will_do_every_attempt_is_made() -> None:
    images, _, clock = make(*[REFUSED] * 4, copy=True, behavior=PullBehavior.ALWAYS)
    assert images.pull(WEB, "web", lambda: False) == "sha256:abc"
    assert len(clock.waits) == ATTEMPTS - 1


def test_a_registry_that_said_no_is_asked_again_by_the_next_task() -> None:
    images, _, _ = make(Refused("denied"), copy=True)
    with pytest.raises(CannotPull):
        images.pull(WEB, "web", lambda: False)
    assert images.pull_first(WEB, "web")


def test_a_login_that_is_not_taken_any_more_is_fetched_anew_once() -> None:
    clock, calls = Hurried(), FakeCalls()
    auth = RegistryAuth(registry_id="1")
    spec = ContainerSpec(name="web", image="web", registry_auth=auth)
    runtime = Slow(clock)
    runtime.registry["web"] = ("sha256:abc", Program())
    runtime.let_go.set()
    images = Images(runtime=runtime, clock=clock, registry=logins(clock, calls))
    runtime.fail_next("pull", NOT_TAKEN)
    assert images.pull(spec, "web", lambda: False) == "sha256:abc"
    assert [login.password for login in runtime.logins if login] == ["password-1", "password-2"]
    for _ in range(2):
        runtime.fail_next("pull", NOT_TAKEN)
    with pytest.raises(CannotPull, match=r"^unauthorized: authentication required$"):
        images.pull(spec, "web", lambda: False)
    assert clock.waits == []


def test_a_login_that_another_pull_has_renewed_meanwhile_is_not_the_end(slow: Slow) -> None:
    clock, calls = ManualClock(), FakeCalls()
    registry = logins(clock, calls)
    auth = RegistryAuth(registry_id="1")
    images = Images(runtime=slow, clock=clock, registry=registry)
    slow.fail_next("pull", NOT_TAKEN)
    asker = Asker(images, ContainerSpec(name="web", image="web", registry_auth=auth))
    slow.begun.acquire()
    registry.forget(auth, registry.login(auth))
    registry.login(auth)
    slow.let_go.set()
    assert asker.done() == "sha256:abc"
    assert [login.password for login in slow.logins if login] == ["password-1", "password-2"]


def test_a_task_that_is_stopped_in_a_pause_leaves_at_once(slow: Slow) -> None:
    clock = ManualClock()
    slow.let_go.set()
    slow.fail_next("pull", REFUSED)
    images = Images(runtime=slow, clock=clock)
    asker = Asker(images)
    slow.begun.acquire()
    asker.stop.set()
    assert "the task was stopped" in str(asker.done())
    assert slow.pulls == []


def test_once_pulls_what_an_earlier_life_of_the_host_was_given_by_hand(tmp_path) -> None:
    host = MemoryHost(tmp_path, behavior=PullBehavior.ONCE)
    image = f"server@sha256:{'0' * 64}"
    host.runtime.programs[image] = PROGRAMS["server"]
    host.run("t1", container("web", image))
    assert host.status("t1") is Phase.STOPPED
    assert host.seen("t1", "web").reason.startswith("CannotPullContainerError: manifest for")


def test_the_role_pulls_and_never_the_host_in_its_stead(tmp_path) -> None:
    host = MemoryHost(tmp_path, behavior=PullBehavior.ALWAYS)
    host.runtime.registry["server"] = ("sha256:abc", PROGRAMS["server"])
    auth = {"type": "ecr", "ecrAuthData": {"registryId": "1", "useExecutionRole": True}}
    role = {"credentialsId": "c1", "roleArn": "arn:aws:iam::1:role/x"}
    host.run("t1", container("web", "server", registryAuthentication=auth), executionRoleCredentials=role)
    assert (host.status("t1"), host.runtime.pulls) == (None, [])
    keys = {**role, "accessKeyId": "ASIA", "secretAccessKey": "s", "sessionToken": "t"}
    host.run("t1", container("web", "server", registryAuthentication=auth), executionRoleCredentials=keys, seq=2)
    host.tick(1)
    assert (host.status("t1"), host.runtime.pulls) == (Phase.RUNNING, ["server"])


def test_a_damaged_copy_is_told_with_what_to_do_about_it(tmp_path) -> None:

    host = MemoryHost(tmp_path)
    host.runtime.fail_next("create", Damaged("open /var/lib/docker/overlay2/x/committed: no such file or directory"))
    host.run("t1", container("web", "server"))
    reason = host.seen("t1", "web").reason
    assert reason.startswith("CannotCreateContainerError: open /var/lib/docker/overlay2/x")
    assert "docker image rm --force server" in reason
    host.runtime.fail_next("start", Damaged("input/output error"))
    host.run("t2", container("web", "server"))
    reason = host.seen("t2", "web").reason
    assert reason.startswith(
        "CannotStartContainerError: input/output error; the copy of server on this host is damaged"
    )
