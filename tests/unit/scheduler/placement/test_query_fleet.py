"""A fleet answers cluster queries for all its hosts at once, and as each host would by itself."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.placement import Constraint, Fleet, Refused, Why, parse, place
from scheduler.placement.query import MOST_CHARACTERS
from scheduler.placement.query_tree import render
from tests.unit.scheduler.placement.queries import SEEN, trees
from tests.unit.scheduler.placement.worlds import ASK, HOST

ROOMY = {"free_cpu": 10_000, "free_memory": 10_000, "status": "ACTIVE", "ports": frozenset()}
fleets = st.lists(
    st.builds(
        replace,
        st.sampled_from([SEEN, HOST]),
        id=st.uuids().map(str),
        tasks=st.integers(0, 4),
        groups=st.dictionaries(st.sampled_from(["service:web", "10", "database"]), st.integers(0, 2)),
        attributes=st.dictionaries(
            st.sampled_from(["rack", "bare", "gpu"]), st.sampled_from([None, "", "9", "10", "10.0", "us-east-1a", "b"])
        ),
        agent_version=st.sampled_from(["", "1.14.5", "1.15", "dev"]),
        registered_at=st.sampled_from([None, SEEN.registered_at]),
        instance_id=st.sampled_from(["", "i-1"]),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda host: host.id,
)


@settings(max_examples=200)
@given(hosts=fleets, tree=trees, taken=st.integers(0, 3))
def test_placement_goes_exactly_where_the_expression_is_true(hosts, tree, taken) -> None:
    expression = render(tree)
    if len(expression) > MOST_CHARACTERS:
        return
    fleet = Fleet([replace(host, **ROOMY) for host in hosts])
    place(fleet, [replace(ASK, id=f"before-{number}", group="service:web") for number in range(taken)], seed=1)
    now = {host.id: fleet.host(host.id) for host in hosts}
    named = {name for name, host in now.items() if host.connected and parse(expression).matches(host)}
    ask = replace(ASK, constraints=(Constraint(type="memberOf", expression=expression),))
    (result,) = place(fleet, [ask], seed=2).results
    match result:
        case Refused():
            assert named == set()
            told = {objection.host for objection in result.objections if objection.why is Why.MEMBER_OF}
            assert told == {name for name, host in now.items() if host.connected}
        case placed:
            assert placed.host in named
