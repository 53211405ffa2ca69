"""Jobs through their lives, on both stores: submitted by boto3, moved by the loops, with the agent's part played."""

from collections.abc import Iterator
from typing import Any

import pytest

from scheduler.placement.packing import PATIENCE
from state.jobs import Job, count_bypassed
from state.store import Session
from state.tasks import Task
from tests.support.batch import EC2, FARGATE, FARGATE_CONTAINER, BatchPlane


def vcpus(count: int) -> dict[str, Any]:
    return {"resourceRequirements": [{"type": "VCPU", "value": str(count)}]}


LARGE = vcpus(4)


def bypassed(plane: BatchPlane, job: str) -> int:
    return plane.transact(lambda session: session.get_one(Job, job).bypassed)


@pytest.fixture
def plane(store_url: str) -> Iterator[BatchPlane]:
    plane = BatchPlane(store_url)
    yield plane
    plane.close()


@pytest.fixture
def hosted(plane: BatchPlane) -> BatchPlane:
    """An UNMANAGED environment with one host of 4 vCPU, a queue, and a definition of 1 vCPU."""
    plane.environment()
    plane.add_host()
    plane.queue()
    plane.definition()
    return plane


def test_a_job_goes_from_submitted_to_succeeded(hosted: BatchPlane) -> None:
    job = hosted.submit()
    assert hosted.status(job) == "SUBMITTED"
    hosted.settle()
    assert hosted.status(job) == "STARTING"
    hosted.run(job)
    hosted.settle()
    running = hosted.job(job)
    assert running["status"] == "RUNNING"
    assert running["startedAt"] > 1_600_000_000_000
    hosted.end(job)
    hosted.settle()
    done = hosted.job(job)
    assert done["status"] == "SUCCEEDED"
    assert done["statusReason"] == "Essential container in task exited"
    assert done["stoppedAt"] >= done["startedAt"]
    task = hosted.task_of(job)
    assert done["container"]["exitCode"] == 0
    assert done["container"]["logStreamName"] == f"work/default/{task.id}"
    assert done["container"]["taskArn"].endswith(task.id)
    assert task.container_instance_id is not None
    assert done["container"]["containerInstanceArn"].endswith(task.container_instance_id)
    assert [attempt["container"]["exitCode"] for attempt in done["attempts"]] == [0]


def test_a_job_that_exits_with_another_code_fails(hosted: BatchPlane) -> None:
    job = hosted.submit()
    hosted.settle()
    hosted.finish(job, exit_code=3)
    failed = hosted.job(job)
    assert failed["status"] == "FAILED"
    assert failed["container"]["exitCode"] == 3


def test_the_task_carries_the_jobs_command_parameters_and_environment(plane: BatchPlane) -> None:
    plane.environment()
    plane.add_host()
    plane.queue()
    container = {
        "image": "busybox",
        "vcpus": 1,
        "memory": 64,
        "command": ["cp", "Ref::from", "--to=Ref::to"],
        "environment": [{"name": "LEVEL", "value": "info"}, {"name": "KEEP", "value": "1"}],
    }
    plane.definition(container=container, parameters={"from": "/a", "to": "/b"})
    job = plane.submit(
        parameters={"to": "/c"}, containerOverrides={"environment": [{"name": "LEVEL", "value": "debug"}]}
    )
    plane.settle()
    task = plane.task_of(job)
    override = task.overrides["containerOverrides"][0]
    assert override["name"] == "default"
    assert override["command"] == ["cp", "/a", "--to=/c"]
    assert override["environment"] == [{"name": "LEVEL", "value": "debug"}, {"name": "KEEP", "value": "1"}]
    assert task.extra_environment == {
        "AWS_BATCH_JOB_ID": job,
        "AWS_BATCH_JQ_NAME": "queue",
        "AWS_BATCH_CE_NAME": "ce",
        "AWS_BATCH_JOB_ATTEMPT": "1",
        "AWS_EXECUTION_ENV": "AWS_ECS_EC2",
    }
    assert (task.cpu, task.memory) == (1024, 64)


def test_jobs_of_one_shape_share_a_task_definition(hosted: BatchPlane) -> None:
    jobs = [hosted.submit(containerOverrides={"command": ["echo", str(i)]}) for i in range(2)]
    larger = hosted.submit(containerOverrides={"resourceRequirements": [{"type": "MEMORY", "value": "600"}]})
    hosted.settle()
    families = [hosted.task_of(job).family for job in (*jobs, larger)]
    assert families[0] == families[1]
    assert families[2] != families[0]
    assert all(family.startswith("work-1-") for family in families)


def test_a_failed_attempt_is_tried_again(hosted: BatchPlane) -> None:
    job = hosted.submit(retryStrategy={"attempts": 2})
    hosted.settle()
    first = hosted.task_of(job).id
    hosted.finish(job, exit_code=1)
    again = hosted.job(job)
    assert again["status"] == "STARTING"
    assert hosted.task_of(job).id != first
    assert hosted.task_of(job).extra_environment["AWS_BATCH_JOB_ATTEMPT"] == "2"
    hosted.finish(job, exit_code=1)
    failed = hosted.job(job)
    assert failed["status"] == "FAILED"
    assert len(failed["attempts"]) == 2
    assert failed["attempts"][0]["container"]["taskArn"].endswith(first)


def test_evaluate_on_exit_ends_retries_early(hosted: BatchPlane) -> None:
    job = hosted.submit(retryStrategy={"attempts": 5, "evaluateOnExit": [{"onExitCode": "4*", "action": "EXIT"}]})
    hosted.settle()
    hosted.finish(job, exit_code=42)
    assert hosted.status(job) == "FAILED"
    assert len(hosted.job(job)["attempts"]) == 1


def test_an_attempt_that_runs_too_long_is_stopped_and_not_retried(hosted: BatchPlane) -> None:
    job = hosted.submit(timeout={"attemptDurationSeconds": 60}, retryStrategy={"attempts": 3})
    hosted.settle()
    hosted.run(job)
    hosted.settle()
    hosted.loop_clock.tick(seconds=59)
    hosted.settle()
    assert hosted.task_of(job).desired_status == "RUNNING"
    hosted.loop_clock.tick(seconds=1)
    hosted.settle()
    assert hosted.task_of(job).desired_status == "STOPPED"
    assert hosted.status(job) == "RUNNING"
    hosted.end(job, exit_code=137)
    hosted.settle()
    failed = hosted.job(job)
    assert failed["status"] == "FAILED"
    assert failed["statusReason"] == "Job attempt duration exceeded timeout"
    assert failed["attempts"][0]["statusReason"] == "Job attempt duration exceeded timeout"


def test_terminate_stops_a_running_job_even_if_it_exits_with_zero(hosted: BatchPlane) -> None:
    job = hosted.submit(retryStrategy={"attempts": 3})
    hosted.settle()
    hosted.run(job)
    hosted.settle()
    hosted.batch.terminate_job(jobId=job, reason="no longer needed")
    hosted.settle()
    assert hosted.task_of(job).desired_status == "STOPPED"
    hosted.end(job, exit_code=0)
    hosted.settle()
    ended = hosted.job(job)
    assert (ended["status"], ended["statusReason"], ended["isTerminated"]) == ("FAILED", "no longer needed", True)
    hosted.batch.terminate_job(jobId=job, reason="again")
    hosted.settle()
    assert hosted.job(job)["statusReason"] == "no longer needed"


def test_cancel_ends_a_job_that_has_not_started_and_leaves_one_that_has(hosted: BatchPlane) -> None:
    started = hosted.submit()
    hosted.settle()
    waiting = hosted.submit(dependsOn=[{"jobId": started}])
    hosted.settle()
    assert hosted.status(waiting) == "PENDING"
    for job in (started, waiting):
        hosted.batch.cancel_job(jobId=job, reason="changed my mind")
    hosted.settle()
    cancelled = hosted.job(waiting)
    assert (cancelled["status"], cancelled["statusReason"]) == ("FAILED", "changed my mind")
    assert cancelled["isCancelled"] is True
    assert hosted.status(started) == "STARTING"
    assert hosted.job(started)["isCancelled"] is False


def test_a_job_waits_for_what_it_depends_on(hosted: BatchPlane) -> None:
    first = hosted.submit()
    second = hosted.submit(dependsOn=[{"jobId": first}])
    hosted.settle()
    assert hosted.status(second) == "PENDING"
    assert hosted.job(second)["statusReason"] == "Waiting for the jobs it depends on"
    hosted.finish(first)
    assert hosted.status(second) == "STARTING"


def test_a_failed_dependency_fails_the_whole_chain(hosted: BatchPlane) -> None:
    first = hosted.submit()
    second = hosted.submit(dependsOn=[{"jobId": first}])
    third = hosted.submit(dependsOn=[{"jobId": second}])
    hosted.settle()
    hosted.finish(first, exit_code=1)
    for job in (second, third):
        assert hosted.job(job)["status"] == "FAILED"
        assert hosted.job(job)["statusReason"] == "Dependent Job failed"


def test_a_job_that_fits_nowhere_says_so_and_holds_nobody_up(hosted: BatchPlane) -> None:
    large = hosted.submit(containerOverrides={"resourceRequirements": [{"type": "VCPU", "value": "64"}]})
    small = hosted.submit()
    hosted.settle()
    assert hosted.status(small) == "STARTING"
    held = hosted.job(large)
    assert held["status"] == "RUNNABLE"
    assert held["statusReason"].startswith(
        "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - ce: cpu: 65536 CPU units asked, 3072 free on"
    )


def test_jobs_wait_runnable_for_room_in_the_order_they_came(hosted: BatchPlane) -> None:
    jobs = [hosted.submit() for _ in range(6)]
    hosted.settle()
    assert [hosted.status(job) for job in jobs] == ["STARTING"] * 4 + ["RUNNABLE"] * 2
    assert hosted.job(jobs[4])["statusReason"].startswith("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - ")
    hosted.finish(jobs[0])
    assert [hosted.status(job) for job in jobs[4:]] == ["STARTING", "RUNNABLE"]


def test_a_small_job_uses_room_that_a_large_one_before_it_cannot(hosted: BatchPlane) -> None:
    running = [hosted.submit() for _ in range(3)]
    hosted.settle()
    large = hosted.submit(containerOverrides=LARGE)
    small, second = hosted.submit(), hosted.submit()
    hosted.settle()
    assert [hosted.status(job) for job in (large, small, second)] == ["RUNNABLE", "STARTING", "RUNNABLE"]
    assert bypassed(hosted, large) == 1
    assert hosted.job(large)["statusReason"].startswith("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - ce: cpu: 4096")
    assert hosted.job(second)["statusReason"].endswith(
        f"behind job {large}, which waits for room in ce for 4096 CPU units, 512 MiB"
    )
    for job in [*running, small]:
        hosted.finish(job)
    assert bypassed(hosted, large) == 2


def test_a_job_that_was_overtaken_often_enough_holds_the_room_until_it_runs(hosted: BatchPlane) -> None:
    running = [hosted.submit() for _ in range(3)]
    hosted.settle()
    large = hosted.submit(containerOverrides=LARGE)
    hosted.settle()
    # What the store remembers is all that counts: another process, or one that was killed since, does the same.
    hosted.transact(lambda session: count_bypassed(session, {large: PATIENCE}))
    small = hosted.submit()
    hosted.settle()
    assert [hosted.status(large), hosted.status(small)] == ["RUNNABLE", "RUNNABLE"]
    assert hosted.job(small)["statusReason"].endswith(
        f"behind job {large}, which waits for room in ce for 4096 CPU units, 512 MiB"
    )
    for job in running:
        hosted.finish(job)
    assert [hosted.status(large), hosted.status(small)] == ["STARTING", "RUNNABLE"]
    assert bypassed(hosted, large) == 0


def test_jobs_are_chosen_by_how_well_they_fill_the_hosts(plane: BatchPlane) -> None:
    plane.environment()
    for _ in range(2):
        plane.add_host()
    plane.queue()
    plane.definition()
    # In the order of the queue, the two of 2 vCPU would be split between the hosts by the ones of 1 and 3.
    jobs = [plane.submit(containerOverrides=vcpus(count)) for count in (1, 2, 3, 2)]
    plane.settle()
    assert [plane.status(job) for job in jobs] == ["STARTING"] * 4
    hosts = [plane.task_of(job).container_instance_id for job in jobs]
    assert hosts[0] == hosts[2] != hosts[1] == hosts[3]


def test_a_full_environment_leaves_jobs_to_the_next_of_the_queue(plane: BatchPlane) -> None:
    for name in ("first", "second"):
        plane.environment(name)
        plane.add_host(name, cpu=1024)
    plane.queue(environments=["first", "second"])
    plane.definition()
    jobs = [plane.submit() for _ in range(3)]
    plane.settle()
    assert [plane.status(job) for job in jobs] == ["STARTING", "STARTING", "RUNNABLE"]
    names = [plane.task_of(job).extra_environment["AWS_BATCH_CE_NAME"] for job in jobs[:2]]
    assert names == ["first", "second"]


def test_fargate_jobs_stay_within_max_vcpus(plane: BatchPlane) -> None:
    plane.environment(resources={**FARGATE, "maxvCpus": 1})
    plane.queue()
    plane.definition(container=FARGATE_CONTAINER, platformCapabilities=["FARGATE"])
    jobs = [plane.submit() for _ in range(5)]
    plane.settle()
    assert [plane.status(job) for job in jobs] == ["STARTING"] * 4 + ["RUNNABLE"]
    task = plane.task_of(jobs[0])
    assert (task.launch_type, task.last_status, task.cpu, task.memory) == ("FARGATE", "PROVISIONING", 256, 512)
    assert task.network_configuration == {
        "awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"], "assignPublicIp": "DISABLED"}
    }
    assert task.extra_environment["AWS_EXECUTION_ENV"] == "AWS_ECS_FARGATE"


def test_a_job_on_fargate_shows_its_own_address(plane: BatchPlane) -> None:
    plane.environment(resources=FARGATE)
    plane.queue()
    plane.definition(container=FARGATE_CONTAINER, platformCapabilities=["FARGATE"])
    job = plane.submit()
    plane.settle()
    attachment = {
        "id": "a-1",
        "type": "ElasticNetworkInterface",
        "status": "ATTACHED",
        "details": [{"name": "privateIPv4Address", "value": "10.0.0.7"}],
    }

    def attach(session: Session) -> None:
        session.get_one(Task, plane.task_of(job).id).attachments = [attachment]

    plane.transact(attach)
    expected = [{"attachmentId": "a-1", "privateIpv4Address": "10.0.0.7"}]
    assert plane.job(job)["container"]["networkInterfaces"] == expected


def test_a_higher_priority_queue_goes_first(plane: BatchPlane) -> None:
    plane.environment()
    plane.queue("low", priority=1)
    plane.queue("high", priority=10)
    plane.definition()
    low = plane.submit(jobQueue="low")
    high = plane.submit(jobQueue="high")
    plane.settle()
    plane.add_host(cpu=1024)
    plane.settle()
    assert [plane.status(high), plane.status(low)] == ["STARTING", "RUNNABLE"]


def test_a_disabled_environment_starts_nothing(hosted: BatchPlane) -> None:
    hosted.batch.update_compute_environment(computeEnvironment="ce", state="DISABLED")
    hosted.settle()
    job = hosted.submit()
    hosted.settle()
    held = hosted.job(job)
    assert held["status"] == "RUNNABLE"
    assert "no compute environment that is ENABLED and VALID" in held["statusReason"]


def test_an_image_that_cannot_be_pulled_fails_the_job_with_the_reason(hosted: BatchPlane) -> None:
    job = hosted.submit()
    hosted.settle()
    text = "CannotPullContainerError: no such image"
    hosted.end(job, exit_code=None, reason=text, stopped="Task failed to start")
    hosted.settle()
    failed = hosted.job(job)
    assert failed["status"] == "FAILED"
    assert failed["statusReason"] == "Task failed to start"
    assert failed["container"]["reason"] == text
    assert "exitCode" not in failed["container"]


def test_deleting_a_queue_terminates_its_jobs(hosted: BatchPlane) -> None:
    running, waiting = hosted.submit(), hosted.submit()
    hosted.settle()
    hosted.run(running)
    hosted.settle()
    hosted.batch.update_job_queue(jobQueue="queue", state="DISABLED")
    hosted.settle()
    hosted.batch.delete_job_queue(jobQueue="queue")
    hosted.settle()
    described: list[dict[str, Any]] = hosted.batch.describe_job_queues(jobQueues=["queue"])["jobQueues"]
    assert described[0]["status"] == "DELETING"
    for job in (running, waiting):
        hosted.end(job, exit_code=137)
    hosted.settle()
    assert hosted.batch.describe_job_queues(jobQueues=["queue"])["jobQueues"] == []
    assert hosted.job(running)["statusReason"] == "Job queue was deleted"


def test_a_queue_cancels_jobs_that_wait_too_long_for_room(plane: BatchPlane) -> None:
    plane.environment()
    reason = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"
    action = {"reason": reason, "state": "RUNNABLE", "maxTimeSeconds": 600, "action": "CANCEL"}
    plane.queue(jobStateTimeLimitActions=[action])
    plane.definition()
    job = plane.submit()
    plane.settle()
    assert plane.job(job)["statusReason"].startswith(reason)
    plane.loop_clock.tick(seconds=600)
    plane.settle()
    assert plane.status(job) == "FAILED"
    assert reason in plane.job(job)["statusReason"]


def test_a_managed_environment_waits_for_its_hosts(plane: BatchPlane) -> None:
    plane.environment(resources=EC2)
    plane.queue()
    plane.definition()
    job = plane.submit()
    plane.settle()
    assert plane.status(job) == "RUNNABLE"
    assert plane.job(job)["statusReason"].startswith("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - ce: no container")
    plane.add_host(cpu=2048, memory=8192)
    plane.settle()
    assert plane.status(job) == "STARTING"
