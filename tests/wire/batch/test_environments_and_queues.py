"""Batch's environments, queues and tags through boto3: echoed, or refused with a ClientException that says why."""

from typing import Any

import pytest

from orchestrator.api.batch.wire import batch as service
from tests.support.batch import EC2, FARGATE, BatchPlane, refusal

ARN = "arn:aws:batch:us-east-1:123456789012"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"maxvCpus": 0}, "maxvCpus must be greater than 0"),
        ({"subnets": []}, "subnets must be specified"),
        ({"securityGroupIds": []}, "securityGroupIds must be specified"),
        ({"instanceTypes": ["m5"]}, "instanceTypes must not be specified for FARGATE"),
        ({"minvCpus": 1}, "minvCpus must not be specified for FARGATE"),
        ({"type": "SPOT"}, "has not built compute resources of type SPOT"),
        ({"type": "FARGATE_SPOT"}, "has not built compute resources of type FARGATE_SPOT"),
    ],
)
def test_fargate_resources_that_aws_refuses(plane: BatchPlane, change: dict[str, Any], words: str) -> None:
    create = plane.batch.create_compute_environment
    resources = {**FARGATE, **change}
    assert words in refusal(create, computeEnvironmentName="ce", type="MANAGED", computeResources=resources)
    assert plane.batch.describe_compute_environments()["computeEnvironments"] == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"minvCpus": 32}, "minvCpus must be between 0 and maxvCpus"),
        ({"desiredvCpus": 99}, "desiredvCpus must be between"),
        ({"instanceTypes": ["z9.nano"]}, "Instance type 'z9.nano' is not known"),
        ({"instanceRole": ""}, "instanceRole must be specified"),
        ({"launchTemplate": {"launchTemplateName": "mine"}}, "has not built launch templates"),
    ],
)
def test_ec2_resources_that_are_refused(plane: BatchPlane, change: dict[str, Any], words: str) -> None:
    create = plane.batch.create_compute_environment
    resources = {**EC2, **change}
    assert words in refusal(create, computeEnvironmentName="ce", type="MANAGED", computeResources=resources)


def test_environments_that_make_no_sense(plane: BatchPlane) -> None:
    create = plane.batch.create_compute_environment
    eks = {"eksClusterArn": "arn:aws:eks:us-east-1:1:cluster/x", "kubernetesNamespace": "x"}
    assert "must be specified for a MANAGED" in refusal(create, computeEnvironmentName="ce", type="MANAGED")
    assert "must not be specified" in refusal(
        create, computeEnvironmentName="ce", type="UNMANAGED", computeResources=FARGATE
    )
    assert "computeEnvironmentName must match" in refusal(create, computeEnvironmentName="a b", type="UNMANAGED")
    assert "has not built compute environments on Amazon EKS" in refusal(
        create, computeEnvironmentName="ce", type="MANAGED", computeResources=FARGATE, eksConfiguration=eks
    )
    create(computeEnvironmentName="ce", type="UNMANAGED")
    assert refusal(create, computeEnvironmentName="ce", type="UNMANAGED") == "Object already exists"


def test_an_unknown_type_is_refused_by_the_model(plane: BatchPlane) -> None:
    words = refusal(plane.batch.create_compute_environment, computeEnvironmentName="ce", type="MANGED")
    assert "Member must satisfy enum value set: [MANAGED, UNMANAGED]" in words


def test_environments_are_listed_in_pages(plane: BatchPlane) -> None:
    for index in range(5):
        plane.batch.create_compute_environment(computeEnvironmentName=f"ce{index}", type="UNMANAGED")
    pages = plane.batch.get_paginator("describe_compute_environments").paginate(PaginationConfig={"PageSize": 2})
    found = [[one["computeEnvironmentName"] for one in page["computeEnvironments"]] for page in pages]
    assert found == [["ce0", "ce1"], ["ce2", "ce3"], ["ce4"]]
    refusal(plane.batch.describe_compute_environments, nextToken="nonsense")


def test_an_update_is_visible_and_keeps_what_it_does_not_name(plane: BatchPlane) -> None:
    plane.environment(resources=EC2)
    plane.batch.update_compute_environment(
        computeEnvironment=f"{ARN}:compute-environment/ce", computeResources={"maxvCpus": 64}
    )
    found = plane.batch.describe_compute_environments(computeEnvironments=["ce", "absent"])["computeEnvironments"]
    assert [one["status"] for one in found] == ["UPDATING"]
    assert found[0]["computeResources"]["maxvCpus"] == 64
    assert found[0]["computeResources"]["instanceTypes"] == ["m5"]


def test_the_minimum_can_be_raised_above_what_was_desired(plane: BatchPlane) -> None:
    plane.environment(resources=EC2)
    update = plane.batch.update_compute_environment
    update(computeEnvironment="ce", computeResources={"minvCpus": 4})
    plane.settle()
    found = plane.batch.describe_compute_environments(computeEnvironments=["ce"])["computeEnvironments"][0]
    assert (found["computeResources"]["minvCpus"], found["computeResources"]["desiredvCpus"]) == (4, 4)
    words = refusal(update, computeEnvironment="ce", computeResources={"minvCpus": 99})
    assert "minvCpus must be between 0 and maxvCpus" in words
    assert "cannot change from EC2" in refusal(update, computeEnvironment="ce", computeResources={"type": "FARGATE"})


def test_a_queue_goes_from_creating_to_valid_and_echoes_its_order(plane: BatchPlane) -> None:
    for name in ("one", "two"):
        plane.environment(name)
    order = [
        {"order": 5, "computeEnvironment": "two"},
        {"order": 1, "computeEnvironment": f"{ARN}:compute-environment/one"},
    ]
    made = plane.batch.create_job_queue(jobQueueName="q", priority=3, computeEnvironmentOrder=order, tags={"a": "b"})
    assert made == {**made, "jobQueueName": "q", "jobQueueArn": f"{ARN}:job-queue/q"}
    assert plane.batch.describe_job_queues(jobQueues=["q"])["jobQueues"][0]["status"] == "CREATING"
    plane.settle()
    queue = plane.batch.describe_job_queues(jobQueues=[f"{ARN}:job-queue/q"])["jobQueues"][0]
    assert (queue["status"], queue["state"], queue["priority"], queue["tags"]) == ("VALID", "ENABLED", 3, {"a": "b"})
    assert queue["computeEnvironmentOrder"] == [
        {"order": 1, "computeEnvironment": f"{ARN}:compute-environment/one"},
        {"order": 5, "computeEnvironment": f"{ARN}:compute-environment/two"},
    ]


def test_queues_that_make_no_sense(plane: BatchPlane) -> None:
    plane.environment("fargate", FARGATE)
    plane.environment("hosts")
    plane.batch.create_compute_environment(computeEnvironmentName="young", type="UNMANAGED")
    create = plane.batch.create_job_queue

    def said(*environments: str, orders: tuple[int, ...] = (1, 2, 3, 4), **members: Any) -> str:
        order = [{"order": o, "computeEnvironment": one} for o, one in zip(orders, environments, strict=False)]
        return refusal(create, **{"jobQueueName": "q", "priority": 1, "computeEnvironmentOrder": order, **members})

    assert "must name 1 to 3" in said()
    assert "absent does not exist" in said("absent")
    assert "must be VALID before a job queue can use it; it is CREATING" in said("young")
    assert "cannot be mixed" in said("fargate", "hosts")
    assert "names a compute environment twice" in said("hosts", "hosts")
    assert "an order of its own" in said("hosts", "fargate", orders=(1, 1))
    assert "priority must not be negative" in said("hosts", priority=-1)
    assert "has not built fair-share scheduling policies" in said(
        "hosts", schedulingPolicyArn=f"{ARN}:scheduling-policy/x"
    )
    assert "has not built job queues of type EKS" in said("hosts", jobQueueType="EKS")
    assert "does not go with" in said("hosts", jobQueueType="ECS_FARGATE")
    limit = {"reason": "boredom", "state": "RUNNABLE", "maxTimeSeconds": 600, "action": "CANCEL"}
    assert "The reason of a jobStateTimeLimitAction" in said("hosts", jobStateTimeLimitActions=[limit])


def test_a_queue_is_updated_and_deleted(ready: BatchPlane) -> None:
    batch = ready.batch
    assert "must be DISABLED" in refusal(batch.delete_job_queue, jobQueue="queue")
    batch.update_job_queue(jobQueue="queue", priority=7, state="DISABLED")
    assert "being modified" in refusal(batch.update_job_queue, jobQueue="queue", priority=8)
    ready.settle()
    assert batch.describe_job_queues()["jobQueues"][0]["priority"] == 7
    assert "takes no jobs: it is DISABLED" in refusal(
        batch.submit_job, jobName="j", jobQueue="queue", jobDefinition="work"
    )
    batch.delete_job_queue(jobQueue="queue")
    ready.settle()
    assert batch.describe_job_queues()["jobQueues"] == []
    assert "JobQueue queue not found" in refusal(batch.delete_job_queue, jobQueue="queue")


def test_tags_of_every_noun(ready: BatchPlane) -> None:
    job = ready.submit()
    for resource in ("compute-environment/ce", "job-queue/queue", "job-definition/work:1", f"job/{job}"):
        arn = f"{ARN}:{resource}"
        ready.batch.tag_resource(resourceArn=arn, tags={"a": "1", "b": "2"})
        ready.batch.tag_resource(resourceArn=arn, tags={"a": "3"})
        assert ready.batch.list_tags_for_resource(resourceArn=arn)["tags"] == {"a": "3", "b": "2"}
        ready.batch.untag_resource(resourceArn=arn, tagKeys=["a", "never"])
        assert ready.batch.list_tags_for_resource(resourceArn=arn)["tags"] == {"b": "2"}
    list_tags = ready.batch.list_tags_for_resource
    assert "is not the ARN" in refusal(list_tags, resourceArn="arn:aws:batch:us-east-1:999999999999:job-queue/queue")
    assert "JobQueue" in refusal(list_tags, resourceArn=f"{ARN}:job-queue/absent")


def test_what_is_not_built_is_not_bound() -> None:
    """Operations that Berth does not have answer by themselves that they are not built."""
    assert "SubmitJob" in service.operations
    assert {"CreateSchedulingPolicy", "SubmitServiceJob", "CreateConsumableResource"} <= set(service.absent())
