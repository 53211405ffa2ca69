"""Placement by example: strategies, filters and what a refusal says."""

from collections import Counter
from dataclasses import replace

import pytest

from scheduler.placement import (
    Constraint,
    RequiredAttribute,
    Strategy,
    place,
)
from tests.unit.scheduler.placement.worlds import ASK, ZONE, asks, host

ZONES = f"attribute:{ZONE}"


def counts(plan) -> Counter:
    return Counter(placed.host for placed in plan.placed)


def one_refusal(hosts, ask=ASK):
    (refused,) = place(hosts, [ask], seed=1).refused
    return refused


def test_by_default_tasks_spread_over_zones_and_then_over_hosts() -> None:
    hosts = [host("a1"), host("a2"), host("a3"), host("b1", attributes={ZONE: "b"})]
    placed = counts(place(hosts, asks(6), seed=3))
    assert placed == {"a1": 1, "a2": 1, "a3": 1, "b1": 3}


def test_spread_counts_only_tasks_of_the_own_group() -> None:
    busy = host("busy", groups={"service:db": 5}, tasks=5)
    own = host("own", groups={"service:web": 1}, tasks=1)
    plan = place([busy, own], asks(1, strategy=(Strategy(type="spread", field="instanceId"),)), seed=1)
    assert counts(plan) == {"busy": 1}


def test_what_runs_on_a_draining_host_does_not_weigh_on_its_zone() -> None:
    leaving = host("a1", status="DRAINING", groups={"service:web": 4})
    hosts = [leaving, host("a2"), host("b1", attributes={ZONE: "b"}, groups={"service:web": 1})]
    assert counts(place(hosts, asks(1, strategy=(Strategy(type="spread", field=ZONES),)), seed=1)) == {"a2": 1}


@pytest.mark.parametrize(("field", "full"), [("memory", "small"), ("cpu", "slow")])
def test_binpack_fills_the_host_with_the_least_left(field: str, full: str) -> None:
    hosts = [host("small", free_memory=2048), host("slow", free_cpu=1024), host("large")]
    plan = place(hosts, asks(4, strategy=(Strategy(type="binpack", field=field),)), seed=1)
    assert counts(plan) == {full: 4}


def test_a_chain_applies_its_links_in_order() -> None:
    hosts = [
        host("a-full", free_memory=1024),
        host("a-free"),
        host("b-full", free_memory=1024, attributes={ZONE: "b"}),
        host("b-free", attributes={ZONE: "b"}),
    ]
    chain = (Strategy(type="spread", field=ZONES), Strategy(type="binpack", field="memory"))
    placed = counts(place(hosts, asks(6, strategy=chain), seed=1))
    assert placed == {"a-full": 2, "b-full": 2, "a-free": 1, "b-free": 1}


def test_random_reaches_every_host_and_follows_its_seed() -> None:
    hosts = [host(f"h{number}") for number in range(4)]
    wild = asks(40, strategy=(Strategy(type="random"),))
    plans = [counts(place(hosts, wild, seed=seed)) for seed in (1, 1, 2)]
    assert len(plans[0]) == 4
    assert plans[0] == plans[1] != plans[2]


def test_placements_of_one_plan_see_each_other() -> None:
    web = asks(3, ports=((80, "tcp"),))
    plan = place([host("h1"), host("h2")], web, seed=1)
    assert counts(plan) == {"h1": 1, "h2": 1}
    assert plan.refused[0].text() == "host port 80/tcp: 2 hosts"


def test_a_port_is_taken_per_protocol() -> None:
    dns = replace(ASK, ports=((53, "udp"),))
    assert place([host("h1", ports=frozenset({(53, "tcp")}))], [dns], seed=1).placed


def test_distinct_instance_needs_a_host_without_the_group() -> None:
    rule = (Constraint(type="distinctInstance"),)
    plan = place([host("h1"), host("h2")], asks(3, constraints=rule), seed=1)
    assert len(plan.placed) == 2
    (refused,) = plan.refused
    assert refused.text() == "distinctInstance: 2 hosts"
    assert refused.failures()[0]["reason"] == "DistinctInstance placement constraint unsatisfied."


def test_member_of_keeps_to_the_hosts_that_the_expression_names() -> None:
    rule = Constraint(type="memberOf", expression="attribute:gpu exists")
    plan = place([host("h1"), host("h2", attributes={"gpu": None})], asks(2, constraints=(rule,)), seed=1)
    assert [placed.host for placed in plan.placed] == ["h2", "h2"]
    (refused,) = place([host("h1")], [replace(ASK, constraints=(rule,))], seed=1).refused
    assert refused.failures()[0]["reason"] == "MemberOf placement constraint unsatisfied."


def test_a_refusal_says_which_expression_left_hosts_out() -> None:
    rule = (Constraint(type="memberOf", expression="attribute:rack == r2"),)
    hosts = [host("h1", attributes={"rack": "r1"}), host("h2", attributes={"rack": "r2"}, free_memory=600)]
    plan = place(hosts, asks(2, constraints=rule), seed=1)
    assert counts(plan) == {"h2": 1}
    assert plan.refused[0].text() == (
        "memberOf attribute:rack == r2: 1 host; memory: 512 MiB asked, 88 free on h2 (1 host)"
    )


def test_an_expression_that_reads_tasks_sees_those_of_the_same_plan() -> None:
    few = (Constraint(type="memberOf", expression="runningTasksCount < 2"),)
    plan = place([host("h1"), host("h2", tasks=1)], asks(5, constraints=few), seed=1)
    assert counts(plan) == {"h1": 2, "h2": 1}


def test_a_refusal_counts_its_reasons_and_names_the_closest_host() -> None:
    hosts = [
        host("h1", free_memory=100),
        host("h2", free_memory=81),
        host("h3", free_memory=0),
        host("h4", status="DRAINING"),
    ]
    refused = one_refusal(hosts)
    assert refused.text() == "memory: 512 MiB asked, 100 free on h1 (3 hosts); draining: 1 host"
    assert refused.reasons[0].closest == "h1"
    assert refused.closest().host == "h1"


def test_failures_read_as_those_of_run_task() -> None:
    hosts = [
        host("h1", free_memory=0),
        host("h2", free_cpu=0),
        host("h3", ports=frozenset({(80, "tcp")})),
        host("h4", connected=False),
        host("h5", attributes={}),
        host("h6", status="DRAINING"),
        host("h7", free_addresses=0),
    ]
    ask = replace(ASK, ports=((80, "tcp"),), attributes=(RequiredAttribute(name=ZONE, value="a"),), address=True)
    assert one_refusal(hosts, ask).failures() == [
        {"arn": "h7", "reason": "RESOURCE:ENI"},
        {"arn": "h3", "reason": "RESOURCE:PORTS"},
        {"arn": "h2", "reason": "RESOURCE:CPU"},
        {"arn": "h1", "reason": "RESOURCE:MEMORY"},
        {"arn": "h5", "reason": "ATTRIBUTE"},
        {"arn": "h4", "reason": "AGENT"},
        {"arn": "h6", "reason": "INACTIVE"},
    ]


def test_an_empty_cluster_is_refused_in_words() -> None:
    refused = one_refusal([])
    assert refused.text() == "no container instances in the cluster"
    assert refused.failures() == [] and refused.closest() is None


def test_a_refusal_is_as_of_the_moment_of_the_ask() -> None:
    small = replace(ASK, id="small", memory=100)
    large = [replace(ASK, id=name, memory=900) for name in ("first", "second")]
    plan = place([host("h1", free_memory=800)], [large[0], small, large[1]], seed=1)
    assert [refused.reasons[0].free for refused in plan.refused] == [800, 700]


def test_faults_of_the_caller_are_exceptions() -> None:
    with pytest.raises(ValueError, match="negative"):
        place([host("h1")], [replace(ASK, cpu=-1)], seed=1)
    with pytest.raises(ValueError, match="same id"):
        place([host("h1"), host("h1")], [ASK], seed=1)
