"""Secrets, registry logins and their keys: fetched with the execution role, put in, and kept nowhere."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from agent.images import EcrLogins
from agent.keys import Keys
from agent.runtime import Temporary
from agent.secrets import Version, member_of, parameter_name, read_reference
from agent.tasks import messages as m
from agent.tasks.launch import Unprepared
from agent.tasks.model import Phase
from agent.tasks.patience import PATIENCE
from agent.tasks.payload import read_task
from agent.tasks.reading import BadPayload
from agent.tasks.roles import Role
from tests.support.agent_process import container, task
from tests.support.fake_control_plane import CLUSTER, task_arn
from tests.unit.agent.calls import FakeCalls
from tests.unit.agent.host import MemoryHost

SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf"
PARAMETER = "arn:aws:ssm:us-east-1:123456789012:parameter/app/token"
ROLE = {
    "executionRoleCredentials": {
        "credentialsId": "id-1",
        "roleArn": "arn:aws:iam::123456789012:role/execution",
        "accessKeyId": "ASIAROLE",
        "secretAccessKey": "role-secret",
        "sessionToken": "token",
    }
}
PASSWORD = "hunter2-in-clear"


def asm(name: str = "PASSWORD", value_from: str = f"{SECRET}:password", **members: Any) -> dict[str, Any]:
    return {"name": name, "valueFrom": value_from, "provider": "asm", "region": "us-east-1", **members}


def answer_secret(body: Mapping[str, Any]) -> dict[str, Any]:
    return {"SecretString": json.dumps({"username": "me", "password": PASSWORD, "port": 5432})}


def answer_parameters(body: Mapping[str, Any]) -> dict[str, Any]:
    known = {"/app/token": "t-1", "plain": "p-1", "plain:3": "p-3"}
    found = [(name.partition(":"), known[name]) for name in body["Names"] if name in known]
    return {
        "Parameters": [
            {"Name": name, "Selector": f":{version}" if colon else None, "Value": value}
            for (name, colon, version), value in found
        ]
    }


@pytest.fixture
def calls(host: MemoryHost) -> FakeCalls:
    calls = FakeCalls()
    calls.answers |= {"GetSecretValue": answer_secret, "GetParameters": answer_parameters}
    host.inject(calls)
    return calls


def environment(host: MemoryHost) -> dict[str, str]:
    body = host.runtime.body_of("ecs-t1-c")
    return dict(entry.split("=", 1) for entry in body["Env"])


def kept(host: MemoryHost) -> str:
    return "".join(path.read_text() for path in host.data.rglob("*") if path.is_file())


def test_values_reach_the_container_by_the_execution_roles_keys(host: MemoryHost, calls: FakeCalls) -> None:
    secrets = [
        asm(),
        asm("PORT", f"{SECRET}:port::"),
        asm("WHOLE", f"{SECRET}::AWSPREVIOUS:"),
        {"name": "TOKEN", "valueFrom": PARAMETER, "provider": "ssm"},
        {"name": "PLAIN", "valueFrom": "plain", "provider": "ssm"},
        {"name": "OLD", "valueFrom": "plain:3", "provider": "ssm"},
    ]
    spec = container("c", "server", secrets=secrets, environment={"PASSWORD": "of the definition", "A": "a"})
    host.run("t1", spec, **ROLE)
    seen = environment(host)
    assert seen["OLD"] == "p-3"
    assert (seen["PASSWORD"], seen["PORT"], seen["TOKEN"], seen["PLAIN"]) == (PASSWORD, "5432", "t-1", "p-1")
    assert json.loads(seen["WHOLE"])["username"] == "me"
    assert calls.bodies("GetSecretValue") == [
        {"SecretId": SECRET},
        {"SecretId": SECRET, "VersionStage": "AWSPREVIOUS"},
    ]
    assert calls.bodies("GetParameters") == [{"Names": ["/app/token", "plain", "plain:3"], "WithDecryption": True}]
    assert all(keys and keys.access_key == "ASIAROLE" and keys.session_token == "token" for keys in calls.keys)


def test_nothing_of_it_is_on_the_disk_or_in_the_log(
    host: MemoryHost, calls: FakeCalls, capsys: pytest.CaptureFixture[str]
) -> None:
    host.run("t1", container("c", "server", secrets=[asm()]), **ROLE)
    host.run("t1", container("c", "server", secrets=[asm()]), desiredStatus="STOPPED", seq=2, **ROLE)
    said = "".join(capsys.readouterr())
    for secret in (PASSWORD, "role-secret"):
        assert secret not in kept(host)
        assert secret not in said


def test_log_options_may_be_secret(host: MemoryHost, calls: FakeCalls) -> None:
    log = {"LogConfig": {"Type": "splunk", "Config": {"splunk-url": "https://splunk"}}}
    secrets = [asm("splunk-token", f"{SECRET}:password", target="LOG_DRIVER")]
    host.run("t1", container("c", "server", secrets=secrets, hostConfig=log), **ROLE)
    config = host.runtime.body_of("ecs-t1-c")["HostConfig"]["LogConfig"]
    assert config == {"Type": "splunk", "Config": {"splunk-url": "https://splunk", "splunk-token": PASSWORD}}
    assert "splunk-token" not in environment(host)


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        (asm(value_from=f"{SECRET}:nokey"), "did not contain json key nokey"),
        ({"name": "T", "valueFrom": "absent", "provider": "ssm"}, "invalid parameters: absent"),
    ],
)
def test_what_is_not_there_ends_the_task_and_says_what(
    host: MemoryHost, calls: FakeCalls, secret: dict[str, Any], reason: str
) -> None:
    host.run("t1", container("c", "server", secrets=[secret]), **ROLE)
    report = host.last("t1")
    assert report
    assert report.status is Phase.STOPPED
    assert report.reason.startswith("ResourceInitializationError: unable to pull secrets or registry auth: ")
    assert report.reason.endswith(reason)
    assert PASSWORD not in report.reason
    assert host.running() == []


def test_a_refusal_is_told_in_the_services_words(host: MemoryHost, calls: FakeCalls) -> None:
    calls.refuse("GetSecretValue", "AccessDeniedException", "not allowed")
    host.run("t1", container("c", "server", secrets=[asm()]), **ROLE)
    assert host.seen("t1", "c").reason.endswith("AccessDeniedException: not allowed")


@pytest.mark.parametrize("trouble", ["away", "ThrottlingException", "ExpiredTokenException"])
def test_what_may_pass_is_tried_again_later(host: MemoryHost, calls: FakeCalls, trouble: str) -> None:
    if trouble == "away":
        calls.away = True
    else:
        calls.refuse("GetSecretValue", trouble)
    host.run("t1", container("c", "server", secrets=[asm()]), **ROLE)
    assert host.running() == []
    assert host.status("t1") is None
    calls.away = False
    host.tick(1)
    assert host.status("t1") is Phase.RUNNING
    assert environment(host)["PASSWORD"] == PASSWORD


@pytest.mark.parametrize("essential", [True, False])
def test_what_does_not_pass_in_time_ends_the_task_in_ecss_words(
    host: MemoryHost, calls: FakeCalls, essential: bool
) -> None:
    calls.away = True
    host.run("t1", container("c", "server", secrets=[asm()], essential=essential), container("main", "server"), **ROLE)
    waited = 0
    while host.status("t1") is not Phase.STOPPED:
        assert waited <= PATIENCE.total_seconds() + 30
        assert host.status("t1") in (None, Phase.PENDING)
        host.tick(10)
        waited += 10
    assert waited >= PATIENCE.total_seconds()
    report = host.last("t1")
    assert report
    assert re.fullmatch(
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "
        r"unable to retrieve secret from asm: service call has been retried \d+ time\(s\): nobody there",
        report.reason,
    )
    assert host.running() == []


def test_an_ecr_token_that_can_not_be_had_ends_the_task_too(host: MemoryHost, calls: FakeCalls) -> None:
    calls.away = True
    host.registry = EcrLogins(aws=calls, clock=host.clock)
    host.restart()
    host.run("t1", container("c", "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:1"))
    for _ in range(8):
        host.tick(30)
    report = host.last("t1")
    assert report
    assert report.status is Phase.STOPPED
    assert "unable to retrieve ecr registry auth: service call has been retried" in report.reason


def test_the_engine_being_away_meanwhile_costs_no_patience(host: MemoryHost, calls: FakeCalls) -> None:
    calls.away = True
    host.run("t1", container("c", "server", secrets=[asm()]), **ROLE)
    host.tick(PATIENCE.total_seconds() - 1)
    calls.away = False
    host.runtime.fail_next("create", Temporary("the engine is away"))
    host.tick(30)
    calls.away = True
    host.tick(30)
    calls.away = False
    host.tick(30)
    assert host.status("t1") is Phase.RUNNING


def test_keys_that_never_come_end_the_task(host: MemoryHost, calls: FakeCalls) -> None:
    calls.away = True
    host.run("t1", container("c", "server", secrets=[asm()]), **ROLE)
    host.restart()
    for _ in range(8):
        host.tick(30)
    report = host.last("t1")
    assert report
    assert report.status is Phase.STOPPED
    assert report.reason.endswith("the execution role's credentials have not arrived yet")


def test_a_task_that_waits_for_secrets_can_be_stopped(host: MemoryHost, calls: FakeCalls) -> None:
    calls.away = True
    spec = container("c", "server", secrets=[asm()])
    host.run("t1", spec, **ROLE)
    host.stop("t1", spec)
    host.tick(60)
    assert host.status("t1") is Phase.STOPPED


def test_after_a_restart_keys_come_by_message_and_secrets_are_fetched_again(host: MemoryHost, calls: FakeCalls) -> None:
    calls.away = True
    host.run("t1", container("c", "server", secrets=[asm()]), **ROLE)
    calls.away = False
    host.restart()
    host.tick(1)
    assert host.status("t1") is None
    role = Role(id="id-1", arn="", keys=Keys(access_key="ASIANEW", secret_key="new"), expiration="")
    host.engine.post(m.Keyed(task=task_arn("t1"), role=role))
    host.settle()
    assert host.status("t1") is Phase.RUNNING
    assert calls.keys[-1] and calls.keys[-1].access_key == "ASIANEW"


def test_a_container_made_but_not_started_is_made_again_with_new_values(host: MemoryHost, calls: FakeCalls) -> None:
    host.assign("t1", container("c", "server", secrets=[asm()]), **ROLE)
    host.engine.step()
    name = host.runtime.create(
        "ecs-t1-c", {"Image": "server", "Labels": {"com.amazonaws.ecs.task-arn": task_arn("t1")}, "Env": []}
    )
    host.settle()
    assert environment(host)["PASSWORD"] == PASSWORD
    assert name not in [c.runtime_id for t in host.engine.tasks() for c in t.containers.values()]


@pytest.mark.parametrize("steps", range(8))
def test_a_kill_at_any_step_starts_it_once_and_with_its_secret(host: MemoryHost, calls: FakeCalls, steps: int) -> None:
    host.assign("t1", container("c", "server", secrets=[asm()]), **ROLE)
    for _ in range(steps):
        host.engine.step()
        host.executor.step()
    host.restart()
    host.run("t1", container("c", "server", secrets=[asm()]), **ROLE)
    host.tick(1)
    assert host.status("t1") is Phase.RUNNING
    assert host.runtime.starts_of("ecs-t1-c") == 1
    assert environment(host)["PASSWORD"] == PASSWORD


def test_a_task_without_an_execution_role_is_told_so(host: MemoryHost, calls: FakeCalls) -> None:
    host.run("t1", container("c", "server", secrets=[asm()]))
    assert host.seen("t1", "c").reason.endswith("the task has no execution role")


def test_a_private_registrys_login_comes_from_its_secret(host: MemoryHost, calls: FakeCalls) -> None:
    auth = {"type": "asm", "asmAuthData": {"credentialsParameter": SECRET, "region": "us-east-1"}}
    raw = task("t1", container("c", "registry.example/app:1", registryAuthentication=auth), **ROLE)
    spec = read_task(raw, seq=1, cluster=CLUSTER)
    injections = host.injections
    assert injections
    injected = injections.fetch(spec, spec.containers[0])
    assert injected.login
    assert (injected.login.username, injected.login.password) == ("me", PASSWORD)
    assert PASSWORD not in repr(injected)
    pulled: list[Any] = []
    host.runtime.pull = lambda image, login, cancelled: pulled.append(login)  # type: ignore[assignment,method-assign]
    host.run("t1", container("c", "registry.example/app:1", registryAuthentication=auth), **ROLE)
    assert pulled[0].password == PASSWORD


@pytest.mark.parametrize(
    ("value_from", "version", "key"),
    [
        (SECRET, Version(SECRET), ""),
        (f"{SECRET}:k::", Version(SECRET), "k"),
        (f"{SECRET}:k:AWSPENDING:", Version(SECRET, "AWSPENDING"), "k"),
        (f"{SECRET}:::v-1", Version(SECRET, "", "v-1"), ""),
        ("name", Version("name"), ""),
    ],
)
def test_references_are_read_as_ecs_writes_them(value_from: str, version: Version, key: str) -> None:
    assert read_reference(value_from) == (version, key)


def test_parameters_are_asked_for_by_name() -> None:
    prefix = "arn:aws:ssm:us-east-1:123456789012:parameter"
    assert [parameter_name(v) for v in (f"{prefix}/a", f"{prefix}/a/b", "a", "/a/b")] == ["a", "/a/b", "a", "/a/b"]


@pytest.mark.parametrize("text", ["not json but secret", "[1]", '"text"'])
def test_a_secret_that_has_no_keys_is_not_quoted(text: str) -> None:
    with pytest.raises(Unprepared) as caught:
        member_of(text, "k", "s")
    assert "but secret" not in f"{caught.value!r} {caught.value.__cause__!r}"


@pytest.mark.parametrize(
    "members", [{"provider": "vault"}, {"name": "A=B"}, {"type": "MOUNT_POINT"}, {"target": "DISK"}, {"valueFrom": ""}]
)
def test_a_secret_that_makes_no_sense_is_named(members: dict[str, Any]) -> None:
    with pytest.raises(BadPayload, match=r"secrets\[0\]"):
        read_task(task("t1", container("c", "server", secrets=[{**asm(), **members}])), seq=1, cluster=CLUSTER)
