"""Logins: a slow answer holds up nobody but those who need it, and who need the same share one."""

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from agent.control.aws import ApiError, Unreachable
from agent.images import CannotPull, EcrLogins
from agent.keys import Keys
from agent.runtime import Hindered, RegistryLogin
from agent.tasks.roles import Role
from agent.tasks.spec import RegistryAuth
from kit.clock import ManualClock
from tests.unit.agent.calls import FakeCalls
from tests.unit.agent.test_images import logins


class Counting(ManualClock):
    """Tells of each who asks for a login, who looks at the clock once before he waits."""

    def __init__(self) -> None:
        super().__init__()
        self.looked = threading.Semaphore(0)

    def now(self) -> datetime:
        self.looked.release()
        return super().now()


class Asker:
    """Somebody who wants a login, on a thread of their own."""

    def __init__(self, ecr: EcrLogins, auth: RegistryAuth) -> None:
        self.outcome: RegistryLogin | Exception | None = None
        self._thread = threading.Thread(target=self._ask, args=(ecr, auth), daemon=True)
        self._thread.start()

    def _ask(self, ecr: EcrLogins, auth: RegistryAuth) -> None:
        try:
            self.outcome = ecr.login(auth)
        except Exception as error:
            self.outcome = error

    def done(self) -> RegistryLogin | Exception | None:
        self._thread.join(20)
        assert not self._thread.is_alive()
        return self.outcome


class SlowCalls(FakeCalls):
    """The answer for the registry ``slow`` comes when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Semaphore(0)
        self.let_go = threading.Event()
        self.trouble_after: Exception | None = None

    def held(self, answer: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def after(request: Any) -> Any:
            if request["registryIds"] == ["slow"]:
                self.asked.release()
                assert self.let_go.wait(20)
                if self.trouble_after:
                    raise self.trouble_after
            return answer(request)

        return after


@pytest.fixture
def clock() -> Counting:
    return Counting()


@pytest.fixture
def calls() -> SlowCalls:
    return SlowCalls()


@pytest.fixture
def ecr(clock: Counting, calls: SlowCalls) -> EcrLogins:
    made = logins(clock, calls)
    calls.answers["GetAuthorizationToken"] = calls.held(calls.answers["GetAuthorizationToken"])
    return made


def by(arn: str, registry: str = "slow", access_key: str = "ASIANEW") -> RegistryAuth:
    keys = Keys(access_key=access_key, secret_key="s", session_token="t")
    return RegistryAuth(registry_id=registry, role=Role(id="c1", arn=arn, keys=keys, expiration=""))


def all_wait(clock: Counting, askers: list[Asker]) -> None:
    for _ in askers:
        assert clock.looked.acquire(timeout=20)


@pytest.mark.parametrize("other", [by("one", "quick"), RegistryAuth(registry_id="quick")])
def test_a_registry_that_answers_slowly_holds_up_no_other(
    ecr: EcrLogins, calls: SlowCalls, other: RegistryAuth
) -> None:
    waiting = Asker(ecr, by("one"))
    assert calls.asked.acquire(timeout=20)
    assert isinstance(Asker(ecr, other).done(), RegistryLogin)
    assert waiting.outcome is None
    calls.let_go.set()
    assert isinstance(waiting.done(), RegistryLogin)


def test_a_role_that_is_answered_slowly_holds_up_no_other_of_the_same_registry(
    ecr: EcrLogins, calls: SlowCalls
) -> None:
    one, other = Asker(ecr, by("one")), Asker(ecr, by("other"))
    for _ in range(2):
        assert calls.asked.acquire(timeout=20)
    calls.let_go.set()
    assert isinstance(one.done(), RegistryLogin)
    assert isinstance(other.done(), RegistryLogin)


def test_who_wants_the_same_login_waits_for_one_fetch(ecr: EcrLogins, calls: SlowCalls, clock: Counting) -> None:
    askers = [Asker(ecr, by("one")) for _ in range(5)]
    all_wait(clock, askers)
    calls.let_go.set()
    assert len({id(asker.done()) for asker in askers}) == 1
    assert isinstance(askers[0].outcome, RegistryLogin)
    assert len(calls.heard) == 1


def test_an_outage_is_told_to_all_who_waited_and_the_next_asks_again(
    ecr: EcrLogins, calls: SlowCalls, clock: Counting
) -> None:
    calls.trouble_after = Unreachable("nobody there")
    askers = [Asker(ecr, by("one")) for _ in range(3)]
    all_wait(clock, askers)
    calls.let_go.set()
    assert [type(asker.done()) for asker in askers] == [Hindered] * 3
    assert len(calls.heard) == 1
    calls.trouble_after = None
    assert isinstance(ecr.login(by("one")), RegistryLogin)


def test_a_refusal_is_the_askers_own_and_who_waited_asks_with_other_keys(
    ecr: EcrLogins, calls: SlowCalls, clock: Counting
) -> None:
    calls.trouble_after = ApiError("ExpiredTokenException", "too old", 403)
    first = Asker(ecr, by("one", access_key="ASIAOLD"))
    assert calls.asked.acquire(timeout=20)
    second = Asker(ecr, by("one"))
    all_wait(clock, [first, second])
    calls.let_go.set()
    assert isinstance(first.done(), CannotPull)
    # Its own keys are refused as well here: what counts is that they were tried.
    assert isinstance(second.done(), CannotPull)
    assert [keys.access_key for keys in calls.keys if keys] == ["ASIAOLD", "ASIANEW"]
