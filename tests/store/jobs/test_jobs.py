"""Jobs through their lives, on both stores: submitted by boto3, moved by the loops, with the agent's part played."""

from typing import Any

from state.store import Session
from state.tasks import Task
from tests.support.batch import FARGATE, FARGATE_CONTAINER, BatchPlane


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
