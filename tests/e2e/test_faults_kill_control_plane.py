"""The control plane is killed in the middle of its work and started again: nothing is lost and nothing runs twice."""

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.support import faults
from tests.support.berth import RunningBerth, running_berth, until
from tests.support.engine import Engine

BURST = 16


@pytest.fixture(scope="module")
def killed(docker_engine: Engine) -> Iterator[RunningBerth]:
    """A Berth of this module's own, whose processes may be killed."""
    with running_berth(docker_engine) as running:
        yield running


@pytest.fixture(scope="module")
def image(killed: RunningBerth, busybox_image: str) -> str:
    return killed.push(busybox_image, "faults/busybox")


@pytest.fixture(autouse=True)
def idle(killed: RunningBerth) -> Iterator[None]:
    yield
    faults.stop_all(killed)


def test_every_acknowledged_task_runs_once(killed: RunningBerth, image: str) -> None:
    family = faults.register(killed, "sleeps", image, "sleep", "600")
    before = faults.all_at(killed, "RUNNING", [faults.run_one(killed, family) for _ in range(2)])
    ids = faults.runtime_ids(before)
    asked, told = [f"burst-{number}" for number in range(BURST)], dict[str, str]()

    def burst() -> None:
        ecs = faults.once(killed, "ecs")
        for token in asked:
            try:
                told[token] = ecs.run_task(taskDefinition=family, clientToken=token)["tasks"][0]["taskArn"]
            except (ClientError, BotoCoreError):
                return

    caller = threading.Thread(target=burst)
    caller.start()
    until("some tasks are acknowledged", lambda: len(told) >= 5, every=0.002)
    faults.kill(faults.control_plane(killed))
    caller.join()
    acknowledged = dict(told)
    faults.up_again(killed)

    # What a client does that got no answer: it asks again with the same token.
    for token in asked:
        again = killed.client("ecs").run_task(taskDefinition=family, clientToken=token)["tasks"][0]["taskArn"]
        assert acknowledged.get(token, again) == again
        told[token] = again
    after = faults.all_at(killed, "RUNNING", [*ids, *told.values()])

    assert faults.runtime_ids(task for task in after if task["taskArn"] in ids) == ids
    assert len(set(told.values())) == BURST
    assert set(faults.tasks_of(killed, family=family)) == {*ids, *told.values()}
    assert {arn: len(faults.on_engine(killed, arn)) for arn in told.values()} == dict.fromkeys(told.values(), 1)


def test_a_rollout_goes_on(killed: RunningBerth, image: str) -> None:
    ecs = killed.client("ecs")
    old = faults.register(killed, "served", image, "sleep", "600")
    ecs.create_service(serviceName="rolling", taskDefinition=old, desiredCount=3, launchType="EC2")
    ecs.get_waiter("services_stable").wait(services=["rolling"], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    faults.register(killed, "served", image, "sleep", "601")
    ecs.update_service(service="rolling", taskDefinition="served")
    until("the rollout has begun", lambda: len(ecs.list_tasks(serviceName="rolling")["taskArns"]) != 3, every=0.01)

    faults.kill(faults.control_plane(killed))
    faults.up_again(killed)

    ecs = killed.client("ecs")
    ecs.get_waiter("services_stable").wait(services=["rolling"], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    (service,) = ecs.describe_services(services=["rolling"])["services"]
    assert (service["runningCount"], len(service["deployments"])) == (3, 1)
    assert service["taskDefinition"].endswith("served:2")
    for task in faults.describe(killed, ecs.list_tasks(serviceName="rolling")["taskArns"]):
        assert len(faults.on_engine(killed, task["taskArn"])) == 1
        assert task["taskDefinitionArn"].endswith("served:2")


def test_a_service_created_an_instant_before_comes_up(killed: RunningBerth, image: str) -> None:
    family = faults.register(killed, "created", image, "sleep", "600")
    killed.client("ecs").create_service(serviceName="created", taskDefinition=family, desiredCount=2)

    faults.kill(faults.control_plane(killed))
    faults.up_again(killed)

    killed.client("ecs").get_waiter("services_stable").wait(
        services=["created"], WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    assert len(faults.tasks_of(killed, serviceName="created")) == 2


def test_the_children_of_an_array_job_run_once_each(killed: RunningBerth, image: str) -> None:
    batch = killed.client("batch")
    queue = ec2_queue(batch, killed)
    made = batch.register_job_definition(
        jobDefinitionName="prints",
        type="container",
        containerProperties={
            "image": image,
            "vcpus": 1,
            "memory": 16,
            "command": ["sh", "-c", "echo ran $AWS_BATCH_JOB_ARRAY_INDEX; sleep 1"],
        },
    )
    job = batch.submit_job(
        jobName="array", jobQueue=queue, jobDefinition=made["jobDefinitionArn"], arrayProperties={"size": 6}
    )["jobId"]
    until("a child has succeeded", lambda: children(batch, job)["SUCCEEDED"] >= 1)

    faults.kill(faults.control_plane(killed))
    faults.up_again(killed)

    batch = killed.client("batch")
    until("all children have succeeded", lambda: children(batch, job)["SUCCEEDED"] == 6, seconds=120)
    found = batch.describe_jobs(jobs=[f"{job}:{index}" for index in range(6)])["jobs"]
    assert [len(child["attempts"]) for child in found] == [1] * 6
    logs = killed.client("logs")
    lines = [
        event["message"]
        for child in found
        for event in logs.get_log_events(
            logGroupName="/aws/batch/job", logStreamName=child["container"]["logStreamName"], startFromHead=True
        )["events"]
    ]
    assert sorted(lines) == [f"ran {index}" for index in range(6)]


def test_killed_again_and_again_it_keeps_its_tasks(killed: RunningBerth, image: str) -> None:
    family = faults.register(killed, "patient", image, "sleep", "600")
    ids = faults.runtime_ids(faults.all_at(killed, "RUNNING", [faults.run_one(killed, family)]))
    agent = faults.local_agent(killed)
    for _ in range(3):
        faults.kill(faults.control_plane(killed))
        faults.up_again(killed)

    until("the agent is back", lambda: connected(killed))

    assert faults.local_agent(killed) == agent
    assert faults.runtime_ids(faults.describe(killed, ids)) == ids
    assert Counter(faults.on_engine(killed, arn)[0] for arn in ids) == Counter(ids.values())


def ec2_queue(batch: Any, berth: RunningBerth) -> str:
    """A queue whose hosts come and go with its jobs, so that every loop has work to lose."""
    batch.create_compute_environment(
        computeEnvironmentName="faults",
        type="MANAGED",
        computeResources={
            "type": "EC2",
            "minvCpus": 0,
            "maxvCpus": 2,
            "instanceTypes": ["optimal"],
            "instanceRole": "ecsInstanceRole",
            "subnets": ["subnet-1"],
            "securityGroupIds": ["sg-1"],
        },
    )
    environments = batch.describe_compute_environments
    until(
        "the environment is valid",
        lambda: environments(computeEnvironments=["faults"])["computeEnvironments"][0]["status"] == "VALID",
    )
    order = [{"order": 1, "computeEnvironment": "faults"}]
    batch.create_job_queue(jobQueueName="faults", priority=1, computeEnvironmentOrder=order)
    until(
        "the queue is valid",
        lambda: batch.describe_job_queues(jobQueues=["faults"])["jobQueues"][0]["status"] == "VALID",
    )
    return "faults"


def children(batch: Any, job: str) -> Counter[str]:
    (parent,) = batch.describe_jobs(jobs=[job])["jobs"]
    return Counter(parent["arrayProperties"]["statusSummary"])


def connected(berth: RunningBerth) -> bool:
    ecs = berth.client("ecs")
    arns = ecs.list_container_instances()["containerInstanceArns"]
    found = ecs.describe_container_instances(containerInstances=arns)["containerInstances"]
    return all(host["agentConnected"] for host in found)
