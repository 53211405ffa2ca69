"""Consolidation: the hosts named are really empty after the moves, and nothing is disturbed beyond the budget."""

from collections import Counter, defaultdict
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.placement import Ask, Constraint, Host
from scheduler.placement.consolidation import Budget, Move, Resident, plan_consolidation, spare_tasks
from tests.unit.scheduler.placement.worlds import ASK, host

CPU, MEMORY = 4096, 8192
WEB, DB = "service:web", "service:db"
PLENTY = Budget(moves=100, spare={WEB: 100, DB: 100})
DISTINCT = (Constraint(type="distinctInstance"),)


def town(*houses: list[Ask], **changes) -> tuple[list[Host], list[Resident]]:
    """Hosts h0, h1, … with these tasks on them, and the tasks."""
    hosts, residents = [], []
    for number, asks in enumerate(houses):
        hosts.append(
            host(
                f"h{number}",
                free_cpu=CPU - sum(ask.cpu for ask in asks),
                free_memory=MEMORY - sum(ask.memory for ask in asks),
                ports=frozenset(port for ask in asks for port in ask.ports),
                tasks=len(asks),
                groups=dict(Counter(ask.group for ask in asks)),
                **changes,
            )
        )
        residents += [Resident(ask=ask, host=f"h{number}") for ask in asks]
    return hosts, residents


def task(name: str, cpu: int = 1024, memory: int = 1024, **changes) -> Ask:
    return replace(ASK, id=name, cpu=cpu, memory=memory, **changes)


def test_the_emptiest_host_moves_onto_the_others() -> None:
    hosts, residents = town([task("a", 2048)], [task("b"), task("c", 2048)], [task("d")])
    plan = plan_consolidation(hosts, residents, PLENTY)
    assert plan.emptied == ("h2",)
    assert [(move.task, move.source) for move in plan.moves] == [("d", "h2")]
    assert plan_consolidation(*town([task("a")]), PLENTY).moves == ()


def test_a_host_is_emptied_whole_or_left_alone() -> None:
    hosts, residents = town([task("a", 3072)], [task("b", 3072)], [task("c"), task("d"), task("e")])
    assert plan_consolidation(hosts, residents, PLENTY).moves == ()
    assert plan_consolidation(hosts, residents, replace(PLENTY, moves=2)).moves == ()


def test_an_empty_host_takes_nothing() -> None:
    hosts, residents = town([task("a")], [])
    assert plan_consolidation(hosts, residents, PLENTY).moves == ()


def test_what_the_budget_does_not_name_or_spare_stays() -> None:
    hosts, residents = town([task("a"), task("b")], [task("c", group=DB)], [task("d", group="family:one-off")])
    assert plan_consolidation(hosts, residents, replace(PLENTY, spare={WEB: 9})).emptied == ("h0",)
    only_one = plan_consolidation(hosts, residents, Budget(moves=9, spare={WEB: 1, DB: 1}))
    assert only_one.emptied == ("h1",)
    assert plan_consolidation(hosts, residents, Budget(moves=0, spare={DB: 1})).moves == ()


def test_a_host_with_tasks_that_nobody_told_of_is_not_emptied() -> None:
    hosts, residents = town([task("a"), task("b")], [task("c", 2048), task("d")])
    told = [one for one in residents if one.ask.id not in ("b", "d")]
    assert plan_consolidation(hosts, told, PLENTY).moves == ()


def test_constraints_and_ports_hold_on_the_new_host() -> None:
    apart = town([task("a", constraints=DISTINCT)], [task("b", constraints=DISTINCT), task("c", group=DB)])
    assert plan_consolidation(*apart, PLENTY).moves == ()
    same_port = town([task("a", ports=((80, "tcp"),))], [task("b", ports=((80, "tcp"),)), task("c")])
    assert plan_consolidation(*same_port, PLENTY).moves == ()
    rack = (Constraint(type="memberOf", expression="attribute:rack == r1"),)
    hosts, residents = town([task("a", constraints=rack)], [task("b", group=DB), task("c", group=DB)])
    assert plan_consolidation(hosts, residents, Budget(moves=9, spare={WEB: 9})).moves == ()


def test_a_draining_host_takes_nothing_and_is_not_counted() -> None:
    hosts, residents = town([task("a")], [task("b"), task("c")])
    hosts[1] = replace(hosts[1], status="DRAINING")
    assert plan_consolidation(hosts, residents, PLENTY).moves == ()


def test_spare_tasks_are_those_above_the_minimum_or_with_room_for_a_successor() -> None:
    assert spare_tasks(4, 4, 50, 100) == 2
    assert spare_tasks(3, 3, 50, 100) == 1
    assert spare_tasks(4, 4, 100, 149) == 1
    assert spare_tasks(4, 4, 100, 124) == 0
    assert spare_tasks(4, 4, 75, 125) == 2
    assert spare_tasks(4, 4, 100, 400) == 4
    assert spare_tasks(2, 4, 50, 200) == 0
    assert spare_tasks(3, 4, 50, 200) == 1


tasks = st.builds(
    Ask,
    id=st.uuids().map(str),
    cpu=st.sampled_from([256, 700, 1024]),
    memory=st.sampled_from([512, 1000, 2048]),
    ports=st.sampled_from([(), (), (), ((80, "tcp"),)]),
    constraints=st.sampled_from([(), (), DISTINCT]),
    group=st.sampled_from([WEB, DB, "family:one-off"]),
)


def _lives(asks: list[Ask]) -> bool:
    ports = [port for ask in asks for port in ask.ports]
    groups = Counter(ask.group for ask in asks)
    return len(ports) == len(set(ports)) and not any(ask.constraints and groups[ask.group] > 1 for ask in asks)


houses = st.lists(st.lists(tasks, max_size=4).filter(_lives), max_size=7)
budgets = st.builds(
    Budget,
    moves=st.integers(0, 12),
    spare=st.dictionaries(st.sampled_from([WEB, DB]), st.integers(0, 6)),
)


@given(houses=houses, budget=budgets)
@settings(max_examples=200)
def test_after_the_moves_everything_holds(houses, budget) -> None:
    hosts, residents = town(*houses)
    plan = plan_consolidation(hosts, residents, budget)
    at = {resident.ask.id: resident.host for resident in residents}
    asks = {resident.ask.id: resident.ask for resident in residents}
    assert len(plan.moves) <= budget.moves
    moved = Counter(asks[move.task].group for move in plan.moves)
    assert all(count <= budget.spare.get(group, 0) for group, count in moved.items())
    for move in plan.moves:
        assert at[move.task] == move.source
        at[move.task] = move.target
    after: dict[str, list[Ask]] = defaultdict(list)
    for name, where in at.items():
        after[where].append(asks[name])
    for there in after.values():
        assert sum(ask.cpu for ask in there) <= CPU
        assert sum(ask.memory for ask in there) <= MEMORY
    for target in {move.target for move in plan.moves}:
        ports = [port for ask in after[target] for port in ask.ports]
        assert len(ports) == len(set(ports))
        newcomers = {move.task for move in plan.moves if move.target == target}
        groups = Counter(ask.group for ask in after[target])
        assert not any(asks[name].constraints and groups[asks[name].group] > 1 for name in newcomers)
    assert not any(after[name] for name in plan.emptied)
    before = {resident.host for resident in residents}
    assert before - {name for name, there in after.items() if there} == set(plan.emptied)
    assert {move.source for move in plan.moves} == set(plan.emptied)


@given(houses=houses, budget=budgets)
@settings(max_examples=60)
def test_the_same_world_gives_the_same_plan_in_whatever_order_it_is_told(houses, budget) -> None:
    hosts, residents = town(*houses)
    plan = plan_consolidation(hosts, residents, budget)
    assert plan == plan_consolidation(hosts[::-1], residents[::-1], budget)


def test_no_task_moves_twice() -> None:
    hosts, residents = town([task("a")], [task("b")], [task("c")], [task("d")])
    plan = plan_consolidation(hosts, residents, PLENTY)
    assert len({move.task for move in plan.moves}) == len(plan.moves)
    assert {move.target for move in plan.moves}.isdisjoint(plan.emptied)
    assert isinstance(plan.moves[0], Move)
