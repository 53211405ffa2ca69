"""Which containers are told of the endpoints, and how those are made reachable for them."""

from collections.abc import Sequence
from typing import Any

import pytest

from agent.endpoints.ids import EndpointIds
from agent.endpoints.metadata import Machine, render_task
from agent.endpoints.reach import Reach
from agent.runtime import Details
from agent.surroundings import TaskSurroundings
from agent.tasks.pausing import PAUSE_NAME
from tests.support.agent_process import container
from tests.support.fake_control_plane import task_arn
from tests.unit.agent.host import HOST, MemoryHost
from tests.unit.agent.test_endpoint_routes import ROLE

TOLD = ("ECS_CONTAINER_METADATA_URI", "ECS_CONTAINER_METADATA_URI_V4", "ECS_AGENT_URI")
RELATIVE = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
INTERFACE = {
    "ipv4Addresses": [{"primary": True, "privateAddress": "10.233.0.9"}],
    "macAddress": "02:42:0a:e9:00:09",
    "subnetGatewayIpv4Address": "10.233.0.1/20",
    "privateDnsName": "ip-10-233-0-9.berth.internal",
}


class Cables:
    """A wiring without a kernel: remembers what was laid; the door may be another's, and cables may not be possible."""

    def __init__(self) -> None:
        self.has_door = False
        self.door_is_free = True
        self.broken = False
        self.asked_for_door = 0
        self.laid: dict[str, int] = {}

    def open_door(self) -> bool:
        self.asked_for_door += 1
        self.has_door = self.has_door or self.door_is_free
        return self.has_door

    def attach(self, pid: int, runtime_id: str, name: str) -> None:
        if self.broken:
            raise OSError("not here")
        self.laid[name] = pid

    def is_attached(self, name: str) -> bool:
        return name in self.laid

    def detach(self, name: str) -> None:
        self.laid.pop(name, None)


class Wired:
    """A host in memory whose containers have processes, and the reach of its endpoints."""

    def __init__(self, host: MemoryHost, monkeypatch: pytest.MonkeyPatch) -> None:
        self.host = host
        self.cables = Cables()
        self.door = True
        monkeypatch.setattr(host.runtime, "details", lambda name: Details(pid=4711))

    def boot(self) -> "Wired":
        ids = EndpointIds(self.host.data)
        wiring: Any = self.cables
        self.reach = Reach(
            wiring=wiring,
            runtime=self.host.runtime,
            ids=ids,
            tasks=lambda: self.host.engine.tasks(),
            clock=self.host.clock,
            door=self.door,
        )
        return self

    def surroundings(self) -> TaskSurroundings:
        return TaskSurroundings(
            runtime=self.host.runtime,
            host=HOST,
            network_cidr="10.233.0.0/20",
            logs=self.host.logs,
            endpoints=self.reach,
        )

    def run(self, mode: str, **members: Any) -> dict[str, str]:
        """The task goes through its starts as its agent would take it; answers what its container is told."""
        if mode == "awsvpc":
            members["elasticNetworkInterfaces"] = [INTERFACE]
        self.host.run("t1", container("web", "server"), networkMode=mode, **members)
        [task] = self.host.engine.tasks()
        surroundings, told = self.surroundings(), {}
        for one in task.containers.values():
            told = dict(surroundings.before(task.spec, one.spec).environment)
            surroundings.started(task.spec, one.spec, one.runtime_id)
        return told


@pytest.fixture
def wired(host: MemoryHost, monkeypatch: pytest.MonkeyPatch) -> Wired:
    return Wired(host, monkeypatch).boot()


def names(laid: dict[str, int]) -> Sequence[str]:
    return [name.rsplit(" ", 1)[-1] for name in laid]


@pytest.mark.parametrize(
    ("mode", "cables"), [("bridge", []), ("host", []), ("none", ["web"]), ("awsvpc", [PAUSE_NAME])]
)
def test_every_mode_has_its_way_and_is_told(wired: Wired, mode: str, cables: list[str]) -> None:
    wired.reach.recover()
    told = wired.run(mode, roleCredentials=ROLE)
    assert set(TOLD) <= told.keys()
    assert told[RELATIVE] == f"/v2/credentials/{ROLE['credentialsId']}"
    assert told["ECS_AGENT_URI"].startswith("http://169.254.170.2/api/")
    assert names(wired.cables.laid) == cables


def test_without_a_role_there_are_no_credentials_to_be_told_of(wired: Wired) -> None:
    assert RELATIVE not in wired.run("bridge")


@pytest.mark.parametrize(("mode", "is_told"), [("bridge", True), ("host", False)])
def test_where_another_agent_has_the_door(wired: Wired, mode: str, is_told: bool) -> None:
    wired.cables.door_is_free = False
    told = wired.run(mode)
    assert (TOLD[0] in told) is is_told
    assert names(wired.cables.laid) == (["web"] if is_told else [])


def test_the_door_is_looked_for_and_left_by_who_does_not_want_it(wired: Wired) -> None:
    wired.cables.door_is_free = False
    wired.reach.look_for_door()
    assert not set(TOLD) & wired.run("host").keys()
    assert wired.cables.asked_for_door == 1
    wired.cables.door_is_free = True
    wired.reach.look_for_door()
    assert wired.cables.has_door

    modest = Cables()
    wired.cables, wired.door = modest, False
    wired.boot().reach.look_for_door()
    assert not modest.asked_for_door


def test_a_task_whose_namespace_cannot_be_reached_runs_without_being_told(wired: Wired) -> None:
    wired.cables.broken = True
    assert not set(TOLD) & wired.run("awsvpc").keys()


def test_what_runs_is_reached_again_after_a_restart(wired: Wired) -> None:
    wired.run("awsvpc")
    wired.cables = Cables()
    wired.boot().reach.recover()
    assert names(wired.cables.laid) == [PAUSE_NAME] and wired.cables.has_door
    [task] = wired.host.engine.tasks()
    wired.surroundings().after(task.spec)
    assert not wired.cables.laid


def test_what_a_container_was_given_by_hand_does_not_hide_the_endpoints(wired: Wired) -> None:
    told = wired.run("bridge")
    [task] = wired.host.engine.tasks()
    assert told["ECS_CONTAINER_METADATA_URI_V4"].endswith(EndpointIds(wired.host.data).id_of(task.arn, "web"))


def test_an_awsvpc_task_tells_its_interface(wired: Wired) -> None:
    wired.run("awsvpc", cpu=0.25, memory=512, launchType="FARGATE", ephemeralStorage={"sizeInGiB": 20})
    [task] = wired.host.engine.tasks()
    document = render_task(task, {}, Machine(storage={task_arn("t1"): 1000}), version=4)
    assert document["TaskARN"] == task_arn("t1")
    assert document["Limits"] == {"CPU": 0.25, "Memory": 512}
    assert document["EphemeralStorageMetrics"] == {"Utilized": 1000, "Reserved": 20480}
    pause, web = document["Containers"]
    assert (pause["Type"], web["Type"]) == ("CNI_PAUSE", "NORMAL")
    assert web["Networks"] == [
        {
            "NetworkMode": "awsvpc",
            "IPv4Addresses": ["10.233.0.9"],
            "AttachmentIndex": 0,
            "MACAddress": "02:42:0a:e9:00:09",
            "IPv4SubnetCIDRBlock": "10.233.0.0/20",
            "PrivateDNSName": "ip-10-233-0-9.berth.internal",
            "SubnetGatewayIpv4Address": "10.233.0.1/20",
        }
    ]
    older = render_task(task, {}, Machine(), version=3)
    assert older["Containers"][1]["Networks"] == [{"NetworkMode": "awsvpc", "IPv4Addresses": ["10.233.0.9"]}]
