"""``berth explain``: why something waits and what to do, on a screen of 80 columns, through the clients it asks."""

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from orchestrator.agents.presence import Presence
from orchestrator.cli.explain import explain
from orchestrator.cli.output import CommandFailed
from tests.support.batch import BatchPlane
from tests.support.services import ServicesPlane, host_of


def shown(plane: ServicesPlane | BatchPlane, what: str) -> list[str]:
    """The lines of a screen of 80 columns, blanks at their ends left out."""
    screen = StringIO()
    console = Console(width=80, file=screen, highlight=False)
    for part in explain(plane.client("ecs"), plane.client("batch"), what):
        console.print(part)
    lines = [line.rstrip() for line in screen.getvalue().splitlines()]
    assert max(map(len, lines)) <= 80
    return lines


def said(plane: ServicesPlane | BatchPlane, what: str) -> str:
    return " ".join(" ".join(shown(plane, what)).split())


def test_a_service_that_fits_nowhere_is_told_by_host_and_reason_with_what_to_do(plane: ServicesPlane) -> None:
    near, far = host_of(plane, memory=60), host_of(plane, memory=20)
    drained = host_of(plane)
    plane.ecs.update_container_instances_state(containerInstances=[drained], status="DRAINING")
    plane.register()
    plane.create()
    plane.step(2)
    assert shown(plane, "web") == [
        "Service web in default: ACTIVE, 0 of 2 running, 0 pending",
        "runs     web:1",
        "asks     for each task: 0 CPU units, 64 MiB",
        "rollout  web:1: PRIMARY IN_PROGRESS",
        f"said     was unable to place a task: memory: 64 MiB asked, 60 free on {near[-8:]}",
        "         (2 hosts); draining: 1 host.",
        "",
        "One more task now: no host takes it.",
        f"  memory: 64 MiB asked, 60 free on {near[-8:]} (2 hosts)",
        "  draining: 1 host",
        f"Closest is host {near[-8:]}: 4 MiB short of memory.",
        "host      status    CPU free   MiB free   tasks  takes it",
        f"{near[-8:]}  ACTIVE    1024/1024  60/60      0      no: 4 MiB short of memory",
        f"{far[-8:]}  ACTIVE    1024/1024  20/20      0      no: 44 MiB short of memory",
        f"{drained[-8:]}  DRAINING  1024/1024  1024/1024  0      no: draining",
        f"next  Ask for at most 60 MiB of memory, stop tasks on {near[-8:]}, or join a host:",
        "      berth agent --cluster default",
        f"or    Let {drained[-8:]} take tasks again: aws ecs update-container-instances-state",
        "      --cluster default --status ACTIVE --container-instances",
        f"      {drained}",
    ]


def test_a_service_with_room_says_where_one_more_would_go(plane: ServicesPlane) -> None:
    host = host_of(plane, rack="1")
    other = host_of(plane, rack="2")
    plane.register()
    plane.create(1, placementConstraints=[{"type": "memberOf", "expression": "attribute:rack in [1, 3]"}])
    plane.step(2)
    plane.run()
    told = said(plane, "default/web")
    assert "asks for each task: 0 CPU units, 64 MiB, memberOf attribute:rack in [1, 3]" in told
    assert f"One more task now: fits, on 1 of 2 hosts; it would go to {host[-8:]}." in told
    assert f"{other[-8:]} ACTIVE 1024/1024 1024/1024 0 no: not attribute:rack in [1, 3]" in told


def test_hosts_that_have_one_of_the_group_are_told_apart(plane: ServicesPlane) -> None:
    host_of(plane)
    plane.register()
    plane.create(2, placementConstraints=[{"type": "distinctInstance"}])
    plane.step(2)
    told = said(plane, plane.service()["serviceArn"])
    assert "distinctInstance: 1 host" in told
    assert "Each host has one of the group already: join a host (berth agent --cluster default)" in told


def test_what_asks_for_more_than_any_host_has_is_told_so(plane: ServicesPlane) -> None:
    host_of(plane, memory=512)
    plane.register({"name": "web", "image": "i", "memory": 4096})
    plane.create(1)
    assert "No host is that large even when empty (the largest has 512 MiB of memory)" in said(plane, "web")


def test_without_hosts_the_way_to_one_is_told(plane: ServicesPlane) -> None:
    plane.register()
    plane.create(1)
    told = said(plane, "web")
    assert "no container instances in the cluster" in told
    assert told.endswith("next Join a host: berth agent --cluster default")


def test_a_task_is_found_by_its_arn_its_id_and_its_ending(plane: ServicesPlane) -> None:
    host = host_of(plane)
    plane.register()
    plane.create(1)
    plane.step(2)
    task = plane.tasks()[0].id
    for reference in (f"arn:aws:ecs:us-east-1:123456789012:task/default/{task}", task, task[-8:], f"default/{task}"):
        lines = shown(plane, reference)
        assert lines[0] == f"Task {task[-8:]} of web:1 in default: PENDING"
        assert lines[2:] == [f"on    host {host[-8:]}", "why   being pulled and started"]
    Presence(plane.store, plane.clock).left(host, "connection")
    assert "its host is away" in said(plane, task)
    assert f"Start the agent of {host[-8:]} again" in said(plane, task)


def test_a_stopped_task_says_why_and_whether_it_would_find_room_again(plane: ServicesPlane) -> None:
    host_of(plane, memory=100)
    plane.register()
    plane.create(1)
    plane.step(2)
    plane.run()
    task = plane.tasks()
    plane.crash(task)
    told = said(plane, task[0].id)
    assert "STOPPED" in told
    assert "EssentialContainerExited: Essential container in task exited" in told
    assert "container web: no exit code" in told
    assert "Started again now: fits, on 1 of 1 hosts" in told


def test_a_service_whose_tasks_fail_says_what_ended_the_last_of_them(plane: ServicesPlane) -> None:
    host_of(plane)
    plane.register()
    plane.create(1)
    plane.step(2)
    assert "failed" not in said(plane, "web")
    failed = plane.tasks()
    plane.crash(failed)
    plane.step(2)
    told = said(plane, "web")
    assert f"failed task {failed[0].id[-8:]}, TaskFailedToStart: Essential container in task exited" in told


def test_a_job_that_waits_is_told_environment_by_environment(jobs: BatchPlane) -> None:
    jobs.environment("mine")
    cluster = jobs.batch.describe_compute_environments()["computeEnvironments"][0]["ecsClusterArn"].rsplit("/", 1)[-1]
    host = host_of(jobs, cluster, memory=600)
    jobs.queue("queue", ["mine"])
    jobs.definition()
    first = jobs.submit("first")
    second = jobs.submit("second")
    jobs.settle()
    for reference in (second, "second", second[-8:], jobs.job(second)["jobArn"]):
        told = said(jobs, reference)
        assert f"Job second ({second}) in queue: RUNNABLE asks 1024 CPU units, 512 MiB" in told
        assert f"memory: 512 MiB asked, 88 free on {host[-8:]} (1 host)" in told
        assert "Compute environment mine: UNMANAGED, ENABLED, VALID" in told
        assert f"Closest is host {host[-8:]}: 424 MiB short of memory." in told
    assert f"berth explain {jobs.job(first)['container']['taskArn'][-8:]} says more" in said(jobs, "first")


def test_a_job_that_waits_for_another_says_for_which(jobs: BatchPlane) -> None:
    jobs.environment()
    jobs.queue()
    jobs.definition()
    first = jobs.submit("first")
    jobs.submit("second", dependsOn=[{"jobId": first}])
    jobs.settle()
    assert f"after job {first} has succeeded" in said(jobs, "second")


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ("nothing", "nothing is called nothing: no service, no job, no task whose id ends so; berth status shows"),
        ("[b]", "nothing is called [b]"),
        ("far/web", "there is no cluster far; clusters are: default"),
        ("default/none", "nothing is called default/none"),
        ("0" * 32, "there is no task 0000"),
        ("00000000-0000-0000-0000-000000000000", "there is no job 0000"),
        ("arn:aws:ecs:us-east-1:123456789012:task/default/" + "0" * 32, "there is no task arn:"),
        ("arn:aws:ecs:us-east-1:123456789012:service/default/no", "there is no service arn:"),
        ("arn:aws:ecs:us-east-1:123456789012:cluster/default", "is the ARN of no task, service or job"),
        ("arn:", "is the ARN of no task, service or job"),
    ],
)
def test_what_there_is_not_is_named(plane: ServicesPlane, reference: str, text: str) -> None:
    with pytest.raises(CommandFailed) as failed:
        shown(plane, reference)
    assert text in str(failed.value)


def test_what_could_be_two_things_is_told(plane: ServicesPlane) -> None:
    plane.register()
    plane.create(1)
    plane.ecs.create_cluster(clusterName="other")
    plane.create(1, cluster="other")
    with pytest.raises(CommandFailed) as failed:
        shown(plane, "web")
    arns: list[Any] = [f"arn:aws:ecs:us-east-1:123456789012:service/{name}/web" for name in ("default", "other")]
    assert str(failed.value) == f"web could be {arns[0]}, {arns[1]}; say which by its ARN or more of its id"
