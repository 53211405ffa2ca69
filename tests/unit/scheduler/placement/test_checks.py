"""What the API accepts as strategies, constraints and sizes."""

import pytest

from scheduler.placement import (
    BadConstraint,
    BadSize,
    BadStrategy,
    Constraint,
    Demand,
    Host,
    Strategy,
    check_constraints,
    check_strategies,
    cpu_units,
    demand_of,
    eligible,
    memory_mib,
)


def test_strategies_are_read_and_normalised() -> None:
    given = [
        {"type": "spread", "field": "host"},
        {"type": "binpack", "field": "MEMORY"},
        {"type": "spread", "field": "attribute:rack"},
        {"type": "random"},
    ]
    assert check_strategies(given) == (
        Strategy(type="spread", field="instanceId"),
        Strategy(type="binpack", field="memory"),
        Strategy(type="spread", field="attribute:rack"),
        Strategy(type="random"),
    )
    assert check_strategies(None) == ()


@pytest.mark.parametrize(
    "given",
    [
        [{}],
        [{"type": "best"}],
        [{"type": "binpack"}],
        [{"type": "binpack", "field": "disk"}],
        [{"type": "spread"}],
        [{"type": "spread", "field": "attribute:"}],
        [{"type": "spread", "field": "memory"}],
        [{"type": "random"}] * 6,
    ],
)
def test_bad_strategies_are_refused(given) -> None:
    with pytest.raises(BadStrategy):
        check_strategies(given)


def test_a_field_that_is_missing_is_told_in_words() -> None:
    with pytest.raises(BadStrategy, match="cpu, memory or cpu\\+memory, and none was given"):
        check_strategies([{"type": "binpack"}])
    with pytest.raises(BadStrategy, match="attribute:NAME, not 'zone'"):
        check_strategies([{"type": "spread", "field": "zone"}])


def test_constraints_are_read() -> None:
    assert check_constraints([{"type": "distinctInstance"}]) == (Constraint(type="distinctInstance"),)
    assert check_constraints(None) == ()


@pytest.mark.parametrize(
    "given",
    [
        [{}],
        [{"type": "sameRack"}],
        [{"type": "memberOf"}],
        [{"type": "distinctInstance", "expression": "x"}],
        [{"type": "distinctInstance"}] * 11,
    ],
)
def test_bad_constraints_are_refused(given) -> None:
    with pytest.raises(BadConstraint):
        check_constraints(given)


def test_member_of_is_read_with_its_expression() -> None:
    given = [{"type": "memberOf", "expression": "attribute:ecs.os-type == linux"}]
    assert check_constraints(given) == (Constraint(type="memberOf", expression="attribute:ecs.os-type == linux"),)


def test_a_bad_expression_is_refused_with_the_place_of_the_mistake() -> None:
    with pytest.raises(BadConstraint, match=r"at position 13: expected an operator .*, found the end"):
        check_constraints([{"type": "memberOf", "expression": "attribute:gpu"}])


def test_a_host_is_eligible_when_all_expressions_name_it() -> None:
    host = Host(id="a", registered_cpu=1024, registered_memory=512, free_cpu=0, free_memory=0, attributes={"rack": "7"})
    rack, gpu = (Constraint(type="memberOf", expression=e) for e in ("attribute:rack > 6", "attribute:gpu exists"))
    assert eligible(host, (rack, Constraint(type="distinctInstance")))
    assert not eligible(host, (rack, gpu))
    assert eligible(host, ())


@pytest.mark.parametrize(
    ("text", "units"), [("256", 256), (1024, 1024), (".25 vCPU", 256), ("1vcpu", 1024), ("0.5 vCPUs", 512)]
)
def test_cpu_is_read_in_units_or_vcpus(text, units: int) -> None:
    assert cpu_units(text) == units


@pytest.mark.parametrize(("text", "mib"), [("512", 512), (2048, 2048), ("0.5 GB", 512), ("2GB", 2048), ("512 MB", 512)])
def test_memory_is_read_in_mib_or_gb(text, mib: int) -> None:
    assert memory_mib(text) == mib


@pytest.mark.parametrize("text", ["", "lots", "-1", "0.5", "1 vCPU 2", "٣", "1e3"])
def test_bad_sizes_are_refused(text: str) -> None:
    with pytest.raises(BadSize):
        cpu_units(text)
    with pytest.raises(BadSize):
        memory_mib(text)


WEB = {"name": "web", "cpu": 100, "memory": 300, "memoryReservation": 128}
SIDECAR = {"name": "log", "memory": 64}


def test_demand_adds_up_cpu_and_soft_or_else_hard_memory() -> None:
    assert demand_of({"containerDefinitions": [WEB, SIDECAR]}) == Demand(cpu=100, memory=192)


def test_task_level_sizes_win_over_the_containers() -> None:
    definition = {"cpu": "512", "memory": "1GB", "containerDefinitions": [WEB, SIDECAR]}
    assert demand_of(definition) == Demand(cpu=512, memory=1024)
    assert demand_of(definition, {"cpu": "1024", "memory": "4096"}) == Demand(cpu=1024, memory=4096)


def test_container_overrides_change_their_container_alone() -> None:
    overrides = {"containerOverrides": [{"name": "web", "cpu": 200, "memoryReservation": 256}]}
    assert demand_of({"containerDefinitions": [WEB, SIDECAR]}, overrides) == Demand(cpu=200, memory=320)
    assert demand_of({"containerDefinitions": [WEB]}, {"containerOverrides": [{"name": "x", "cpu": 1}]}).cpu == 100


def test_static_host_ports_depend_on_the_network_mode() -> None:
    mappings = [
        {"containerPort": 80, "hostPort": 8080},
        {"containerPort": 53, "hostPort": 53, "protocol": "udp"},
        {"containerPort": 443, "hostPort": 0},
        {"containerPort": 9000},
    ]
    definition = {"containerDefinitions": [{**WEB, "portMappings": mappings}]}
    assert demand_of(definition).ports == ((53, "udp"), (8080, "tcp"))
    on_host = demand_of({**definition, "networkMode": "host"})
    assert on_host.ports == ((53, "udp"), (443, "tcp"), (8080, "tcp"), (9000, "tcp"))
    own = demand_of({**definition, "networkMode": "awsvpc"})
    assert own.ports == () and own.address
    assert demand_of({**definition, "networkMode": "none"}).ports == ()


def test_a_port_range_on_the_host_takes_each_of_its_ports() -> None:
    container = {**WEB, "portMappings": [{"containerPortRange": "8000-8002"}]}
    definition = {"containerDefinitions": [container]}
    assert demand_of({**definition, "networkMode": "host"}).ports == ((8000, "tcp"), (8001, "tcp"), (8002, "tcp"))
    assert demand_of(definition).ports == ()
    container["portMappings"][0]["containerPortRange"] = "some"
    with pytest.raises(BadSize, match="some"):
        demand_of({**definition, "networkMode": "host"})
