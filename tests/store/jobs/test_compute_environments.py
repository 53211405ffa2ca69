"""Compute environments on both stores: their life, and the hosts that a managed one gets and gives back."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from scheduler.capacity import capacity_arrived
from scheduler.loops.compute_environments import ComputeEnvironmentsLoop
from state.capacities import Capacity
from state.clusters import get_cluster
from state.compute_environments import get_compute_environment
from state.container_instances import ContainerInstance
from state.store import Session
from tests.support.batch import EC2, FARGATE, BatchPlane


@pytest.fixture
def managed(plane: BatchPlane) -> BatchPlane:
    """A managed environment of m5 hosts, up to 8 vCPU, with a queue and a definition of 1 vCPU and 512 MiB."""
    plane.environment(resources={**EC2, "maxvCpus": 8})
    plane.queue()
    plane.definition()
    return plane


def described(plane: BatchPlane, name: str = "ce") -> dict[str, Any]:
    found: list[dict[str, Any]] = plane.batch.describe_compute_environments(computeEnvironments=[name])[
        "computeEnvironments"
    ]
    return found[0]


def capacities(plane: BatchPlane, *statuses: str) -> Sequence[Capacity]:
    query = select(Capacity).order_by(Capacity.requested_at, Capacity.id)
    if statuses:
        query = query.where(Capacity.status.in_(statuses))
    return plane.store.read(lambda session: session.scalars(query).all())


def arrive(plane: BatchPlane) -> None:
    """Every requested host comes up and joins."""
    for capacity in capacities(plane, "REQUESTED"):
        host = plane.add_host(cpu=capacity.cpu, memory=capacity.memory, capacity_id=capacity.id)

        def register(session: Session, host: str = host) -> None:
            capacity_arrived(session, session.get_one(ContainerInstance, host), now=plane.loop_clock.now())

        plane.transact(register)
    plane.settle()


def depart(plane: BatchPlane) -> None:
    """Every host that was let go is gone."""

    def bury(session: Session) -> None:
        for capacity in session.scalars(select(Capacity).where(Capacity.status == "TERMINATING")):
            capacity.advance("TERMINATED", at=plane.loop_clock.now(), because="gone")
            capacity.terminated_at = plane.loop_clock.now()
            host = session.get(ContainerInstance, capacity.container_instance_id or "")
            if host is not None:
                host.advance("INACTIVE", at=plane.loop_clock.now(), because="gone")

    plane.transact(bury)
    plane.settle()


def test_an_environment_is_creating_until_the_loop_has_seen_it(plane: BatchPlane) -> None:
    plane.batch.create_compute_environment(
        computeEnvironmentName="ce", type="MANAGED", computeResources=FARGATE, tags={"team": "blue"}
    )
    assert described(plane)["status"] == "CREATING"
    plane.settle()
    valid = described(plane)
    assert (valid["status"], valid["statusReason"]) == ("VALID", "ComputeEnvironment Healthy")
    assert valid["computeResources"] == FARGATE
    assert valid["ecsClusterArn"].endswith(f"cluster/AWSBatch-ce-{valid['uuid']}")


def test_waiting_jobs_get_the_smallest_hosts_that_hold_them(managed: BatchPlane) -> None:
    jobs = [managed.submit() for _ in range(3)]
    managed.settle()
    assert [capacity.cpu for capacity in capacities(managed)] == [2048, 2048]
    assert described(managed)["computeResources"]["desiredvCpus"] == 4
    arrive(managed)
    assert [managed.status(job) for job in jobs] == ["STARTING"] * 3
    managed.settle()
    assert len(capacities(managed)) == 2


def test_hosts_never_exceed_max_vcpus(managed: BatchPlane) -> None:
    managed.submit(arrayProperties={"size": 50})
    managed.settle()
    assert sum(capacity.cpu for capacity in capacities(managed)) == 8 * 1024
    arrive(managed)
    assert sum(capacity.cpu for capacity in capacities(managed)) == 8 * 1024


def test_a_large_job_gets_a_large_host(managed: BatchPlane) -> None:
    wanted = [{"type": "VCPU", "value": "3"}, {"type": "MEMORY", "value": "20000"}]
    job = managed.submit(containerOverrides={"resourceRequirements": wanted})
    managed.settle()
    assert [(one.cpu, one.memory) for one in capacities(managed)] == [(8192, 32768)]
    arrive(managed)
    assert managed.status(job) == "STARTING"


def test_a_job_that_no_type_of_host_could_hold_says_so_and_asks_for_none(managed: BatchPlane) -> None:
    job = managed.submit(containerOverrides={"resourceRequirements": [{"type": "MEMORY", "value": "500000"}]})
    managed.settle()
    assert capacities(managed) == []
    assert managed.job(job)["statusReason"].startswith("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - ce: ")


def test_a_host_goes_when_it_has_idled_for_a_minute_and_not_before(managed: BatchPlane) -> None:
    job = managed.submit()
    managed.settle()
    arrive(managed)
    managed.loop_clock.tick(minutes=5)
    managed.settle()
    assert capacities(managed, "TERMINATING") == []
    managed.finish(job)
    managed.loop_clock.tick(seconds=59)
    managed.settle()
    assert capacities(managed, "TERMINATING") == []
    managed.loop_clock.tick(seconds=1)
    managed.settle()
    assert len(capacities(managed, "TERMINATING")) == 1
    depart(managed)
    assert described(managed)["computeResources"]["desiredvCpus"] == 0


def test_the_loop_says_when_the_next_host_may_go(managed: BatchPlane) -> None:
    job = managed.submit()
    managed.settle()
    arrive(managed)
    managed.finish(job)
    due = managed.loops["compute_environments"].step()
    stopped = managed.task_of(job).stopped_at
    assert stopped is not None
    assert due == stopped + timedelta(seconds=60)


def test_min_vcpus_are_kept_without_any_job(plane: BatchPlane) -> None:
    plane.environment(resources={**EC2, "minvCpus": 4})
    assert sum(capacity.cpu for capacity in capacities(plane)) == 4096
    arrive(plane)
    plane.loop_clock.tick(minutes=10)
    plane.settle()
    assert capacities(plane, "TERMINATING") == []


def test_a_host_that_got_a_task_in_the_meantime_is_kept(managed: BatchPlane) -> None:
    first = managed.submit()
    managed.settle()
    arrive(managed)
    managed.finish(first)
    managed.loop_clock.tick(seconds=61)
    loop = managed.make_loops("other")["compute_environments"]
    assert isinstance(loop, ComputeEnvironmentsLoop)
    now = managed.loop_clock.now()
    plan = loop.decide(managed.store.read(lambda session: loop.observe(session, now)), now)
    assert plan is not None
    assert plan[0].release
    second = managed.submit()
    managed.loops["jobs"].step()
    managed.loops["jobs"].step()
    assert managed.status(second) == "STARTING"
    managed.transact(lambda session: loop.record(session, plan, now))
    assert capacities(managed, "TERMINATING") == []
    assert managed.status(second) == "STARTING"


def test_a_host_that_could_not_be_had_is_asked_for_again_after_a_pause(managed: BatchPlane) -> None:
    managed.submit()
    managed.settle()

    def fail(session: Session) -> None:
        for capacity in session.scalars(select(Capacity)):
            capacity.reason = "no room on this machine"
            capacity.advance("TERMINATING", at=managed.loop_clock.now(), because="no room on this machine")

    managed.transact(fail)
    depart(managed)
    assert described(managed)["statusReason"] == "A host could not be launched: no room on this machine"
    assert capacities(managed, "REQUESTED") == []
    managed.loop_clock.tick(seconds=31)
    managed.settle()
    assert len(capacities(managed, "REQUESTED")) == 1
    assert described(managed)["statusReason"] == "ComputeEnvironment Healthy"


def test_an_environment_in_use_or_enabled_cannot_be_deleted(managed: BatchPlane) -> None:
    refused = managed.batch.exceptions.ClientException
    with pytest.raises(refused, match="must be DISABLED"):
        managed.batch.delete_compute_environment(computeEnvironment="ce")
    managed.batch.update_compute_environment(computeEnvironment="ce", state="DISABLED")
    with pytest.raises(refused, match="being modified"):
        managed.batch.delete_compute_environment(computeEnvironment="ce")
    managed.settle()
    with pytest.raises(refused, match="found existing JobQueue relationship: queue"):
        managed.batch.delete_compute_environment(computeEnvironment="ce")


def test_a_deleted_environment_goes_when_its_hosts_have(plane: BatchPlane) -> None:
    plane.environment(resources={**EC2, "minvCpus": 2})
    arrive(plane)
    cluster = described(plane)["ecsClusterArn"].rpartition("/")[2]
    plane.batch.update_compute_environment(computeEnvironment="ce", state="DISABLED")
    plane.settle()
    plane.batch.delete_compute_environment(computeEnvironment="ce")
    plane.batch.delete_compute_environment(computeEnvironment="ce")
    plane.settle()
    going = described(plane)
    assert (going["status"], going["statusReason"]) == (
        "DELETING",
        "Waiting for 1 hosts to terminate, 1 registered hosts",
    )
    depart(plane)
    assert plane.batch.describe_compute_environments(computeEnvironments=["ce"])["computeEnvironments"] == []
    row = plane.store.read(lambda session: get_cluster(session, cluster))
    assert row is not None
    assert row.status == "INACTIVE"
    plane.environment()
    assert described(plane)["type"] == "UNMANAGED"


def test_an_unmanaged_environment_waits_for_its_hosts_to_leave(plane: BatchPlane) -> None:
    plane.environment()
    host = plane.add_host()
    plane.batch.update_compute_environment(computeEnvironment="ce", state="DISABLED")
    plane.settle()
    plane.batch.delete_compute_environment(computeEnvironment="ce")
    plane.settle()
    assert described(plane)["statusReason"] == "Waiting for 1 registered hosts"

    def leave(session: Session) -> None:
        row = session.get_one(ContainerInstance, host)
        row.advance("INACTIVE", at=plane.loop_clock.now(), because="deregistered")

    plane.transact(leave)
    plane.settle()
    assert plane.batch.describe_compute_environments()["computeEnvironments"] == []


def test_an_environment_whose_cluster_was_deleted_is_invalid_until_it_is_back(managed: BatchPlane) -> None:
    cluster = described(managed)["ecsClusterArn"].rpartition("/")[2]
    ecs = managed.client("ecs")
    ecs.delete_cluster(cluster=cluster)
    managed.settle()
    invalid = described(managed)
    assert invalid["status"] == "INVALID"
    assert "ECS cluster of the compute environment was deleted" in invalid["statusReason"]
    job = managed.submit()
    managed.settle()
    assert "no compute environment that is ENABLED and VALID" in managed.job(job)["statusReason"]
    ecs.create_cluster(clusterName=cluster)
    managed.settle()
    assert described(managed)["status"] == "VALID"


def test_a_deletion_that_comes_between_look_and_record_gets_no_new_hosts(managed: BatchPlane) -> None:
    managed.submit()
    for _ in range(3):
        managed.loops["jobs"].step()
    loop = managed.make_loops("other")["compute_environments"]
    now = managed.loop_clock.now()
    plan = loop.decide(managed.store.read(lambda session: loop.observe(session, now)), now)
    assert plan is not None
    assert plan[0].launch

    def delete(session: Session) -> None:
        environment = get_compute_environment(session, "ce")
        assert environment is not None
        environment.advance("DELETING", at=now, because="DeleteComputeEnvironment")

    managed.transact(delete)
    managed.transact(lambda session: loop.record(session, plan, now))
    assert capacities(managed) == []


def test_steps_without_anything_to_do_write_nothing(managed: BatchPlane) -> None:
    managed.settle()
    now = managed.loop_clock.now()
    for loop in managed.loops.values():
        seen = managed.store.read(lambda session: loop.observe(session, now))  # noqa: B023
        assert loop.decide(seen, now) is None
