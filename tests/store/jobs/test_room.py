"""Which jobs get the room there is, on both stores: in what order, where, and who waits."""

from typing import Any

from scheduler.placement.packing import PATIENCE
from state.jobs import Job, count_bypassed
from tests.support.batch import EC2, FARGATE, FARGATE_CONTAINER, BatchPlane


def vcpus(count: int) -> dict[str, Any]:
    return {"resourceRequirements": [{"type": "VCPU", "value": str(count)}]}


LARGE = vcpus(4)


def bypassed(plane: BatchPlane, job: str) -> int:
    return plane.transact(lambda session: session.get_one(Job, job).bypassed)


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
