"""What always holds of a placement, whatever the cluster and the asks."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.placement import Placed, Refused, place
from scheduler.placement.refusal import FAILURE_REASONS, Why
from tests.unit.scheduler.placement.worlds import batches, clusters

seeds = st.integers(0, 2**32)


@settings(max_examples=150)
@given(hosts=clusters, asks=batches, seed=seeds)
def test_no_host_is_ever_given_what_it_does_not_have(hosts, asks, seed) -> None:
    plan = place(hosts, asks, seed=seed)
    assert [result.ask for result in plan.results] == [ask.id for ask in asks]
    assigned = {placed.ask: placed.host for placed in plan.placed}
    for host in hosts:
        taken = [ask for ask in asks if assigned.get(ask.id) == host.id]
        if not taken:
            continue
        assert host.status == "ACTIVE" and host.connected
        assert sum(ask.cpu for ask in taken) <= host.free_cpu
        assert sum(ask.memory for ask in taken) <= host.free_memory
        claimed = Counter(port for ask in taken for port in ask.ports)
        assert all(count == 1 and port not in host.ports for port, count in claimed.items())
        if host.free_addresses is not None:
            assert sum(ask.address for ask in taken) <= host.free_addresses
        for ask in taken:
            for wanted in ask.attributes:
                assert wanted.name in host.attributes
                assert wanted.value in (None, host.attributes[wanted.name])


@settings(max_examples=100)
@given(hosts=clusters, asks=batches, seed=seeds)
def test_a_distinct_instance_ask_never_joins_its_own_group(hosts, asks, seed) -> None:
    members = {host.id: Counter(host.groups) for host in hosts}
    by_id = {ask.id: ask for ask in asks}
    for placed in place(hosts, asks, seed=seed).placed:
        ask = by_id[placed.ask]
        if ask.constraints:
            assert members[placed.host][ask.group] == 0
        members[placed.host][ask.group] += 1


@settings(max_examples=100)
@given(hosts=clusters, asks=batches, seed=seeds, shuffle=st.randoms(use_true_random=False))
def test_the_same_seed_and_input_give_the_same_plan_in_any_order_of_hosts(hosts, asks, seed, shuffle) -> None:
    plan = place(hosts, asks, seed=seed)
    assert place(hosts, asks, seed=seed) == plan
    mixed = list(hosts)
    shuffle.shuffle(mixed)
    assert place(mixed, asks, seed=seed) == plan


@settings(max_examples=100)
@given(hosts=clusters, asks=batches, seed=seeds)
def test_a_refusal_accounts_for_every_host_and_a_lone_ask_is_refused_only_for_cause(hosts, asks, seed) -> None:
    for ask in asks:
        match place(hosts, [ask], seed=seed).results[0]:
            case Refused() as refused:
                assert sorted(one.host for one in refused.objections) == sorted(host.id for host in hosts)
                assert sum(reason.hosts for reason in refused.reasons) == len(hosts)
                assert len(refused.failures()) == len(hosts)
                assert {one["reason"] for one in refused.failures()} <= set(FAILURE_REASONS.values())
                assert refused.text()
                for one in refused.objections:
                    if one.why is Why.MEMORY:
                        host = next(host for host in hosts if host.id == one.host)
                        assert (one.asked, one.free) == (ask.memory, host.free_memory)
                        assert one.asked > one.free
            case Placed() as placed:
                assert placed.host in {host.id for host in hosts}
