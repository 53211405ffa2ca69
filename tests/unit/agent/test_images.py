"""Images: when they are pulled, under which name, with which login."""

import base64
from pathlib import Path
from typing import Any

import pytest

from agent.images import CannotPull, EcrLogins, Images, PullBehavior
from agent.keys import Keys
from agent.runtime import Cancelled, Hindered, Hindrance, RegistryLogin
from agent.runtime.simulated import SimulatedRuntime
from agent.tasks.model import Phase
from agent.tasks.roles import Role
from agent.tasks.spec import ContainerSpec, RegistryAuth
from kit.clock import ManualClock
from tests.support.agent_process import container
from tests.unit.agent.calls import FakeCalls
from tests.unit.agent.host import PROGRAMS, MemoryHost


class Recording(SimulatedRuntime):
    """A runtime that keeps the logins it was given."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock=clock)
        self.logins: list[RegistryLogin | None] = []

    def pull(self, image: str, login: RegistryLogin | None, cancelled: Cancelled) -> str | None:
        self.logins.append(login)
        return "sha256:1"


ECR = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app:1"


def logins(clock: ManualClock, calls: FakeCalls, server: str = "") -> EcrLogins:
    def token(_: Any) -> dict[str, Any]:
        text = f"AWS:password-{len(calls.heard)}"
        return {
            "authorizationData": [
                {
                    "authorizationToken": base64.b64encode(text.encode()).decode(),
                    "expiresAt": clock.now().timestamp() + 12 * 3600,
                    "proxyEndpoint": "http://127.0.0.1:5050",
                }
            ]
        }

    calls.answers["GetAuthorizationToken"] = token
    return EcrLogins(aws=calls, clock=clock, server=server)


@pytest.mark.parametrize(
    ("behavior", "pulls"),
    [
        (PullBehavior.DEFAULT, ["server", "server"]),
        (PullBehavior.ALWAYS, ["server", "server"]),
        (PullBehavior.ONCE, ["server"]),
        (PullBehavior.PREFER_CACHED, []),
    ],
)
def test_each_behavior_pulls_as_the_ecs_agent_does(tmp_path: Path, behavior: PullBehavior, pulls: list[str]) -> None:
    host = MemoryHost(tmp_path, behavior=behavior)
    host.runtime.registry["server"] = ("sha256:abc", PROGRAMS["server"])
    host.run("t1", container("web", "server"))
    host.run("t2", container("web", "server"))
    assert host.runtime.pulls == pulls
    assert host.status("t2") is Phase.RUNNING
    if pulls:
        assert host.seen("t1", "web").digest == "sha256:abc"


def test_by_default_the_copy_on_the_host_serves_when_the_pull_fails(tmp_path: Path) -> None:
    host = MemoryHost(tmp_path, behavior=PullBehavior.DEFAULT)
    host.run("t1", container("web", "server"))
    assert host.status("t1") is Phase.RUNNING
    assert host.last("t1").pull_started_at is not None  # type: ignore[union-attr]


def test_an_image_named_by_digest_is_not_pulled_again(tmp_path: Path) -> None:
    host = MemoryHost(tmp_path, behavior=PullBehavior.DEFAULT)
    image = f"server@sha256:{'0' * 64}"
    host.runtime.programs[image] = PROGRAMS["server"]
    host.run("t1", container("web", image))
    assert host.runtime.pulls == []
    assert host.status("t1") is Phase.RUNNING


def test_an_ecr_name_means_this_berths_registry() -> None:
    clock, calls = ManualClock(), FakeCalls()
    runtime = Recording(clock)
    images = Images(runtime=runtime, clock=clock, registry=logins(clock, calls))
    spec = ContainerSpec(name="web", image=ECR)
    assert images.resolve(spec) == "127.0.0.1:5050/team/app:1"
    images.pull(spec, images.resolve(spec), lambda: False)
    assert runtime.logins == [RegistryLogin(username="AWS", password="password-1", server="127.0.0.1:5050")]
    assert calls.bodies("GetAuthorizationToken") == [{"registryIds": ["123456789012"]}]


def test_a_given_registry_address_wins_and_needs_no_call_to_resolve() -> None:
    clock, calls = ManualClock(), FakeCalls()
    images = Images(runtime=Recording(clock), clock=clock, registry=logins(clock, calls, server="registry:5000"))
    assert images.resolve(ContainerSpec(name="web", image=ECR)) == "registry:5000/team/app:1"
    assert calls.heard == []


def test_a_login_is_kept_until_shortly_before_it_expires() -> None:
    clock, calls = ManualClock(), FakeCalls()
    ecr = logins(clock, calls)
    auth = RegistryAuth(registry_id="1")
    assert ecr.login(auth) is ecr.login(auth)
    clock.tick(hours=11, minutes=40)
    assert ecr.login(auth).password == "password-2"


def test_logins_and_failures_that_are_over_are_not_kept() -> None:
    clock, calls = ManualClock(), FakeCalls()
    ecr = logins(clock, calls)
    for number in range(3):
        ecr.login(RegistryAuth(registry_id=str(number)))
    clock.tick(hours=13)
    ecr.login(RegistryAuth(registry_id="4"))
    assert [owner for owner, _ in ecr._tokens] == ["4"]

    runtime = SimulatedRuntime(clock=clock, images=PROGRAMS)
    images = Images(runtime=runtime, clock=clock)
    for name in ("server", "job"):
        runtime.fail_next("pull", Hindered("no such host", Hindrance.ABSENT))
        with pytest.raises(CannotPull):
            images.pull(ContainerSpec(name="c", image=name), name, lambda: False)
        clock.tick(minutes=2)
    assert [*images._failed] == ["job"]


def test_the_execution_roles_keys_sign_for_the_token() -> None:
    clock, calls = ManualClock(), FakeCalls()
    keys = Keys(access_key="ASIA", secret_key="s", session_token="t")
    role = Role(id="c1", arn="", keys=keys, expiration="")
    logins(clock, calls).login(RegistryAuth(registry_id="1", role=role))
    [used] = calls.keys
    assert used == keys
    assert "s" not in repr(used).replace("Keys", "")


@pytest.mark.parametrize(
    "answer", [{}, {"authorizationData": []}, {"authorizationData": [{"authorizationToken": "é"}]}]
)
def test_a_token_that_makes_no_sense_is_a_reason_not_to_pull(answer: dict[str, Any]) -> None:
    clock, calls = ManualClock(), FakeCalls()
    ecr = logins(clock, calls)
    calls.answers["GetAuthorizationToken"] = lambda _: answer
    with pytest.raises(CannotPull, match="makes no sense"):
        ecr.login(RegistryAuth(registry_id="1"))


def test_a_refused_token_is_the_containers_reason() -> None:
    clock, calls = ManualClock(), FakeCalls()
    ecr = logins(clock, calls)
    calls.refuse("GetAuthorizationToken", "AccessDeniedException", "not yours")
    with pytest.raises(CannotPull, match="AccessDeniedException: not yours"):
        ecr.login(RegistryAuth(registry_id="1"))
