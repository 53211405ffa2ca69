"""Agents are killed: somebody starts them again, they find their containers, and the tasks never notice."""

import os
import signal
from collections.abc import Iterator

import pytest

from kit.processes import find_processes
from tests.support import faults
from tests.support.berth import RunningBerth, running_berth, until
from tests.support.engine import Engine

NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}


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
    until("the host is connected", lambda: "connected" in killed.berth("status"))
    yield
    faults.stop_all(killed)


def test_a_killed_agent_comes_back_and_adopts_its_containers(killed: RunningBerth, image: str) -> None:
    family = faults.register(killed, "sleeps", image, "sleep", "600")
    ids = faults.runtime_ids(faults.all_at(killed, "RUNNING", [faults.run_one(killed, family) for _ in range(3)]))
    first = faults.local_agent(killed)

    with faults.agent_away(killed):
        assert faults.runtime_ids(faults.describe(killed, ids)) == ids

    until("the host is back", lambda: "connected" in killed.berth("status"))
    assert faults.local_agent(killed) != first
    assert faults.runtime_ids(faults.describe(killed, ids)) == ids
    assert {arn: faults.on_engine(killed, arn) for arn in ids} == {arn: [id_] for arn, id_ in ids.items()}
    assert len(killed.client("ecs").list_container_instances()["containerInstanceArns"]) == 1


def test_what_ended_while_the_agent_was_dead_is_reported(killed: RunningBerth, image: str) -> None:
    family = faults.register(killed, "ends", image, "sleep", "600")
    (task,) = faults.all_at(killed, "RUNNING", [faults.run_one(killed, family)])
    agent = faults.local_agent(killed)
    os.kill(agent, signal.SIGSTOP)
    container = killed.engine.client.containers.get(task["containers"][0]["runtimeId"])
    container.kill()
    container.wait()

    faults.kill(agent)

    (ended,) = faults.all_at(killed, "STOPPED", [task["taskArn"]])
    assert ended["stopCode"] == "EssentialContainerExited"
    assert ended["containers"][0]["exitCode"] == 137


def test_tasks_that_a_dead_agent_never_heard_of_run_once(killed: RunningBerth, image: str) -> None:
    family = faults.register(killed, "later", image, "sleep", "600")
    agent = faults.local_agent(killed)
    os.kill(agent, signal.SIGSTOP)
    tasks = [faults.run_one(killed, family) for _ in range(4)]

    faults.kill(agent)

    faults.all_at(killed, "RUNNING", tasks)
    assert [len(faults.on_engine(killed, task)) for task in tasks] == [1] * 4


def test_a_task_asked_for_while_the_agent_is_away_is_refused_with_the_reason(killed: RunningBerth, image: str) -> None:
    family = faults.register(killed, "refused", image, "sleep", "600")

    with faults.agent_away(killed):
        answer = killed.client("ecs").run_task(taskDefinition=family)

    assert answer["tasks"] == []
    assert [failure["reason"] for failure in answer["failures"]] == ["AGENT"]


def test_an_agent_killed_while_it_starts_containers_starts_each_once(killed: RunningBerth, image: str) -> None:
    family = faults.register(killed, "burst", image, "sleep", "600")
    tasks = [faults.run_one(killed, family) for _ in range(8)]
    until("the first container is there", lambda: any(faults.on_engine(killed, task) for task in tasks), every=0.01)

    faults.kill(faults.local_agent(killed))

    faults.all_at(killed, "RUNNING", tasks)
    assert [len(faults.on_engine(killed, task)) for task in tasks] == [1] * 8


def test_a_fargate_host_whose_agent_is_killed_keeps_its_task(killed: RunningBerth, image: str) -> None:
    ecs = killed.client("ecs")
    ecs.register_task_definition(
        family="fargate",
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        containerDefinitions=[{"name": "main", "image": image, "command": ["sleep", "600"], **faults.ENDS_WHEN_TOLD}],
    )
    arn = faults.run_one(killed, "fargate", launchType="FARGATE", networkConfiguration=NETWORK)
    (task,) = faults.all_at(killed, "RUNNING", [arn])
    (folder,) = (killed.data / "capacities").iterdir()
    (agent,) = find_processes(["--data", str(folder)])

    faults.kill(agent)

    (again,) = until("its agent is started again", lambda: find_processes(["--data", str(folder)]))
    assert again != agent
    assert faults.runtime_ids(faults.describe(killed, [arn])) == faults.runtime_ids([task])
    ecs.stop_task(task=arn)
    (ended,) = faults.all_at(killed, "STOPPED", [arn])
    assert ended["stopCode"] == "UserInitiated"
    until("nothing of it is left", lambda: not folder.exists() and not faults.on_engine(killed, arn))
