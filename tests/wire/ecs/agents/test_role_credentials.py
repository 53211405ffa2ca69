"""Credentials of tasks' roles: told with the task, renewed in time, good for what the role may do, gone with it."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from sqlalchemy import func, select

from kit.aws.sigv4 import Caller, Key
from kit.clock import ManualClock, epoch_millis
from orchestrator.agents.conversation import Conversation
from orchestrator.agents.roles import LIFE, Roles, role_name
from orchestrator.identity import find_key
from orchestrator.role_actions import DEFAULTS
from state.access_keys import AccessKey, end_sessions, list_host_keys
from state.role_sessions import RoleSession, forget_role_sessions, grant_role_sessions
from state.roles import put_role
from tests.support.logs import put
from tests.support.loopback import KEY
from tests.support.tasks import SMALL, TasksPlane

CAPABILITIES = (
    "com.amazonaws.ecs.capability.logging-driver.splunk",
    "ecs.capability.secrets.asm.environment-variables",
    "ecs.capability.secrets.ssm.environment-variables",
    "ecs.capability.secrets.ssm.bootstrap.log-driver",
)
ROLE = "arn:aws:iam::123456789012:role/service/worker"


class Plane(TasksPlane):
    """A plane whose conversations have a clock that the test turns, and whose gateway knows the keys of roles."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.turned = ManualClock(self.clock.now())
        self.keys = find_key(self.store, self.secrets, self.clock, fresh=timedelta(0))
        self.gateway._find_key = lambda name: KEY if name == KEY.access_key_id else self.keys(name)
        self.roles = Roles(self.store, self.turned, self.settings, self.secrets)

    def talk(self, host: str) -> Conversation:
        return Conversation(self.store, self.turned, self.settings, host.rsplit("/", 1)[-1], roles=self.roles)

    def count(self, table: Any) -> int:
        return self.store.read(lambda session: session.scalar(select(func.count()).select_from(table)) or 0)


@pytest.fixture
def plane(store_url: str) -> Iterator[Plane]:
    plane = Plane(store_url)
    yield plane
    plane.close()


def tasks_of(frames: list[str]) -> list[dict[str, Any]]:
    found = [json.loads(frame) for frame in frames]
    return [task for one in found if one["type"] == "PayloadMessage" for task in one["message"]["tasks"]]


def credentials_of(frames: list[str]) -> list[dict[str, Any]]:
    found = [json.loads(frame) for frame in frames]
    return [one["message"] for one in found if one["type"] == "IAMRoleCredentialsMessage"]


def key_of(told: dict[str, str]) -> Key:
    return Key(
        access_key_id=told["accessKeyId"],
        secret=told["secretAccessKey"],
        session_token=told["sessionToken"],
        caller=Caller(access_key_id="", principal_arn="", account=""),
    )


def test_a_task_is_told_with_credentials_that_work_as_its_role(plane: Plane) -> None:
    host = plane.add_host()
    plane.register(taskRoleArn=ROLE)
    arn = plane.run()["taskArn"]

    [task] = tasks_of(plane.talk(host).news())

    told = task["roleCredentials"]
    assert told["roleArn"] == ROLE
    assert "executionRoleCredentials" not in task
    who = plane.client("sts", key_of(told)).get_caller_identity()
    assert who["Arn"] == f"arn:aws:sts::123456789012:assumed-role/worker/{arn.rsplit('/', 1)[-1]}"


def test_a_role_may_read_and_no_more_until_somebody_says_so(plane: Plane) -> None:
    host = plane.add_host()
    plane.register(taskRoleArn=ROLE)
    plane.run()
    [task] = tasks_of(plane.talk(host).news())
    ecs = plane.client("ecs", key_of(task["roleCredentials"]))
    assert ecs.list_clusters()["clusterArns"]

    with pytest.raises(ClientError) as refused:
        ecs.create_cluster(clusterName="more")
    error = refused.value.response["Error"]
    assert error["Code"] == "AccessDeniedException"
    assert "berth role put worker --allow ecs:CreateCluster" in error["Message"]

    def allow(session: Any) -> None:
        put_role(session, "worker", ["ecs:CreateCluster"], now=plane.clock.now())
        grant_role_sessions(session, "worker", {"TaskApplication": ["ecs:CreateCluster"]})

    plane.store.transact(allow)
    assert ecs.create_cluster(clusterName="more")["cluster"]["clusterName"] == "more"
    with pytest.raises(ClientError, match="not authorized to perform: ecs:ListClusters"):
        ecs.list_clusters()


def test_what_was_put_for_a_role_holds_for_tasks_that_come_later(plane: Plane) -> None:
    plane.store.transact(lambda session: put_role(session, "worker", ["ecs:RunTask"], now=plane.clock.now()))
    host = plane.add_host()
    plane.register(taskRoleArn=ROLE)
    plane.run()
    [task] = tasks_of(plane.talk(host).news())
    assert plane.client("ecs", key_of(task["roleCredentials"])).run_task(taskDefinition="t")["tasks"]


@pytest.mark.parametrize("action", ["GetSecretValue", "GetParameter", "GetParameters", "GetSessionToken"])
def test_values_of_secrets_are_not_for_the_containers(action: str) -> None:
    caller = Caller(access_key_id="A", principal_arn="p", account="1", actions=tuple(DEFAULTS["TaskApplication"]))
    assert not any(caller.may(f"{service}:{action}") for service in ("secretsmanager", "ssm", "sts"))
    assert caller.may("ecs:DescribeTasks") and caller.may("batch:GetJobQueueSnapshot")


def test_the_execution_role_is_the_agents_for_starting_the_task(plane: Plane) -> None:
    host = plane.add_host()
    image = f"{plane.settings.registry}/app:1"
    plane.register("t", {"name": "main", "image": image, "memory": 64}, executionRoleArn="starter")
    plane.run()
    [task] = tasks_of(plane.talk(host).news())
    assert task["executionRoleCredentials"]["roleArn"] == "arn:aws:iam::123456789012:role/starter"
    assert "roleCredentials" not in task
    assert task["containers"][0]["registryAuthentication"]["ecrAuthData"]["useExecutionRole"] is True
    ecr = plane.client("ecr", key_of(task["executionRoleCredentials"]))
    assert ecr.get_authorization_token()["authorizationData"]


def test_the_execution_role_reads_what_its_tasks_definition_names_and_no_more(plane: Plane) -> None:
    host = plane.add_host(**dict.fromkeys(CAPABILITIES, ""))
    manager, store = plane.client("secretsmanager"), plane.client("ssm")
    arns = {name: manager.create_secret(Name=name, SecretString=name)["ARN"] for name in ("whole", "part", "other")}
    for name in ("/app/key", "login", "/others/key"):
        store.put_parameter(Name=name, Value=name, Type="SecureString")
    logged = {"valueFrom": "arn:aws:ssm:us-east-1:123456789012:parameter/app/key"}
    container = {
        **SMALL,
        "secrets": [
            {"name": "A", "valueFrom": f"{arns['whole']}:member:AWSCURRENT:"},
            {"name": "B", "valueFrom": arns["part"][:-7]},
            {"name": "C", "valueFrom": "login"},
        ],
        "logConfiguration": {
            "logDriver": "splunk",
            "options": {"splunk-url": "http://logs.test"},
            "secretOptions": [{"name": "splunk-token", **logged}],
        },
    }
    plane.register("t", container, executionRoleArn="starter")
    plane.run()
    [task] = tasks_of(plane.talk(host).news())
    key = key_of(task["executionRoleCredentials"])

    manager, store = plane.client("secretsmanager", key), plane.client("ssm", key)
    assert manager.get_secret_value(SecretId=arns["whole"])["SecretString"] == "whole"
    assert manager.get_secret_value(SecretId=arns["part"][:-7])["SecretString"] == "part"
    read = store.get_parameters(Names=["login", "/app/key"], WithDecryption=True)["Parameters"]
    assert [one["Value"] for one in read] == ["login", "/app/key"]
    for read_others in (
        lambda: manager.get_secret_value(SecretId="other"),
        lambda: store.get_parameters(Names=["login", "/others/key"], WithDecryption=True),
    ):
        with pytest.raises(ClientError, match="its task's definition does not name it") as refused:
            read_others()
        assert refused.value.response["Error"]["Code"] == "AccessDeniedException"


def test_an_execution_role_makes_no_session_that_could_do_more(plane: Plane) -> None:
    plane.store.transact(lambda session: put_role(session, "starter", ["*"], now=plane.clock.now()))
    host = plane.add_host()
    plane.register(executionRoleArn="starter")
    plane.run()
    [task] = tasks_of(plane.talk(host).news())
    sts = plane.client("sts", key_of(task["executionRoleCredentials"]))
    with pytest.raises(ClientError, match="acts for one host") as refused:
        sts.assume_role(RoleArn=ROLE, RoleSessionName="more")
    assert refused.value.response["Error"]["Code"] == "AccessDenied"


def test_the_execution_role_writes_no_other_hosts_logs(plane: Plane) -> None:
    plane.register(executionRoleArn="starter")
    hosts, arns = [], []
    for _ in range(2):
        hosts.append(plane.add_host(memory=64))
        arns.append(plane.run()["taskArn"])
    [task] = tasks_of(plane.talk(hosts[0]).news())
    logs = plane.client("logs", key_of(task["executionRoleCredentials"]))
    logs.create_log_group(logGroupName="/app")
    own, other = (f"app/main/{arn.rsplit('/', 1)[-1]}" for arn in arns)
    for stream in (own, other):
        logs.create_log_stream(logGroupName="/app", logStreamName=stream)
    now = epoch_millis(plane.clock.now())
    put(logs, {"logGroupName": "/app", "logStreamName": own}, now, "line")
    with pytest.raises(ClientError, match="a container instance that is not its own"):
        put(logs, {"logGroupName": "/app", "logStreamName": other}, now, "line")
    with pytest.raises(ClientError, match="berth role put starter --allow logs:GetLogEvents"):
        logs.get_log_events(logGroupName="/app", logStreamName=own)
    # Nor is its key a host's, that 'berth agent keys' would list.
    assert not plane.store.read(list_host_keys)


def test_a_launch_may_give_another_role(plane: Plane) -> None:
    host = plane.add_host()
    plane.register(taskRoleArn=ROLE)
    plane.run(overrides={"taskRoleArn": "arn:aws:iam::123456789012:role/other"})
    [task] = tasks_of(plane.talk(host).news())
    assert task["roleCredentials"]["roleArn"].endswith(":role/other")


def test_tasks_without_roles_have_no_keys(plane: Plane) -> None:
    host = plane.add_host()
    plane.register(taskRoleArn="")
    plane.run()
    [task] = tasks_of(plane.talk(host).news())
    assert "roleCredentials" not in task
    assert plane.count(AccessKey) == plane.count(RoleSession) == 0


def test_every_connection_tells_the_same_credentials(plane: Plane) -> None:
    host = plane.add_host()
    plane.register(taskRoleArn=ROLE, executionRoleArn="starter")
    plane.run()
    first, second = (tasks_of(plane.talk(host).news()) for _ in range(2))
    assert first == second
    assert plane.count(RoleSession) == 2


def test_connections_that_ask_at_the_same_time_agree(plane: Plane) -> None:
    host = plane.add_host()
    plane.register(taskRoleArn=ROLE, executionRoleArn="starter")
    for _ in range(5):
        plane.run()
    with ThreadPoolExecutor(6) as pool:
        first, *others = pool.map(lambda _: tasks_of(plane.talk(host).news()), range(6))
    assert len(first) == 5 and all(other == first for other in others)
    assert plane.count(RoleSession) == plane.count(AccessKey) == 10


def test_a_task_that_stops_while_its_keys_are_made_keeps_none(plane: Plane) -> None:
    host = plane.add_host()
    plane.register(taskRoleArn=ROLE)
    arns = [plane.run()["taskArn"] for _ in range(6)]
    with ThreadPoolExecutor(7) as pool:
        told = pool.submit(lambda: plane.talk(host).news())
        list(pool.map(lambda arn: plane.report(arn, "STOPPED", container={"exitCode": 0}), arns))
        told.result()
    assert plane.count(RoleSession) == plane.count(AccessKey) == 0


def test_credentials_are_renewed_before_they_end_and_repeated_until_acknowledged(plane: Plane) -> None:
    host = plane.add_host()
    plane.register(taskRoleArn=ROLE)
    arn = plane.run()["taskArn"]
    line = plane.talk(host)
    [task] = tasks_of(line.news())
    plane.turned.tick(seconds=0.69 * LIFE.total_seconds())
    assert not line.has_credentials_to_tell
    plane.turned.tick(seconds=0.02 * LIFE.total_seconds())
    assert line.has_credentials_to_tell

    [told] = credentials_of(line.news())

    assert (told["taskArn"], told["roleType"]) == (arn, "TaskApplication")
    new, old = told["roleCredentials"], task["roleCredentials"]
    assert new["credentialsId"] == old["credentialsId"], "containers know the id already"
    assert new["accessKeyId"] != old["accessKeyId"] and new["expiration"] > old["expiration"]
    for key in (old, new):
        plane.client("sts", key_of(key)).get_caller_identity()
    assert line.news() == [], "told a moment ago"
    plane.turned.tick(seconds=30)
    assert credentials_of(line.news())[0]["roleCredentials"] == new
    late = {"messageId": "1", "credentialsId": old["credentialsId"], "expiration": old["expiration"]}
    line.answer(json.dumps({"type": "IAMRoleCredentialsAckRequest", "message": late}))
    plane.turned.tick(seconds=30)
    assert line.has_credentials_to_tell, "another message was acknowledged"
    line.answer(
        json.dumps({"type": "IAMRoleCredentialsAckRequest", "message": {**late, "expiration": new["expiration"]}})
    )
    plane.turned.tick(seconds=30)
    assert not line.has_credentials_to_tell and line.news() == []
    [again] = tasks_of(plane.talk(host).news())
    assert again["roleCredentials"] == new
    other = plane.talk(host)
    other.news()
    plane.turned.tick(seconds=0.71 * LIFE.total_seconds())
    assert credentials_of(other.news())
    other.answer(
        json.dumps({"type": "IAMRoleCredentialsAckRequest", "message": {"credentialsId": old["credentialsId"]}})
    )
    plane.turned.tick(seconds=30)
    assert not other.has_credentials_to_tell, "an acknowledgement that names no end is one of the newest"


def test_all_keys_of_a_task_end_when_it_stops(plane: Plane) -> None:
    host = plane.add_host()
    plane.register(taskRoleArn=ROLE, executionRoleArn="starter")
    arn, other = (plane.run()["taskArn"] for _ in range(2))
    line = plane.talk(host)
    told = {task["arn"]: task for task in tasks_of(line.news())}
    plane.turned.tick(seconds=0.8 * LIFE.total_seconds())
    assert len(credentials_of(line.news())) == 4
    plane.report(arn, "RUNNING")
    plane.ecs.stop_task(task=arn)
    sts = plane.client("sts", key_of(told[arn]["roleCredentials"]))
    assert sts.get_caller_identity(), "while it stops it may still work"

    plane.report(arn, "STOPPED", container={"exitCode": 0})

    with pytest.raises(ClientError, match="security token included in the request is invalid"):
        sts.get_caller_identity()
    assert plane.count(AccessKey) == plane.count(RoleSession) == 4, "the other task's"
    assert plane.client("sts", key_of(told[other]["roleCredentials"])).get_caller_identity()


def test_a_task_that_is_to_stop_is_given_no_keys_any_more(plane: Plane) -> None:
    host = plane.add_host()
    plane.register(taskRoleArn=ROLE)
    arn = plane.run()["taskArn"]
    plane.ecs.stop_task(task=arn)
    [task] = tasks_of(plane.talk(host).news())
    assert task["desiredStatus"] == "STOPPED" and "roleCredentials" not in task
    assert plane.roles.credentials([arn.rsplit("/", 1)[-1]]) == {}


def test_sessions_that_were_ended_by_hand_are_made_anew(plane: Plane) -> None:
    host = plane.add_host()
    plane.register(taskRoleArn=ROLE)
    plane.run()
    [before] = tasks_of(plane.talk(host).news())
    plane.store.transact(end_sessions)
    [after] = tasks_of(plane.talk(host).news())
    assert after["roleCredentials"]["credentialsId"] == before["roleCredentials"]["credentialsId"]
    assert plane.client("sts", key_of(after["roleCredentials"])).get_caller_identity()


def test_secrets_lie_encrypted_and_ended_sessions_are_forgotten(plane: Plane) -> None:
    host = plane.add_host()
    plane.register(taskRoleArn=ROLE)
    plane.run()
    [task] = tasks_of(plane.talk(host).news())
    [row] = plane.store.read(lambda session: session.scalars(select(AccessKey)).all())
    assert task["roleCredentials"]["secretAccessKey"] not in row.secret
    late = plane.clock.now() + LIFE + timedelta(minutes=1)
    plane.store.transact(lambda session: forget_role_sessions(session, now=late))
    assert plane.count(RoleSession) == 0


@pytest.mark.parametrize(
    ("given", "name"),
    [("worker", "worker"), (ROLE, "worker"), ("arn:aws:iam::1:role/a b", "a-b"), ("x" * 80, "x" * 64)],
)
def test_the_name_of_a_role_is_the_last_part_of_its_arn(given: str, name: str) -> None:
    assert role_name(given) == name
