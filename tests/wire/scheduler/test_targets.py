"""What schedules start, seen through boto3: the tasks and jobs of their targets, and what stays when they fail."""

import json
from typing import Any

import pytest

from orchestrator.api.scheduler.invoke import make_invoke
from scheduler.loops.schedules import SchedulesLoop
from state.loop import Leases
from tests.support.batch import FARGATE as BATCH_FARGATE
from tests.support.batch import FARGATE_CONTAINER, BatchPlane
from tests.support.schedules import (
    CLUSTER,
    ECS,
    FARGATE,
    OFF,
    QUEUE,
    ROLE,
    RUN_TASK,
    SUBMIT_JOB,
    Berth,
    at,
    create,
    prepare_task,
)


def test_a_schedule_runs_an_ecs_task(berth: Berth, client: Any) -> None:
    ecs = prepare_task(berth)
    overrides = {"containerOverrides": [{"name": "main", "command": ["echo", "<aws.scheduler.execution-id>"]}]}
    create(
        client,
        "hello",
        ScheduleExpression=at(berth, seconds=5),
        Target={**ECS, "EcsParameters": {**FARGATE, "TaskCount": 2}, "Input": json.dumps(overrides)},
        ActionAfterCompletion="DELETE",
    )
    berth.loop.step()
    assert ecs.list_tasks()["taskArns"] == []
    berth.clock.tick(seconds=6)
    berth.loop.step()
    berth.loop.step()
    arns = ecs.list_tasks(startedBy="chronos-schedule/hello")["taskArns"]
    assert len(arns) == 2
    (firing,) = berth.firings()
    assert firing.status == "SUCCEEDED"
    for task in ecs.describe_tasks(tasks=arns, include=["TAGS"])["tasks"]:
        assert task["launchType"] == "FARGATE"
        assert task["overrides"]["containerOverrides"][0]["command"] == ["echo", firing.id]
        assert {"key": "from", "value": "schedule"} in task["tags"]
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_schedule(Name="hello")


def test_a_universal_target_runs_an_ecs_task_in_either_spelling(berth: Berth, client: Any) -> None:
    ecs = prepare_task(berth)
    network = {"AwsvpcConfiguration": {"Subnets": ["subnet-1"]}}
    pascal = {"Cluster": "default", "TaskDefinition": "hello", "LaunchType": "FARGATE", "NetworkConfiguration": network}
    camel = {
        "cluster": "default",
        "taskDefinition": "hello",
        "launchType": "FARGATE",
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
    }
    for name, request in (("p", pascal), ("c", camel)):
        create(client, name, Target={"Arn": RUN_TASK, "RoleArn": ROLE, "Input": json.dumps(request)})
    berth.loop.step()
    assert [firing.status for firing in berth.firings()] == ["SUCCEEDED"] * 2
    assert len(ecs.list_tasks()["taskArns"]) == 2


def test_a_task_that_finds_no_room_is_tried_again_and_leaves_nothing_meanwhile(berth: Berth, client: Any) -> None:
    ecs = berth.client("ecs")
    ecs.create_cluster(clusterName="default")
    ecs.register_task_definition(
        family="hello", containerDefinitions=[{"name": "main", "image": "hello", "memory": 64, "essential": True}]
    )
    create(client)
    due = berth.loop.step()
    (firing,) = berth.firings()
    assert (firing.status, firing.attempts, firing.error_code) == ("PENDING", 1, "TargetUnavailable")
    assert due == firing.attempt_at > berth.clock.now()
    assert ecs.list_tasks()["taskArns"] == []


def test_a_target_that_is_not_there_fails_once_and_leaves_a_dead_letter(berth: Berth, client: Any) -> None:
    create(client, Target={**ECS, "DeadLetterConfig": {"Arn": QUEUE}})
    berth.loop.step()
    (firing,) = berth.firings()
    assert (firing.status, firing.error_code) == ("FAILED", "ClusterNotFoundException")
    (letter,) = berth.letters()
    assert letter.queue_arn == QUEUE
    assert letter.attributes["TARGET_ARN"] == CLUSTER


def test_a_job_queue_that_is_not_there_fails_the_firing(berth: Berth, client: Any) -> None:
    job = json.dumps({"JobName": "j", "JobQueue": "absent", "JobDefinition": "d"})
    create(client, Target={"Arn": SUBMIT_JOB, "RoleArn": ROLE, "Input": job})
    berth.loop.step()
    (firing,) = berth.firings()
    assert (firing.status, firing.error_code) == ("FAILED", "ClientException")


def test_a_schedule_submits_a_batch_job_array_and_all(sqlite_url: str) -> None:
    plane = BatchPlane(sqlite_url)
    plane.environment("ce", BATCH_FARGATE)
    plane.queue()
    definition = plane.definition(container=FARGATE_CONTAINER, platformCapabilities=["FARGATE"])
    job = {
        "JobName": "nightly",
        "JobQueue": "queue",
        "JobDefinition": definition,
        "ArrayProperties": {"Size": 3},
        "Parameters": {"Day": "<aws.scheduler.scheduled-time>"},
    }
    client = plane.client("scheduler")
    create(client, Target={"Arn": SUBMIT_JOB, "RoleArn": ROLE, "Input": json.dumps(job)})
    plane.loop_clock.tick(minutes=1)
    loop = SchedulesLoop(
        plane.store,
        plane.loop_clock,
        Leases(plane.store, plane.loop_clock, "test"),
        invoke=make_invoke(plane.settings, plane.secrets, plane.loop_clock),
    )
    loop.step()
    loop.step()
    plane.settle()
    jobs = [
        found["jobId"]
        for status in ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING")
        for found in plane.batch.list_jobs(jobQueue="queue", jobStatus=status)["jobSummaryList"]
    ]
    (described,) = plane.batch.describe_jobs(jobs=jobs)["jobs"]
    assert (described["jobName"], described["arrayProperties"]["size"]) == ("nightly", 3)
    # A map's keys are the client's own: they are not respelled.
    assert described["parameters"]["Day"].endswith("Z")
    plane.close()


def test_an_update_keeps_the_progress_while_the_timing_stays(berth: Berth, client: Any) -> None:
    create(client, ScheduleExpression="rate(1 hour)")
    berth.loop.step()
    assert len(berth.firings()) == 1

    def update(**given: Any) -> None:
        asked = {"ScheduleExpression": "rate(1 hour)", "FlexibleTimeWindow": OFF, "Target": ECS, **given}
        client.update_schedule(Name="s", **asked)

    berth.clock.tick(minutes=1)
    update(Description="another text")
    berth.loop.step()
    assert len(berth.firings()) == 1
    assert client.get_schedule(Name="s")["Description"] == "another text"
    update()
    assert "Description" not in client.get_schedule(Name="s")
    update(State="DISABLED")
    berth.clock.tick(minutes=2)
    update()
    berth.loop.step()
    assert len(berth.firings()) == 1
    update(ScheduleExpression="rate(2 hours)")
    berth.loop.step()
    assert len(berth.firings()) == 2


def test_a_one_time_schedule_that_fired_is_not_fired_again_by_an_update(berth: Berth, client: Any) -> None:
    expression = at(berth, seconds=1)
    create(client, ScheduleExpression=expression)
    berth.clock.tick(seconds=2)
    berth.loop.step()
    for state in ("DISABLED", "ENABLED"):
        client.update_schedule(Name="s", ScheduleExpression=expression, FlexibleTimeWindow=OFF, Target=ECS, State=state)
        berth.loop.step()
    assert len(berth.firings()) == 1


def test_a_one_time_schedule_that_arrives_a_moment_late_fires_at_once(berth: Berth, client: Any) -> None:
    create(client, ScheduleExpression=at(berth, seconds=-2))
    berth.loop.step()
    assert len(berth.firings()) == 1


def test_a_deleted_and_recreated_schedule_starts_anew(berth: Berth, client: Any) -> None:
    create(client)
    berth.loop.step()
    client.delete_schedule(Name="s")
    create(client)
    berth.loop.step()
    assert len({firing.schedule_id for firing in berth.firings()}) == 2
