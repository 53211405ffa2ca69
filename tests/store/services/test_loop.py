"""The services loop on both stores: boto3 asks, the loop carries out, and the agents' part is played."""

import re
from collections import Counter
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import delete

from state.services import get_service, tell
from state.store import Session, StoreUnavailable
from state.task_definitions import forget_task_definitions
from state.tasks import Task
from tests.support.services import CHECKED, ServicesPlane


def test_a_new_service_gets_its_tasks_and_comes_to_rest(plane: ServicesPlane) -> None:
    plane.add_host()
    made = plane.create(2)
    plane.step()
    tasks = plane.tasks()
    assert [task.last_status for task in tasks] == ["PENDING", "PENDING"]
    assert {task.group for task in tasks} == {"service:web"}
    assert {task.started_by for task in tasks} == {made["deployments"][0]["id"]}
    found = plane.service()
    assert (found["pendingCount"], found["runningCount"]) == (2, 0)
    assert re.sub(r"\(task \w+\)", "(task)", plane.messages()[0]) == "(service web) has started 2 tasks: (task) (task)."
    plane.run()
    plane.ecs.get_waiter("services_stable").wait(services=["web"], WaiterConfig={"MaxAttempts": 1})
    plane.tick(seconds=41)
    plane.step()
    found = plane.service()
    [deployment] = found["deployments"]
    assert (found["runningCount"], deployment["runningCount"]) == (2, 2)
    assert deployment["rolloutState"] == "COMPLETED"
    assert deployment["rolloutStateReason"] == f"ECS deployment {deployment['id']} completed."
    assert plane.messages()[-1] == "(service web) has reached a steady state."
    before = plane.messages()
    plane.step(3)
    assert plane.messages() == before
    assert len(plane.tasks(alive=False)) == 2


def test_a_step_at_rest_writes_nothing(plane: ServicesPlane) -> None:
    plane.add_host()
    plane.create(1)
    plane.come_to_rest()
    before = plane.store.read(lambda session: _version(session))
    assert plane.step(5) is None
    assert plane.store.read(lambda session: _version(session)) == before


def _version(session: Session) -> int:
    service = get_service(session, "default", "web")
    assert service is not None
    return service.version


def test_a_lost_task_is_replaced(plane: ServicesPlane) -> None:
    plane.add_host()
    plane.create(2)
    plane.come_to_rest()
    victim, _ = plane.tasks()
    plane.crash([victim])
    plane.step()
    assert len(plane.tasks()) == 2
    assert victim.id not in {task.id for task in plane.tasks()}
    plane.come_to_rest()
    assert plane.service()["deployments"][0]["failedTasks"] == 0


def test_scaling_in_both_directions(plane: ServicesPlane) -> None:
    plane.add_host()
    plane.create(1)
    plane.come_to_rest()
    plane.update(desiredCount=4)
    plane.step()
    assert len(plane.tasks()) == 4
    plane.come_to_rest()
    plane.update(desiredCount=1)
    plane.step()
    leaving = [task for task in plane.tasks() if task.desired_status == "STOPPED"]
    assert len(leaving) == 3
    assert {task.stop_code for task in leaving} == {"ServiceSchedulerInitiated"}
    deployment = plane.service()["deployments"][0]["id"]
    assert {task.stopped_reason for task in leaving} == {f"Scaling activity initiated by (deployment {deployment})"}
    plane.come_to_rest()
    assert plane.service()["runningCount"] == 1


def test_a_refusal_that_was_rolled_back_is_not_remembered(
    plane: ServicesPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane.add_host(memory=32)
    plane.create(1)

    def write_and_fail(session: Session, outcome: object, now: datetime) -> None:
        record(session, outcome, now)
        raise StoreUnavailable

    record: Any = plane.loop.record
    with monkeypatch.context() as broken:
        broken.setattr(plane.loop, "record", write_and_fail)
        with pytest.raises(StoreUnavailable):
            plane.step()
    assert not any("unable to place" in message for message in plane.messages())

    def touch(session: Session) -> None:
        service = get_service(session, "default", "web")
        assert service is not None
        service.touch()

    # The service comes to the version that it would have had.
    for _ in range(2):
        plane.store.transact(touch)
    plane.step()
    assert "unable to place" in plane.messages()[-1]


def test_a_full_cluster_is_told_once_and_healed_by_a_host(plane: ServicesPlane) -> None:
    host = plane.add_host(memory=100)
    plane.create(2)
    plane.step()
    assert len(plane.tasks()) == 1
    unable = (
        "(service web) was unable to place a task because no container instance met all of its requirements. "
        f"The closest matching (container-instance {host}) has insufficient memory available. "
        f"Why: memory: 64 MiB asked, 36 free on {host} (1 host). For more information, "
        "see the Troubleshooting section of the Amazon ECS Developer Guide."
    )
    assert plane.messages()[-1] == unable
    plane.step(3)
    assert plane.messages().count(unable) == 1
    plane.add_host()
    plane.step()
    assert len(plane.tasks()) == 2


def test_without_hosts_the_reason_says_so(plane: ServicesPlane) -> None:
    plane.create(1)
    plane.step(2)
    assert len(plane.messages()) == 1
    assert "No Container Instances were found in your cluster." in plane.messages()[0]


def test_draining_a_host_moves_its_tasks_before_they_stop(plane: ServicesPlane) -> None:
    first = plane.add_host()
    plane.create(2)
    plane.come_to_rest()
    second = plane.add_host()
    plane.ecs.update_container_instances_state(containerInstances=[first], status="DRAINING")
    plane.step()
    hosts = sorted(task.container_instance_id or "" for task in plane.tasks())
    assert hosts == sorted([first, first, second, second])
    assert all(task.desired_status == "RUNNING" for task in plane.tasks())
    plane.come_to_rest()
    assert {task.container_instance_id for task in plane.tasks()} == {second}
    assert len(plane.tasks()) == 2


def test_tasks_that_fail_their_health_check_are_replaced(plane: ServicesPlane) -> None:
    plane.add_host()
    plane.register(CHECKED)
    plane.create(1, healthCheckGracePeriodSeconds=30)
    plane.come_to_rest(health="HEALTHY")
    [task] = plane.tasks()
    plane.check([task], "UNHEALTHY")
    plane.step()
    assert len(plane.tasks()) == 2
    plane.come_to_rest(health="HEALTHY")
    [successor] = plane.tasks()
    assert successor.id != task.id
    assert f"(service web) (task {task.id}) failed container health checks." in plane.messages()


def test_a_deleted_service_drains_and_is_inactive(plane: ServicesPlane) -> None:
    plane.add_host()
    plane.create(2)
    plane.come_to_rest()
    plane.ecs.delete_service(service="web", force=True)
    plane.step()
    assert all(task.desired_status == "STOPPED" for task in plane.tasks())
    assert plane.service()["status"] == "DRAINING"
    plane.run()
    plane.step()
    plane.ecs.get_waiter("services_inactive").wait(services=["web"], WaiterConfig={"MaxAttempts": 1})
    assert plane.service()["deployments"] == []
    plane.create(1)
    plane.step()
    assert len(plane.tasks()) == 1
    assert len(plane.messages()) == 1


def test_a_daemon_runs_once_on_every_host(plane: ServicesPlane) -> None:
    hosts = {plane.add_host(), plane.add_host()}
    plane.add_host(attributes=[])
    plane.create(None, schedulingStrategy="DAEMON")
    plane.come_to_rest()
    assert {task.container_instance_id for task in plane.tasks()} == hosts
    assert len(plane.tasks()) == 2
    found = plane.service()
    assert (found["desiredCount"], found["runningCount"]) == (2, 2)
    third = plane.add_host()
    plane.come_to_rest()
    assert {task.container_instance_id for task in plane.tasks()} == {*hosts, third}
    plane.ecs.delete_service(service="web")
    plane.come_to_rest()
    assert plane.tasks() == []


def test_daemons_take_their_room_before_replicas(plane: ServicesPlane) -> None:
    plane.create(9, serviceName="aaa")
    plane.create(None, serviceName="zzz", schedulingStrategy="DAEMON")
    for _ in range(2):
        host = plane.add_host(memory=128)
        plane.step()
        there = [task.service_name for task in plane.tasks() if task.container_instance_id == host]
        assert sorted(str(name) for name in there) == ["aaa", "zzz"]


def test_tags_reach_the_tasks_as_asked_for(plane: ServicesPlane) -> None:
    plane.add_host()
    plane.create(1, tags=[{"key": "team", "value": "blue"}], propagateTags="SERVICE", enableECSManagedTags=True)
    plane.step()
    [task] = plane.tasks()
    assert task.tags == [
        {"key": "team", "value": "blue"},
        {"key": "aws:ecs:clusterName", "value": "default"},
        {"key": "aws:ecs:serviceName", "value": "web"},
    ]


def test_a_fargate_service_asks_for_capacity_of_its_own(plane: ServicesPlane) -> None:
    plane.register(family="far", networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="256", memory="512")
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    plane.create(2, taskDefinition="far", launchType="FARGATE", networkConfiguration=network)
    plane.step(2)
    tasks = plane.tasks()
    assert [(task.last_status, task.cpu, task.memory) for task in tasks] == [("PROVISIONING", 256, 512)] * 2
    assert plane.service()["pendingCount"] == 2


def test_two_schedulers_start_no_task_twice(plane: ServicesPlane) -> None:
    plane.add_host()
    other = plane.make_loop("two")
    plane.create(3)
    plane.step()
    other.step()
    plane.step()
    assert len(plane.tasks()) == 3
    plane.update(desiredCount=5)
    plane.tick(seconds=60)  # the first one's lease has run out
    other.step()
    plane.step()
    other.step()
    assert len(plane.tasks()) == 5


def test_a_plan_made_on_old_sight_does_nothing(plane: ServicesPlane) -> None:
    plane.add_host()
    plane.create(3)
    now = plane.loop_clock.now()
    sights = plane.store.read(lambda session: plane.loop.observe(session, now))
    [move] = plane.loop.decide(sights, now)
    for _ in range(2):  # a step that was recorded, crashed before it knew, and is repeated
        plane.store.transact(lambda session: plane.loop.record(session, move, now))
    assert len(plane.tasks()) == 3
    [stale] = plane.loop.decide(plane.store.read(lambda session: plane.loop.observe(session, now)), now)
    plane.update(desiredCount=0)
    plane.store.transact(lambda session: plane.loop.record(session, stale, now))
    plane.step()
    assert all(task.desired_status == "STOPPED" for task in plane.tasks())


def test_a_cluster_that_defaults_to_fargate_gives_services_fargate(plane: ServicesPlane) -> None:
    plane.register(family="far", networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="256", memory="512")
    strategy = [{"capacityProvider": "FARGATE_SPOT", "weight": 1, "base": 0}]
    plane.ecs.put_cluster_capacity_providers(
        cluster="default", capacityProviders=["FARGATE_SPOT"], defaultCapacityProviderStrategy=strategy
    )
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    made = plane.create(1, taskDefinition="far", networkConfiguration=network)
    assert made["capacityProviderStrategy"] == strategy
    plane.step()
    assert [(task.launch_type, task.capacity_provider) for task in plane.tasks()] == [("FARGATE", "FARGATE_SPOT")]


def test_tasks_are_split_over_capacity_providers_by_base_and_weight(plane: ServicesPlane) -> None:
    plane.register(family="far", networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="256", memory="512")
    strategy = [
        {"capacityProvider": "FARGATE", "weight": 1, "base": 2},
        {"capacityProvider": "FARGATE_SPOT", "weight": 3, "base": 0},
    ]
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    plane.create(6, taskDefinition="far", capacityProviderStrategy=strategy, networkConfiguration=network)
    plane.step()
    assert _providers(plane) == {"FARGATE": 3, "FARGATE_SPOT": 3}
    plane.update(desiredCount=10)
    plane.step()
    assert _providers(plane) == {"FARGATE": 4, "FARGATE_SPOT": 6}
    plane.crash([task for task in plane.tasks() if task.capacity_provider == "FARGATE"][:3])
    plane.step()
    assert _providers(plane) == {"FARGATE": 4, "FARGATE_SPOT": 6}, "what is lost on one is made good there"
    answer = plane.ecs.run_task(
        taskDefinition="far", count=5, capacityProviderStrategy=strategy, networkConfiguration=network
    )
    assert Counter(task["capacityProviderName"] for task in answer["tasks"]) == {"FARGATE": 3, "FARGATE_SPOT": 2}
    with pytest.raises(plane.ecs.exceptions.InvalidParameterException, match="Only one capacity provider"):
        plane.ecs.run_task(
            taskDefinition="far",
            capacityProviderStrategy=[{**item, "base": 1} for item in strategy],
            networkConfiguration=network,
        )


def _providers(plane: ServicesPlane) -> Counter[str | None]:
    return Counter(task.capacity_provider for task in plane.tasks() if task.desired_status == "RUNNING")


def test_events_keep_to_the_newest_hundred(plane: ServicesPlane) -> None:
    plane.create(0)

    def speak(session: Session) -> None:
        service = get_service(session, "default", "web")
        assert service is not None
        tell(session, service, [f"event {number}" for number in range(105)], at=plane.loop_clock.now())

    plane.store.transact(speak)
    assert plane.messages() == [f"event {number}" for number in range(5, 105)]


def test_a_deleted_task_definition_goes_when_its_last_user_is_gone(plane: ServicesPlane) -> None:
    plane.add_host()
    plane.create(1)
    plane.ecs.deregister_task_definition(taskDefinition="web:1")
    plane.ecs.delete_task_definitions(taskDefinitions=["web:1"])
    plane.store.transact(forget_task_definitions)
    plane.step()
    assert len(plane.tasks()) == 1, "a service goes on with a revision whose deletion was asked for"
    assert plane.ecs.describe_task_definition(taskDefinition="web:1")["taskDefinition"]["status"] == (
        "DELETE_IN_PROGRESS"
    )
    plane.ecs.delete_service(service="web", force=True)
    plane.come_to_rest()
    plane.store.transact(lambda session: session.execute(delete(Task)))
    plane.store.transact(forget_task_definitions)
    with pytest.raises(plane.ecs.exceptions.ClientException, match="Unable to describe task definition"):
        plane.ecs.describe_task_definition(taskDefinition="web:1")
