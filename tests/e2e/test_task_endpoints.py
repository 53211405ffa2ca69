"""Inside a task, end to end: a real boto3 in a real container works with nothing but its task role.

The container has this machine's Python, mounted read-only; what it is told of Berth is what any container is told.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.support.berth import RunningBerth, free_port, running_berth, until
from tests.support.engine import Engine

ROLE = "arn:aws:iam::{}:role/e2e/worker"
SCRIPT = """
import json, os, time, urllib.request

import boto3
from botocore.exceptions import ClientError


def get(url, data=None, method="GET"):
    asked = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=20) as answer:
        return json.load(answer)


def tell(what, value):
    print(json.dumps({"what": what, "value": value}), flush=True)


v4 = os.environ["ECS_CONTAINER_METADATA_URI_V4"]
who = boto3.client("sts").get_caller_identity()
tell("who", who["Arn"])
me, task = get(v4), get(v4 + "/taskWithTags")
tell("container", me)
tell("task", task)
tell("stats", sorted(get(v4 + "/task/stats")))
ecs = boto3.client("ecs")
tell("described", ecs.describe_tasks(cluster=task["Cluster"], tasks=[task["TaskARN"]])["tasks"][0]["lastStatus"])
try:
    ecs.run_task(taskDefinition="anything")
except ClientError as error:
    tell("refused", error.response["Error"])
protection = os.environ["ECS_AGENT_URI"] + "/task-protection/v1/state"
tell("protection", get(protection, b'{"ProtectionEnabled":true,"ExpiresInMinutes":5}', "PUT"))
tell("protected", get(protection))
credentials = boto3.Session().get_credentials().get_frozen_credentials()
tell("key", [credentials.access_key, credentials.secret_key, credentials.token])
while True:
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def berth(docker_engine: Engine) -> Iterator[RunningBerth]:
    """A Berth that containers reach at the engine's own bridge."""
    bridge = docker_engine.client.networks.get("bridge").attrs["IPAM"]["Config"][0]["Gateway"]
    ports = free_port(), free_port()
    settings = {"host": "0.0.0.0", "endpoint": f"http://{bridge}:{ports[0]}", "inject_endpoint": "true"}
    with running_berth(docker_engine, ports=ports, **settings) as running:
        yield running


def python_places() -> list[str]:
    """The directories that this Python and its libraries are in."""
    package = Path(boto3.__file__).parents[1]
    wanted = ["/lib", "/lib64", "/usr", sys.base_prefix, str(package)]
    return [place for place in dict.fromkeys(wanted) if Path(place).exists()]


def define(berth: RunningBerth, image: str, mode: str) -> str:
    """A task definition whose one container runs the script; answers its name."""
    family = f"inside-{mode}"
    places = python_places()
    log = {"awslogs-group": "/e2e/inside", "awslogs-create-group": "true", "awslogs-stream-prefix": mode}
    log |= {"awslogs-region": "us-east-1"}
    container = {
        "name": "main",
        "image": image,
        "memory": 256,
        "stopTimeout": 2,
        "command": [str(Path(sys.base_prefix, "bin", "python3")), "-c", SCRIPT],
        "environment": [{"name": "PYTHONPATH", "value": str(Path(boto3.__file__).parents[1])}],
        "mountPoints": [
            {"sourceVolume": f"place-{number}", "containerPath": place, "readOnly": True}
            for number, place in enumerate(places)
        ],
        "logConfiguration": {"logDriver": "awslogs", "options": log},
    }
    berth.client("ecs").register_task_definition(
        family=family,
        networkMode=mode,
        taskRoleArn=ROLE.format(berth.account),
        containerDefinitions=[container],
        volumes=[{"name": f"place-{number}", "host": {"sourcePath": place}} for number, place in enumerate(places)],
    )
    return family


def told(berth: RunningBerth, mode: str, task: str, last: str) -> dict[str, Any]:
    """What the script in the task has said, once it has said the last of it."""
    logs, stream = berth.client("logs"), f"{mode}/main/{task}"

    def look() -> dict[str, Any]:
        try:
            lines = logs.get_log_events(logGroupName="/e2e/inside", logStreamName=stream, startFromHead=True)["events"]
        except logs.exceptions.ResourceNotFoundException:
            return {}
        messages = [line["message"] for line in lines]
        assert not any(message.startswith("Traceback") for message in messages), "\n".join(messages)
        found = [json.loads(message) for message in messages if message.startswith("{")]
        said = {one["what"]: one["value"] for one in found}
        return said if last in said else {}

    return until(f"the task says {last}", look)


@pytest.mark.parametrize("mode", ["bridge", "awsvpc"])
def test_boto3_in_a_container_works_as_its_role_until_the_task_stops(
    berth: RunningBerth, busybox_image: str, mode: str
) -> None:
    image = berth.push(busybox_image, "e2e/inside")
    family, ecs = define(berth, image, mode), berth.client("ecs")
    network = {"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}} if mode == "awsvpc" else {}
    ecs.create_service(
        serviceName=family,
        taskDefinition=family,
        desiredCount=1,
        propagateTags="SERVICE",
        tags=[{"key": "team", "value": "blue"}],
        **network,
    )
    [arn] = until("the task is there", lambda: ecs.list_tasks(serviceName=family)["taskArns"])
    task_id = arn.rsplit("/", 1)[-1]
    said = told(berth, mode, task_id, "key")

    assert said["who"] == f"arn:aws:sts::{berth.account}:assumed-role/worker/{task_id}"
    assert said["task"]["TaskARN"] == arn and said["task"]["TaskTags"] == {"team": "blue"}
    assert said["task"]["Family"] == family and said["task"]["ServiceName"] == family
    assert said["container"]["LogOptions"]["awslogs-stream"] == f"{mode}/main/{task_id}"
    assert said["container"]["Networks"][0]["NetworkMode"] == mode
    assert said["stats"] == sorted(one["DockerId"] for one in said["task"]["Containers"])
    assert said["described"] in ("PENDING", "RUNNING")
    assert said["refused"]["Code"] == "AccessDeniedException"
    assert "berth role put worker --allow ecs:RunTask" in said["refused"]["Message"]
    assert said["protection"]["protection"]["ProtectionEnabled"] is True
    assert said["protected"]["protection"] == said["protection"]["protection"]

    key_id, secret, token = said["key"]
    sts = boto3.client(
        "sts",
        endpoint_url=berth.environment["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        aws_session_token=token,
    )
    assert sts.get_caller_identity()["Arn"] == said["who"]
    ecs.update_service(service=family, desiredCount=0)
    until("the service waits for it", lambda: ecs.describe_services(services=[family])["services"][0]["runningCount"])
    assert ecs.describe_tasks(tasks=[arn])["tasks"][0]["desiredStatus"] == "RUNNING"
    ecs.update_task_protection(cluster="default", tasks=[arn], protectionEnabled=False)
    until("it is gone", lambda: ecs.describe_tasks(tasks=[arn])["tasks"][0]["lastStatus"] == "STOPPED")

    def ended() -> bool:
        try:
            sts.get_caller_identity()
        except ClientError as error:
            return error.response["Error"]["Code"] == "InvalidClientTokenId"
        return False

    until("its key has ended everywhere", ended)
