"""The endpoints of a real agent on a real Docker Engine: in every mode, with new credentials, through its death."""

import json
from typing import Any

import pytest

from tests.support.agent_bench import Bench
from tests.support.fake_control_plane import CLUSTER, task_arn

ROLE = {
    "credentialsId": "3b0d9a52-7e0f-4c1c-9a0e-000000000002",
    "roleArn": "arn:aws:iam::123456789012:role/worker",
    "accessKeyId": "ASIAFIRST",
    "secretAccessKey": "secret-one",
    "sessionToken": "token-one",
    "expiration": "2030-01-01T06:00:00Z",
}
NEWER = {**ROLE, "accessKeyId": "ASIASECOND", "expiration": "2030-01-01T12:00:00Z"}
CREDENTIALS = "$AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
TASK = "${ECS_CONTAINER_METADATA_URI_V4#http://169.254.170.2}/task"


def asked(bench: Bench, path: str) -> Any:
    """What the one container of a task that is not its pause is answered; None while nobody answers it."""
    [container] = [one for one in bench.containers() if "pause" not in one.name]
    script = f'printf "GET {path} HTTP/1.0\\r\\n\\r\\n" | nc -w 10 169.254.170.2 80 | tail -n 1'
    said = container.exec_run(["sh", "-c", script]).output.decode()
    return json.loads(said) if said.startswith("{") else None


def key_of(bench: Bench) -> str:
    """The access key that the task is given; empty while it is given none, be it that another agent answers."""
    return str((asked(bench, CREDENTIALS) or {}).get("AccessKeyId", ""))


def members_of(bench: Bench, mode: str) -> dict[str, Any]:
    if mode != "awsvpc":
        return {"networkMode": mode}
    [registered] = bench.plane.calls("RegisterContainerInstance")
    cidr = next(a["value"] for a in registered["attributes"] if a["name"] == "berth.awsvpc-cidr")
    address = f"{cidr.rsplit('.', 1)[0]}.217"
    eni = {"ec2Id": "eni-1", "ipv4Addresses": [{"primary": True, "privateAddress": address}]}
    return {"networkMode": mode, "elasticNetworkInterfaces": [eni]}


@pytest.mark.parametrize("mode", ["bridge", "none", "awsvpc"])
def test_a_task_is_answered_gets_new_credentials_and_loses_nothing_with_its_agent(own_bench: Bench, mode: str) -> None:
    members = members_of(own_bench, mode)
    task_id, _ = own_bench.run(own_bench.container("main", "sleep", "600"), roleCredentials=ROLE, **members)
    own_bench.plane.wait_for_report(task_id, "RUNNING")
    assert own_bench.plane.wait_for(lambda: key_of(own_bench)) == "ASIAFIRST"
    assert asked(own_bench, TASK)["TaskARN"] == task_arn(task_id)

    told = {"taskArn": task_arn(task_id), "taskClusterArn": CLUSTER, "roleType": "TaskApplication"}
    own_bench.plane.send("IAMRoleCredentialsMessage", {**told, "messageId": "renewal", "roleCredentials": NEWER})
    [answer] = own_bench.plane.wait_for(lambda: own_bench.plane.frames("IAMRoleCredentialsAckRequest"))
    assert answer == {
        "messageId": "renewal",
        "expiration": NEWER["expiration"],
        "credentialsId": NEWER["credentialsId"],
    }
    assert key_of(own_bench) == "ASIASECOND"

    own_bench.agent.kill()
    assert not key_of(own_bench)
    own_bench.agent.start()
    assert own_bench.plane.wait_for(lambda: key_of(own_bench)) == "ASIASECOND"
    assert asked(own_bench, TASK)["KnownStatus"] == "RUNNING"
