"""Task definitions end to end: what is registered with boto3 is what the process in the container finds."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from registry.storage.s3 import Bucket
from tests.support.berth import RunningBerth, running_berth, until
from tests.support.engine import Engine
from tests.support.logs import messages

ROLE = "arn:aws:iam::123456789012:role/ecsTaskExecutionRole"
GROUP = "/e2e/definitions"
MACHINE = ("usr", "lib", "lib64")
ROUTER = """
import re, socket
print(open("/fluent-bit/etc/fluent-bit.conf").read(), flush=True)
driver = socket.socket(socket.AF_UNIX); driver.bind("/var/run/fluent.sock"); driver.listen()
while found := (driver.accept()[0]).recv(65536):
    print(*re.findall(rb"[ -~]{4,}", found), flush=True)
"""


@pytest.fixture(scope="module")
def store(s3_endpoint: str) -> Bucket:
    """A bucket for environment files."""
    bucket = Bucket(
        name="env-files", prefix="", endpoint=s3_endpoint, access_key_id="AKIATESTS3", secret_access_key="s"
    )
    client = boto3.client(
        "s3",
        endpoint_url=s3_endpoint,
        region_name="us-east-1",
        aws_access_key_id="AKIATESTS3",
        aws_secret_access_key="s",
        config=Config(s3={"addressing_style": "path"}),
    )
    client.create_bucket(Bucket=bucket.name)
    client.put_object(Bucket=bucket.name, Key="app.env", Body=b"FROM_FILE=file\nBOTH=file\n")
    client.close()
    return bucket


@pytest.fixture(scope="module")
def own(docker_engine: Engine, store: Bucket) -> Iterator[RunningBerth]:
    """A Berth whose agent is told of the bucket's store."""
    with running_berth(docker_engine, task_s3_endpoint=store.endpoint) as running:
        yield running


@pytest.fixture(scope="module")
def busybox(own: RunningBerth, busybox_image: str) -> str:
    return own.push(busybox_image, "e2e/busybox")


def container(name: str, image: str, *command: str, **members: Any) -> dict[str, Any]:
    """One whose output is read by ``said``."""
    options = {"awslogs-group": GROUP, "awslogs-stream-prefix": "p", "awslogs-create-group": "true"}
    log = {"logDriver": "awslogs", "options": {**options, "awslogs-region": "us-east-1"}}
    own = {"name": name, "image": image, "memory": 32, "stopTimeout": 2, "command": [*command]}
    return {**own, "logConfiguration": log, **members}


def run(berth: RunningBerth, family: str, *containers: dict[str, Any], **members: Any) -> str:
    """Register, run, and answer the task's ARN."""
    ecs = berth.client("ecs")
    ecs.register_task_definition(family=family, containerDefinitions=[*containers], executionRoleArn=ROLE, **members)
    answer = ecs.run_task(taskDefinition=family)
    assert not answer["failures"], answer["failures"]
    return str(answer["tasks"][0]["taskArn"])


def ended(berth: RunningBerth, arn: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        task: dict[str, Any] = berth.client("ecs").describe_tasks(tasks=[arn])["tasks"][0]
        return task if task["lastStatus"] == "STOPPED" else None

    found = until("the task has ended", look, seconds=120)
    assert found is not None
    return found


def said(berth: RunningBerth, arn: str, name: str) -> list[str]:
    stream = f"p/{name}/{arn.rsplit('/', 1)[-1]}"
    return messages(berth.client("logs").get_log_events(logGroupName=GROUP, logStreamName=stream, startFromHead=True))


def test_secrets_parameters_and_files_are_variables_of_the_process(
    own: RunningBerth, busybox: str, store: Bucket
) -> None:
    made = own.client("secretsmanager").create_secret(Name="db", SecretString=json.dumps({"user": "u", "pass": "p1"}))
    own.client("ssm").put_parameter(Name="/app/token", Value="t1", Type="SecureString")
    arn = run(
        own,
        "secretive",
        container(
            "c",
            busybox,
            *("sh", "-c", "echo $PASS $TOKEN $FROM_FILE $BOTH"),
            secrets=[
                {"name": "PASS", "valueFrom": f"{made['ARN']}:pass::"},
                {"name": "TOKEN", "valueFrom": "/app/token"},
            ],
            environment=[{"name": "BOTH", "value": "definition"}],
            environmentFiles=[{"type": "s3", "value": f"arn:aws:s3:::{store.name}/app.env"}],
        ),
    )
    assert ended(own, arn)["containers"][0]["exitCode"] == 0
    assert said(own, arn, "c") == ["p1 t1 file definition"]


def test_a_secret_that_is_missing_is_the_tasks_reason(own: RunningBerth, busybox: str) -> None:
    missing = "arn:aws:secretsmanager:us-east-1:123456789012:secret:none-AbCdEf"
    arn = run(own, "missing", container("c", busybox, "true", secrets=[{"name": "S", "valueFrom": missing}]))
    task = ended(own, arn)
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith("ResourceInitializationError: unable to pull secrets or registry auth: ")
    assert "ResourceNotFoundException" in task["stoppedReason"]


def test_a_job_finds_its_secrets_too(own: RunningBerth, busybox: str) -> None:
    batch = own.client("batch")
    made = own.client("secretsmanager").create_secret(Name="of-jobs", SecretString="j1")
    batch.create_compute_environment(
        computeEnvironmentName="secretive",
        type="MANAGED",
        computeResources={"type": "FARGATE", "maxvCpus": 1, "subnets": ["subnet-1"], "securityGroupIds": ["sg-1"]},
    )
    order = [{"order": 1, "computeEnvironment": "secretive"}]
    until(
        "the environment is there",
        lambda: batch.describe_compute_environments()["computeEnvironments"][0]["status"] == "VALID",
    )
    batch.create_job_queue(jobQueueName="secretive", priority=1, computeEnvironmentOrder=order)
    until("the queue is there", lambda: batch.describe_job_queues()["jobQueues"][0]["status"] == "VALID")
    batch.register_job_definition(
        jobDefinitionName="secretive",
        type="container",
        platformCapabilities=["FARGATE"],
        containerProperties={
            "image": busybox,
            "command": ["sh", "-c", "test $SECRET = j1"],
            "executionRoleArn": ROLE,
            "secrets": [{"name": "SECRET", "valueFrom": made["ARN"]}],
            "resourceRequirements": [{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "512"}],
        },
    )
    job = batch.submit_job(jobName="j", jobQueue="secretive", jobDefinition="secretive")["jobId"]

    def over() -> dict[str, Any] | None:
        found: dict[str, Any] = batch.describe_jobs(jobs=[job])["jobs"][0]
        return found if found["status"] in ("SUCCEEDED", "FAILED") else None

    done = until("the job is over", over, seconds=120)
    assert done is not None
    assert done["status"] == "SUCCEEDED", (done["statusReason"], done["attempts"])


def test_a_fargate_task_that_outgrows_its_storage_is_stopped(own: RunningBerth, busybox: str) -> None:
    ecs = own.client("ecs")
    # A file with holes is as long as it looks, and takes nothing of this machine's disk.
    grows = {"name": "c", "image": busybox, "command": ["sh", "-c", "truncate -s 22G /grown; sleep 600"]}
    ecs.register_task_definition(
        family="grows",
        containerDefinitions=[grows],
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        ephemeralStorage={"sizeInGiB": 21},
        executionRoleArn=ROLE,
    )
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    [task] = ecs.run_task(taskDefinition="grows", launchType="FARGATE", networkConfiguration=network)["tasks"]
    assert task["ephemeralStorage"] == {"sizeInGiB": 21}
    assert ended(own, task["taskArn"])["stoppedReason"] == (
        "OutOfStorageError: the task has written 22.0 GiB, more than its ephemeralStorage of 21 GiB"
    )


def test_logs_go_through_a_router_and_processes_are_shared(own: RunningBerth, busybox: str) -> None:
    mounts = [{"sourceVolume": name, "containerPath": f"/{name}", "readOnly": True} for name in MACHINE]
    router = container(
        "router",
        busybox,
        *("/usr/bin/python3", "-c", ROUTER),
        mountPoints=mounts,
        firelensConfiguration={"type": "fluentbit"},
    )
    # Both see each other's processes, so the application can wait for the router to listen.
    script = "until ps | grep -q [p]ython3; do sleep 0.2; done; sleep 1; echo by-way-of; sleep 600"
    app = container("app", busybox, "sh", "-c", script, logConfiguration=_firelens())
    volumes = [{"name": name, "host": {"sourcePath": f"/{name}"}} for name in MACHINE]
    arn = run(own, "routed", app, router, volumes=volumes, pidMode="task")
    logs = own.client("logs")
    found = until(
        "the line is routed",
        lambda: [e for e in logs.filter_log_events(logGroupName=GROUP)["events"] if "by-way-of" in e["message"]],
    )
    assert found
    assert any("Match app-firelens*" in line for line in said(own, arn, "router"))
    own.client("ecs").stop_task(task=arn)
    assert {c["name"] for c in ended(own, arn)["containers"]} == {"app", "router"}


def test_a_container_comes_back_in_its_place(own: RunningBerth, busybox: str) -> None:
    policy = {"enabled": True, "restartAttemptPeriod": 60}
    arn = run(own, "restarted", container("c", busybox, "sh", "-c", "echo run; exit 3", restartPolicy=policy))
    # It ran for less than the period: it is over.
    assert ended(own, arn)["containers"][0]["exitCode"] == 3
    assert said(own, arn, "c") == ["run"]


def test_lines_of_one_event_stay_together(own: RunningBerth, busybox: str) -> None:
    plain = container("c", busybox, "sh", "-c", "echo INFO a; echo '  b'; echo INFO c")
    options = {**plain["logConfiguration"]["options"], "awslogs-multiline-pattern": "^INFO"}
    arn = run(own, "several", {**plain, "logConfiguration": {"logDriver": "awslogs", "options": options}})
    ended(own, arn)
    assert said(own, arn, "c") == ["INFO a\n  b", "INFO c"]


def _firelens() -> dict[str, Any]:
    return {"logDriver": "awsfirelens", "options": {"Name": "stdout"}}
