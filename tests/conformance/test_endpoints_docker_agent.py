"""The endpoints of a real agent on a real Docker Engine: in every mode, with new credentials, through its death."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.test_runtime_docker_agent import Bench, bench_on
from tests.support.engine import Engine
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


@pytest.fixture
def bench(docker_engine: Engine, busybox_image: str, tmp_path: Path) -> Iterator[Bench]:
    with bench_on(docker_engine, busybox_image, tmp_path / "agent") as bench:
        yield bench


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
def test_a_task_is_answered_gets_new_credentials_and_loses_nothing_with_its_agent(bench: Bench, mode: str) -> None:
    members = members_of(bench, mode)
    task_id, _ = bench.run(bench.container("main", "sleep", "600"), roleCredentials=ROLE, **members)
    bench.plane.wait_for_report(task_id, "RUNNING")
    assert bench.plane.wait_for(lambda: key_of(bench)) == "ASIAFIRST"
    assert asked(bench, TASK)["TaskARN"] == task_arn(task_id)

    told = {"taskArn": task_arn(task_id), "taskClusterArn": CLUSTER, "roleType": "TaskApplication"}
    bench.plane.send("IAMRoleCredentialsMessage", {**told, "messageId": "renewal", "roleCredentials": NEWER})
    [answer] = bench.plane.wait_for(lambda: bench.plane.frames("IAMRoleCredentialsAckRequest"))
    assert answer == {
        "messageId": "renewal",
        "expiration": NEWER["expiration"],
        "credentialsId": NEWER["credentialsId"],
    }
    assert key_of(bench) == "ASIASECOND"

    bench.agent.kill()
    assert not key_of(bench)
    bench.agent.start()
    assert bench.plane.wait_for(lambda: key_of(bench)) == "ASIASECOND"
    assert asked(bench, TASK)["KnownStatus"] == "RUNNING"
