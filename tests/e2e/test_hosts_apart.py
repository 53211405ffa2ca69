"""Hosts and their control plane go on without each other, and know all of each other afterwards; tasks on several hosts
reach each other.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import faults
from tests.support.berth import TASK_LABEL, until
from tests.support.hosts import Host
from tests.support.site import Site, cidr

pytestmark = pytest.mark.alone

SPREAD = [{"type": "spread", "field": "instanceId"}]
VPC = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
RANGE = "10.240.0.0/16"
MANY = 30


@pytest.fixture(autouse=True)
def whole(site: Site) -> Iterator[None]:
    site.connected()
    yield
    faults.stop_all(site.berth)


def started(site: Site, host: Host, family: str, count: int = 1, **members: Any) -> list[str]:
    """Start tasks on this host; their ARNs."""
    found: list[str] = []
    while len(found) < count:
        instances = [host.instance] * min(10, count - len(found))
        answer = site.ecs.start_task(taskDefinition=family, containerInstances=instances, **members)
        assert answer["failures"] == []
        found += [task["taskArn"] for task in answer["tasks"]]
    return found


def live(*hosts: Host) -> dict[str, str]:
    """The containers that run, by their id; each with its task."""
    return {
        container.id: container.labels[TASK_LABEL]
        for host in hosts
        for container in host.containers_of(TASK_LABEL)
        if container.status == "running"
    }


def test_hosts_go_on_without_their_control_plane_and_tell_it_all_later(site: Site) -> None:
    berth = site.berth
    sleeps = faults.register(berth, "sleeps", site.image, "sleep", "600")
    site.ecs.create_service(serviceName="kept", taskDefinition=sleeps, desiredCount=4, placementStrategy=SPREAD)
    kept = until("the service runs", lambda: site.ecs.list_tasks(serviceName="kept")["taskArns"])
    ids = faults.runtime_ids(faults.all_at(berth, "RUNNING", kept))
    assert len(ids) == 4
    # They end one after the other, by turns on either host, when they are told to.
    enders = []
    for number in range(4):
        waits = f"trap 'exit {number}' INT; sleep 600 & wait"
        family = faults.register(berth, f"ends-{number}", site.image, "sh", "-c", waits)
        enders += started(site, site.hosts[number % 2], family)
    runtimes = faults.runtime_ids(faults.all_at(berth, "RUNNING", enders))
    victim = kept[0]

    faults.kill(faults.control_plane(berth))
    for number, arn in enumerate(enders):
        container = site.hosts[number % 2].engine.client.containers.get(runtimes[arn])
        container.kill("INT")
        container.wait()
    (host,) = [host for host in site.hosts if victim in live(host).values()]
    host.engine.client.containers.get(ids[victim]).kill()
    until("it has ended", lambda: victim not in live(host).values())
    assert {ids[arn] for arn in kept if arn != victim} == set(live(*site.hosts))
    faults.up_again(berth)

    ended = faults.all_at(berth, "STOPPED", enders)
    assert [task["containers"][0]["exitCode"] for task in ended] == [0, 1, 2, 3]
    times = [task["executionStoppedAt"] for task in ended]
    assert times == sorted(times)
    (gone,) = faults.all_at(berth, "STOPPED", [victim])
    assert (gone["stopCode"], gone["containers"][0]["exitCode"]) == ("EssentialContainerExited", 137)
    after = until("the service is whole again", lambda: whole_again(site, "kept", 4))
    assert set(kept) - {victim} < set(after)
    assert faults.runtime_ids(faults.describe(berth, set(kept) - {victim})) == {
        arn: id_ for arn, id_ in ids.items() if arn != victim
    }
    assert sorted(live(*site.hosts).values()) == sorted(after)


def whole_again(site: Site, name: str, count: int) -> list[str]:
    arns: list[str] = site.ecs.list_tasks(serviceName=name)["taskArns"]
    statuses = [task["lastStatus"] for task in faults.describe(site.berth, arns)]
    return arns if statuses == ["RUNNING"] * count else []


def test_an_agent_killed_with_many_containers_finds_them_again(site: Site) -> None:
    host = site.hosts[1]
    family = faults.register(site.berth, "many", site.image, "sh", "-c", "trap 'exit 9' INT; sleep 600 & wait")
    tasks = started(site, host, family, MANY)
    ids = faults.runtime_ids(faults.all_at(site.berth, "RUNNING", tasks, seconds=180))
    ending, killed = tasks[:3], tasks[3:6]

    host.kill_agent()
    for signal, chosen in (("INT", ending), ("KILL", killed)):
        for arn in chosen:
            container = host.engine.client.containers.get(ids[arn])
            container.kill(signal)
            container.wait()
    until("the host is shown as away", lambda: not site.is_connected(host))
    host.start_agent()

    for arns, code in ((ending, 9), (killed, 137)):
        ended = faults.all_at(site.berth, "STOPPED", arns)
        assert [task["containers"][0]["exitCode"] for task in ended] == [code] * 3
    site.connected(host)
    rest = faults.describe(site.berth, tasks[6:])
    assert {task["lastStatus"] for task in rest} == {"RUNNING"}
    assert faults.runtime_ids(rest) == {arn: ids[arn] for arn in tasks[6:]}
    assert live(host) == {ids[arn]: arn for arn in tasks[6:]}


def test_what_an_engine_ends_when_it_is_started_again_is_told_and_replaced(site: Site) -> None:
    host = site.hosts[0]
    family = faults.register(site.berth, "engine", site.image, "sleep", "600")
    site.ecs.create_service(serviceName="engine", taskDefinition=family, desiredCount=4, placementStrategy=SPREAD)
    before = until("the service runs", lambda: whole_again(site, "engine", 4))
    there = set(live(host).values())
    assert len(there) == 2

    host.dockerd.stop()
    host.start_engine()

    ended = faults.all_at(site.berth, "STOPPED", there)
    assert {task["stopCode"] for task in ended} == {"EssentialContainerExited"}
    after = until("the service is whole again", lambda: whole_again(site, "engine", 4), seconds=90)
    assert set(before) - there < set(after)
    assert not there & set(after)
    until("each runs once", lambda: sorted(live(*site.hosts).values()) == sorted(after))


def test_tasks_of_two_hosts_reach_each_other_on_a_routed_network(site: Site) -> None:
    for host in site.hosts:
        route(host, [other for other in site.hosts if other is not host])
    # Tells whoever asks from where the question came.
    serve = "mkdir /www/cgi-bin; cd /www/cgi-bin; printf '#!/bin/sh\\necho; echo $REMOTE_ADDR\\n' > who; chmod +x who"
    site.ecs.register_task_definition(
        family="vpc",
        networkMode="awsvpc",
        containerDefinitions=[
            {
                "name": "main",
                "image": site.image,
                "memory": 32,
                "stopTimeout": 2,
                "command": ["sh", "-c", f"{serve}; exec httpd -f -p 80 -h /www"],
            }
        ],
    )
    tasks = [started(site, host, "vpc", networkConfiguration=VPC)[0] for host in site.hosts]
    here, there = faults.all_at(site.berth, "RUNNING", tasks)
    assert address(here).startswith("10.240.1.") and address(there).startswith("10.240.2.")

    # Each is seen by the other with the address of its attachment, not with its host's.
    assert until("the other host's task answers", lambda: asked(site, here, address(there), 80, "/cgi-bin/who")) == (
        address(here)
    )
    assert until("the other host's task answers", lambda: asked(site, there, address(here), 80, "/cgi-bin/who")) == (
        address(there)
    )
    # And whoever knows nothing of the range is still reached by way of the host's own address.
    port = int(site.berth.environment["AWS_ENDPOINT_URL"].rpartition(":")[2])
    until("the API answers", lambda: "ok" in asked(site, there, site.address, port, "/healthz").lower())

    # An engine that is started again leaves the operator's rules alone.
    site.hosts[1].dockerd.stop()
    site.hosts[1].start_engine()
    (again,) = faults.all_at(
        site.berth, "RUNNING", started(site, site.hosts[1], "vpc", networkConfiguration=VPC), seconds=120
    )
    assert until("the new task answers", lambda: asked(site, here, address(again), 80, "/cgi-bin/who")) == address(here)


def address(task: dict[str, Any]) -> str:
    """The address in the task's attachment."""
    (attachment,) = task["attachments"]
    return next(str(one["value"]) for one in attachment["details"] if one["name"] == "privateIPv4Address")


def asked(site: Site, task: dict[str, Any], server: str, port: int, path: str) -> str:
    """What a container of the task hears when it asks by HTTP; nothing when it hears nothing."""
    container = site.host_of(task).engine.client.containers.get(task["containers"][0]["runtimeId"])
    # Some servers give up when they hear the end of the question before they have answered.
    question = f"{{ printf 'GET {path} HTTP/1.0\\r\\n\\r\\n'; sleep 0.3; }} | timeout 3 nc {server} {port} | tail -n 1"
    answer: bytes = container.exec_run(["sh", "-c", question]).output
    return answer.decode().strip().strip("[]").removeprefix("::ffff:")


def route(host: Host, others: list[Host]) -> None:
    """What docs/networking.md tells operators to do."""
    for other in others:
        host.run("ip", "route", "replace", cidr(other.number), "via", other.address)
    host.run("iptables", "-I", "DOCKER-USER", "-s", RANGE, "-d", RANGE, "-j", "ACCEPT")
    host.run("iptables", "-t", "raw", "-I", "PREROUTING", "-s", RANGE, "-d", RANGE, "-j", "CT", "--notrack")
