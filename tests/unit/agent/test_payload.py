"""Payloads: what is read of them, and that nonsense is refused by name, never with a surprise."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.tasks.payload import names_of, read_task
from agent.tasks.reading import BadPayload
from agent.tasks.spec import Condition, Desired, TaskSpec
from tests.support.agent_process import container, task
from tests.support.fake_control_plane import CLUSTER

WEB = container("web", "image")


def read(raw: Any) -> TaskSpec:
    return read_task(raw, seq=1, cluster=CLUSTER)


def test_overrides_of_the_task_and_of_the_container_win() -> None:
    own = json.dumps({"environment": {"B": "own"}})
    override = {"name": "web", "command": ["run"], "environment": [{"name": "A", "value": "2"}], "memory": 99}
    raw = task(
        "t",
        {**WEB, "environment": {"A": "1", "B": "1", "C": "1"}, "overrides": own, "memory": 10},
        overrides=json.dumps({"containerOverrides": [override]}),
    )
    [web] = read(raw).containers
    assert web.command == ("run",)
    assert web.environment == {"A": "2", "B": "own", "C": "1"}
    assert web.memory == 99


def test_a_stop_needs_no_containers() -> None:
    spec = read({"arn": "arn:aws:ecs:us-east-1:1:task/c/t", "desiredStatus": "STOPPED"})
    assert (spec.desired, spec.containers, spec.id) == (Desired.STOPPED, (), "t")


def test_a_port_range_is_every_port_of_it() -> None:
    [web] = read(task("t", {**WEB, "portMappings": [{"containerPortRange": "8000-8002"}]})).containers
    [mapping] = web.port_mappings
    assert (list(mapping.ports), mapping.host_port, mapping.protocol) == ([8000, 8001, 8002], 0, "tcp")


def gpu(name: str, *containers: str, **members: Any) -> dict[str, Any]:
    return {"type": "gpu", "name": name, "containers": [*containers], **members}


def test_gpus_are_their_containers_alone() -> None:
    both = [WEB, {**WEB, "name": "side"}]
    spec = read(task("t", *both, associations=[gpu("b", "web"), gpu("c", "side"), gpu("a", "web")]))
    assert [container.gpus for container in spec.containers] == [("b", "a"), ("c",)]


@pytest.mark.parametrize(
    ("associations", "place"),
    [
        ([gpu("a", "web", type="elastic-inference")], "associations[0].type"),
        ([gpu("a", "web"), gpu("a", "side")], "associations[1].containers"),
        ([gpu("a", "web", "side")], "associations[0].containers"),
        ([gpu("a")], "associations[0].containers"),
        ([gpu("a,b", "web")], "associations[0].name"),
        ([gpu("all", "web")], "associations[0].name"),
        ([gpu("a", "other")], "no container is named other"),
        ([7], "associations[0]"),
        ({}, "associations"),
    ],
)
def test_a_gpu_that_is_nobodys_is_refused(associations: Any, place: str) -> None:
    with pytest.raises(BadPayload) as refused:
        read(task("t", WEB, {**WEB, "name": "side"}, associations=associations or "x"))
    assert place in str(refused.value)


def test_an_awsvpc_task_gets_a_pause_container_that_all_wait_for() -> None:
    eni = {"ipv4Addresses": [{"primary": True, "privateAddress": "10.0.0.9"}], "macAddress": "02:00:00:00:00:01"}
    spec = read(task("t", WEB, networkMode="awsvpc", elasticNetworkInterfaces=[eni]))
    pause, web = spec.containers
    assert pause.internal
    assert web.depends_on[0].container == pause.name
    assert web.depends_on[0].condition is Condition.START
    assert spec.interface
    assert spec.interface.address == "10.0.0.9"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"containers": []}, "task.containers: a task needs at least one"),
        ({"containers": ["web"]}, "task.containers[0]: expected an object"),
        ({"containers": [WEB, WEB]}, "two containers have the same name"),
        ({"containers": [{"name": "web"}]}, "task.containers[0].image: is missing"),
        ({"containers": [{**WEB, "name": "../etc"}]}, "is not a container name"),
        ({"containers": [{**WEB, "essential": "yes"}]}, "essential: expected true or false"),
        ({"containers": [{**WEB, "memory": -1}]}, "memory: expected a number of 0 or more"),
        ({"containers": [{**WEB, "memory": json.loads("1e999")}]}, "memory: expected a number of 0 or more"),
        ({"cpu": json.loads("NaN")}, "task.cpu: expected a number of 0 or more"),
        ({"containers": [{**WEB, "secrets": [{"name": "S"}]}]}, "secrets[0].valueFrom: is missing"),
        ({"containers": [{**WEB, "dockerConfig": {"hostConfig": "{"}}]}, "hostConfig: not JSON"),
        ({"containers": [{**WEB, "portMappings": [{"containerPort": 70000}]}]}, "at most 65535"),
        ({"containers": [{**WEB, "dependsOn": [{"containerName": "db"}]}]}, "depends on db, which is not in the task"),
        ({"containers": [{**WEB, "dependsOn": [{"containerName": "web"}]}]}, "web wait for each other"),
        (
            {"containers": [{**WEB, "mountPoints": [{"sourceVolume": "v", "containerPath": "/"}]}]},
            "no volume is named v",
        ),
        ({"volumes": [{"name": "v", "type": "efs"}]}, "volumes, not efs"),
        ({"networkMode": "warp"}, "task.networkMode: warp is not one of"),
        ({"networkMode": "awsvpc"}, "an awsvpc task needs an address"),
        ({"desiredStatus": "MAYBE"}, "MAYBE is neither RUNNING nor STOPPED"),
        ({"arn": ""}, "task.arn: is missing"),
        ({"arn": "arn:aws:ecs:us-east-1:1:task/c/.. "}, "task.arn: expected an ARN that ends in a task id"),
        ({"proxyConfiguration": {"type": "APPMESH"}}, "this agent runs no proxies"),
    ],
)
def test_what_cannot_be_run_is_refused_by_name(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(BadPayload) as refused:
        read({**task("t", WEB), **change})
    assert complaint in str(refused.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
MORE = ("cpu", "memory", "stopTimeout", "networkMode", "volumes", "overrides", "dependsOn", "registryAuthentication")
MEMBERS = sorted({*task("t"), *WEB, *MORE})


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.sampled_from(MEMBERS), JSON, max_size=4),
    st.dictionaries(st.sampled_from(MEMBERS), JSON, max_size=4),
)
def test_any_json_is_read_or_refused(of_task: dict[str, Any], of_container: dict[str, Any]) -> None:
    raw = {**task("t", {**WEB, **of_container}), **of_task}
    try:
        spec = read(raw)
    except BadPayload as refused:
        assert str(refused)
    else:
        assert spec.arn == raw["arn"]
    assert all(isinstance(name, str) for name in names_of(raw))
