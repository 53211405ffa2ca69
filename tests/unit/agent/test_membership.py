"""Membership: a host joins with a key of its own, or another where that is lost, and knows where its sockets are."""

from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.control.aws import Aws, KeyRefused
from agent.control.joining import HostKey
from agent.control.membership import Membership
from agent.control.registration import Doors, Offer
from agent.identity import IdentityFile
from agent.keys import NO_KEYS, Keys
from agent.runtime import EngineInfo
from kit.clock import ManualClock
from tests.unit.agent.calls import FakeCalls

ARN = "arn:aws:ecs:us-east-1:123456789012:container-instance/lab/0123456789abcdef"
OFFER, ENGINE = Offer(cpu=1024, memory=512), EngineInfo(version="1", architecture="x86_64", cpus=1, memory_mib=512)


class Door(Aws):
    """The agent's own client, answered from memory; it keeps which keys it was told to sign with."""

    def __init__(self) -> None:
        super().__init__(endpoint="http://127.0.0.1:1", region="us-east-1", keys=NO_KEYS, clock=ManualClock())
        self.calls = FakeCalls()
        self.used: list[str] = []
        self.calls.answers = {
            "RegisterContainerInstance": lambda _: {"containerInstance": {"containerInstanceArn": ARN}},
            "DiscoverPollEndpoint": lambda _: {"endpoint": "http://a", "telemetryEndpoint": "http://t"},
        }

    def call(self, service: str, operation: str, body: Mapping[str, Any], *, keys: Keys | None = None) -> Any:
        return self.calls.call(service, operation, body, keys=keys)

    def post(self, path: str, body: Mapping[str, Any], *, keys: Keys) -> Any:
        return {"accessKeyId": f"AKIA{len(self.used)}"}

    def use(self, keys: Keys) -> None:
        self.used.append(keys.access_key)


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
def member(door: Door, tmp_path: Path) -> Membership:
    file = IdentityFile(tmp_path)
    key = HostKey(tmp_path, Keys(access_key="AKIATOKEN", secret_key="given"))
    return Membership(aws=door, identity=file.load("lab"), file=file, key=key)


def test_a_host_joins_and_knows_its_cluster_and_its_sockets(member: Membership, door: Door) -> None:
    assert member.cluster_arn == "lab"
    member.join(OFFER, ENGINE)
    assert door.used == ["AKIA0"]
    assert member.identity.container_instance == ARN
    assert member.cluster_arn == "arn:aws:ecs:us-east-1:123456789012:cluster/lab"
    assert member.doors() == Doors(agent="http://a", telemetry="http://t")


def test_a_key_that_is_not_known_any_more_is_replaced_once(member: Membership, door: Door) -> None:
    door.calls.refuse("RegisterContainerInstance", "UnrecognizedClientException", status=403)
    member.join(OFFER, ENGINE)
    assert door.used == ["AKIA0", "AKIA1"]
    assert member.identity.container_instance == ARN


def test_sockets_stay_where_they_were_while_nobody_tells_where_they_are(member: Membership, door: Door) -> None:
    member.join(OFFER, ENGINE)
    door.calls.away = True
    assert member.doors() == Doors(agent="http://a", telemetry="http://t")


def test_who_is_refused_for_its_key_does_not_dial(member: Membership, door: Door) -> None:
    member.join(OFFER, ENGINE)
    door.calls.trouble["DiscoverPollEndpoint"] = deque([KeyRefused("UnrecognizedClientException", "", 403)])
    with pytest.raises(KeyRefused):
        member.doors()
