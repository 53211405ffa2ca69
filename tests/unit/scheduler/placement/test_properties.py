"""What always holds of a placement, whatever the cluster and the asks."""

from collections import Counter, defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.placement import Constraint, Fleet, Placed, Refused, eligible, place, place_group
from scheduler.placement.refusal import FAILURE_REASONS, Why
from tests.unit.scheduler.placement.worlds import batches, calm_batches, clusters, some_asks

seeds = st.integers(0, 2**32)
NAMED = ("RESOURCE:licence", "RESOURCE:disk")


def check_shares(hosts, takers) -> None:
    """No host gave more than it had to its takers: pairs of an ask and its GPUs, by host id."""
    for host in hosts:
        taken = takers.get(host.id, [])
        if not taken:
            continue
        asks = [ask for ask, _ in taken]
        assert host.status == "ACTIVE" and host.connected
        assert sum(ask.cpu for ask in asks) <= host.free_cpu
        assert sum(ask.memory for ask in asks) <= host.free_memory
        claimed = Counter(port for ask in asks for port in ask.ports)
        assert all(count == 1 and port not in host.ports for port, count in claimed.items())
        if host.free_addresses is not None:
            assert sum(ask.address for ask in asks) <= host.free_addresses
        for name in ("licence", "disk"):
            assert sum(dict(ask.resources).get(name, 0) for ask in asks) <= host.resources.get(name, 0)
        pinned = [gpu for _, gpus in taken for gpu in gpus]
        assert len(set(pinned)) == len(pinned) and set(pinned) <= set(host.gpus)
        assert all(len(gpus) == ask.gpus for ask, gpus in taken)
        for ask in asks:
            for wanted in ask.attributes:
                assert wanted.name in host.attributes
                assert wanted.value in (None, host.attributes[wanted.name])


@settings(max_examples=80)
@given(hosts=clusters, asks=batches, seed=seeds)
def test_no_host_is_ever_given_what_it_does_not_have(hosts, asks, seed) -> None:
    plan = place(hosts, asks, seed=seed)
    assert [result.ask for result in plan.results] == [ask.id for ask in asks]
    by_id = {ask.id: ask for ask in asks}
    takers = defaultdict(list)
    for placed in plan.placed:
        takers[placed.host].append((by_id[placed.ask], placed.gpus))
    check_shares(hosts, takers)


@settings(max_examples=80)
@given(hosts=clusters, groups=st.lists(st.tuples(some_asks, st.integers(1, 30)), max_size=4), seed=seeds)
def test_no_host_is_ever_given_more_by_groups_than_it_has(hosts, groups, seed) -> None:
    fleet = Fleet(hosts)
    takers = defaultdict(list)
    for ask, count in groups:
        plan = place_group(fleet, ask, count, seed=seed)
        assert plan.count + plan.missing == count
        assert (plan.refused is not None) == (plan.missing > 0)
        assert len({on.host for on in plan.on}) == len(plan.on)
        for on in plan.on:
            assert on.count > 0 and len(on.gpus) == (on.count if ask.gpus else 0)
            takers[on.host] += [(ask, gpus) for gpus in on.gpus or [()] * on.count]
    check_shares(hosts, takers)


@settings(max_examples=80)
@given(hosts=clusters, asks=batches, seed=seeds)
def test_every_task_is_put_where_its_constraints_hold_at_that_moment(hosts, asks, seed) -> None:
    fleet = Fleet(hosts)
    for ask in asks:
        before = {name: fleet.host(name) for name in fleet.ids()}
        for placed in place(fleet, [ask], seed=seed).placed:
            host = before[placed.host]
            assert eligible(host, ask.constraints)
            if Constraint(type="distinctInstance") in ask.constraints:
                assert not host.groups.get(ask.group)


@settings(max_examples=80)
@given(hosts=clusters, asks=calm_batches, seed=seeds, shuffle=st.randoms(use_true_random=False))
def test_the_order_in_which_a_fleet_came_to_know_its_hosts_decides_nothing(hosts, asks, seed, shuffle) -> None:
    mixed = list(hosts)
    shuffle.shuffle(mixed)
    one, other = Fleet(hosts), Fleet()
    for host in mixed:
        other.put(host)
    for ask in asks:
        assert place(one, [ask], seed=seed).placed == place(other, [ask], seed=seed).placed


@settings(max_examples=80)
@given(hosts=clusters, asks=batches, seed=seeds)
def test_what_is_refused_is_refused_again_by_the_same_hosts(hosts, asks, seed) -> None:
    fleet = Fleet(hosts)
    for ask in asks:
        for refused in place(fleet, [ask], seed=seed).refused:
            assert place(fleet, [ask], seed=seed + 1).results == (refused,)
            assert place([fleet.host(name) for name in fleet.ids()], [ask], seed=seed).refused


@settings(max_examples=80)
@given(hosts=clusters, asks=batches, seed=seeds, shuffle=st.randoms(use_true_random=False))
def test_the_same_seed_and_input_give_the_same_plan_in_any_order_of_hosts(hosts, asks, seed, shuffle) -> None:
    plan = place(hosts, asks, seed=seed)
    assert place(hosts, asks, seed=seed) == plan
    mixed = list(hosts)
    shuffle.shuffle(mixed)
    assert place(mixed, asks, seed=seed) == plan


@settings(max_examples=80)
@given(hosts=clusters, asks=batches, seed=seeds)
def test_a_refusal_accounts_for_every_host_and_a_lone_ask_is_refused_only_for_cause(hosts, asks, seed) -> None:
    for ask in asks:
        match place(hosts, [ask], seed=seed).results[0]:
            case Refused() as refused:
                assert sorted(one.host for one in refused.objections) == sorted(host.id for host in hosts)
                assert sum(reason.hosts for reason in refused.reasons) == len(hosts)
                assert len(refused.failures()) == len(hosts)
                assert {one["reason"] for one in refused.failures()} <= {*FAILURE_REASONS.values(), *NAMED}
                assert refused.text()
                for one in refused.objections:
                    if one.why is Why.MEMORY:
                        host = next(host for host in hosts if host.id == one.host)
                        assert (one.asked, one.free) == (ask.memory, host.free_memory)
                        assert one.asked > one.free
            case Placed() as placed:
                assert placed.host in {host.id for host in hosts}
