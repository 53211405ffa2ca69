"""Rollouts and their failures, on both stores: what the floor, the circuit breaker and the pauses hold."""

from concurrent.futures import ThreadPoolExecutor

from tests.support.services import WEB, ServicesPlane


def test_a_new_task_definition_rolls_through_without_dropping_below_the_floor(plane: ServicesPlane) -> None:
    plane.add_host()
    plane.create(2)
    plane.come_to_rest()
    old = {task.id for task in plane.tasks()}
    plane.register({**WEB, "image": "web:2"})
    plane.update(taskDefinition="web")
    plane.step()
    assert len(plane.service()["deployments"]) == 2
    assert len(plane.tasks()) == 4
    assert all(task.desired_status == "RUNNING" for task in plane.tasks())
    plane.run()
    plane.step()
    assert all(task.desired_status == "RUNNING" for task in plane.tasks()), "the new ones have not settled yet"
    plane.tick(seconds=41)
    plane.step()
    assert {task.id for task in plane.tasks() if task.desired_status == "STOPPED"} == old
    plane.come_to_rest()
    found = plane.service()
    assert [row["status"] for row in found["deployments"]] == ["PRIMARY"]
    assert found["deployments"][0]["rolloutState"] == "COMPLETED"
    assert {task.revision for task in plane.tasks()} == {2}


def test_force_new_deployment_replaces_every_task(plane: ServicesPlane) -> None:
    plane.add_host()
    plane.create(2)
    plane.come_to_rest()
    old = {task.id for task in plane.tasks()}
    plane.update(forceNewDeployment=True)
    plane.come_to_rest()
    now = {task.id for task in plane.tasks()}
    assert len(now) == 2
    assert not now & old
    assert len(plane.service()["deployments"]) == 1


def test_a_full_cluster_rolls_by_stopping_old_tasks_where_the_configuration_allows(plane: ServicesPlane) -> None:
    plane.add_host(memory=128)
    plane.create(2, deploymentConfiguration={"minimumHealthyPercent": 50, "maximumPercent": 200})
    plane.come_to_rest()
    plane.update(forceNewDeployment=True)
    plane.step()
    assert sum(task.desired_status == "STOPPED" for task in plane.tasks()) == 1
    plane.step(3)
    assert sum(task.desired_status == "STOPPED" for task in plane.tasks()) == 1
    plane.come_to_rest()
    found = plane.service()
    assert len(found["deployments"]) == 1
    assert found["runningCount"] == 2


def test_a_full_cluster_waits_where_the_configuration_forbids_stopping(plane: ServicesPlane) -> None:
    plane.add_host(memory=128)
    plane.create(2)
    plane.come_to_rest()
    plane.update(forceNewDeployment=True)
    plane.come_to_rest()
    assert all(task.desired_status == "RUNNING" for task in plane.tasks())
    assert len(plane.service()["deployments"]) == 2
    assert "unable to place" in plane.messages()[-1]


def test_failed_starts_are_counted_once_and_pause_the_next_ones(plane: ServicesPlane) -> None:
    plane.add_host()
    plane.create(1)
    for failures in range(1, 4):
        plane.tick(seconds=30)
        plane.step()
        plane.crash(plane.tasks())
        due = plane.step()
        assert plane.service()["deployments"][0]["failedTasks"] == failures
        assert (due is not None) == (failures > 1)
    assert plane.tasks() == []
    assert "is unable to consistently start tasks successfully" in plane.messages()[-1]
    assert due is not None
    plane.loop_clock.tick(seconds=(due - plane.loop_clock.now()).total_seconds())
    plane.step()
    assert len(plane.tasks()) == 1
    plane.come_to_rest()
    assert plane.service()["deployments"][0]["failedTasks"] == 0


def test_a_crash_loop_beside_a_healthy_task_is_still_paused(plane: ServicesPlane) -> None:
    plane.add_host()
    plane.create(2)
    plane.come_to_rest()
    _, victim = plane.tasks()
    plane.crash([victim])
    for _ in range(3):
        plane.tick(seconds=20)
        plane.step()
        plane.crash([task for task in plane.tasks() if task.last_status == "PENDING"])
    plane.step()
    assert plane.service()["deployments"][0]["failedTasks"] == 3
    assert len(plane.tasks()) == 1


def test_tasks_that_somebody_stopped_are_no_failed_starts(plane: ServicesPlane) -> None:
    plane.add_host()
    plane.create(1)
    plane.step()
    [task] = plane.tasks()
    plane.ecs.stop_task(task=task.id)
    plane.run()
    plane.step()
    assert plane.service()["deployments"][0]["failedTasks"] == 0
    assert len(plane.tasks()) == 1


def test_the_circuit_breaker_rolls_back_to_what_worked(plane: ServicesPlane) -> None:
    plane.add_host()
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
    good = plane.create(1, deploymentConfiguration=breaker)["deployments"][0]["id"]
    plane.come_to_rest()
    plane.register({**WEB, "image": "broken"})
    bad = plane.update(taskDefinition="web")["deployments"][0]["id"]
    for _ in range(3):
        plane.tick(minutes=1)
        plane.step()
        plane.crash([task for task in plane.tasks() if task.revision == 2])
    plane.step()
    found = plane.service()
    assert found["taskDefinition"].endswith("web:1")
    assert f"(service web) (deployment {bad}) deployment failed: tasks failed to start." in plane.messages()
    assert f"(service web) rolling back to deployment {good}." in plane.messages()
    plane.come_to_rest()
    found = plane.service()
    assert [row["id"] for row in found["deployments"]] == [good]
    assert found["deployments"][0]["rolloutState"] == "COMPLETED"
    assert {task.revision for task in plane.tasks()} == {1}


def test_the_circuit_breaker_without_rollback_stops_trying(plane: ServicesPlane) -> None:
    plane.add_host()
    plane.create(1, deploymentConfiguration={"deploymentCircuitBreaker": {"enable": True, "rollback": False}})
    for _ in range(5):
        plane.tick(minutes=1)
        plane.step()
        plane.crash(plane.tasks())
    plane.step()
    [deployment] = plane.service()["deployments"]
    assert deployment["rolloutState"] == "FAILED"
    assert deployment["rolloutStateReason"] == "ECS deployment circuit breaker: tasks failed to start."
    assert len(plane.tasks(alive=False)) == 3


def test_a_forced_deployment_makes_older_sight_void(plane: ServicesPlane) -> None:
    plane.add_host()
    plane.create(2)
    now = plane.loop_clock.now()
    [stale] = plane.loop.decide(plane.store.read(lambda session: plane.loop.observe(session, now)), now)
    plane.update(forceNewDeployment=True)
    plane.store.transact(lambda session: plane.loop.record(session, stale, now))
    assert plane.tasks() == []
    plane.step()
    assert {task.deployment_id for task in plane.tasks()} == {plane.service()["deployments"][0]["id"]}


def test_deployments_forced_at_the_same_time_leave_one_primary(plane: ServicesPlane) -> None:
    plane.create(1)
    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(lambda _: plane.update(forceNewDeployment=True), range(8)))
    statuses = [row["status"] for row in plane.service()["deployments"]]
    assert statuses.count("PRIMARY") == 1
    assert statuses.count("ACTIVE") == 8
