"""Rebalancing over availability zones: a step at a time, at rest only, within the percentages."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.rollout import DeploymentSeen, ServiceSeen, TaskSeen, ZoneSeen, decide, events, may_rebalance

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=1)
D1 = DeploymentSeen(id="d1", status="PRIMARY", created_at=LONG_AGO, rollout_state="COMPLETED")
BEGUN = events.started_to_rebalance("web", "c", ["new"])


def service(desired: int | None = None, *, open_zones: str = "abc", young: int = 0, **zones: int) -> ServiceSeen:
    """A service with so many tasks in each zone; the last ``young`` of them have not settled."""
    names = [(zone, number) for zone, count in zones.items() for number in range(count)]
    tasks = tuple(
        TaskSeen(
            id=f"{zone}{number}",
            deployment_id="d1",
            last_status="RUNNING",
            created_at=LONG_AGO,
            started_at=NOW if order >= len(names) - young else LONG_AGO,
            host=f"host-{zone}",
            zone=zone,
        )
        for order, (zone, number) in enumerate(names)
    )
    return ServiceSeen(
        name="web",
        desired=len(tasks) if desired is None else desired,
        deployments=(D1,),
        tasks=tasks,
        rebalancing=True,
        zones=tuple(ZoneSeen(name=zone, tasks=count, open=zone in open_zones) for zone, count in zones.items()),
    )


def test_a_step_begins_with_one_more_where_fewest_are() -> None:
    plan = decide(service(a=3, b=2, c=1), NOW)
    assert [(start.count, start.zone) for start in plan.start] == [(1, "c")] and not plan.stop
    assert plan.events == (
        "(service web) is not AZ balanced with 3 tasks in a, 2 tasks in b and 1 tasks in c. "
        "AZ Rebalancing in progress.",
    )
    assert plan.steady, "the service has all it wants, wherever it is"


def test_the_second_half_waits_for_the_new_task_and_stops_one_where_most_are() -> None:
    seen = replace(service(desired=4, a=3, c=2, young=1), last_event=BEGUN)
    waiting = decide(seen, NOW)
    assert not waiting.stop and not waiting.start and not waiting.stuck
    plan = decide(seen, NOW + timedelta(minutes=1))
    assert len(plan.stop) == 1 and plan.stop[0].id.startswith("a")
    assert plan.events == (events.stopped_to_rebalance("web", "a", [plan.stop[0].id]),)


def test_a_step_that_nobody_began_is_a_surplus_like_any_other() -> None:
    plan = decide(service(desired=4, a=3, c=2, young=1), NOW)
    assert [stop.id for stop in plan.stop] == ["c1"], "what is not healthy yet goes first"


def test_what_is_even_is_told_once() -> None:
    done = replace(service(a=2, b=2), last_event=events.stopped_to_rebalance("web", "a", ["x"]))
    plan = decide(done, NOW)
    assert plan.events == (
        "(service web) is AZ balanced with 2 tasks in a and 2 tasks in b.",
        "(service web) has reached a steady state.",
    )
    assert decide(replace(done, last_event=plan.events[-1]), NOW).events == ()


@pytest.mark.parametrize(
    "seen",
    [
        service(a=2, b=1),
        service(a=3, b=3, c=2),
        service(a=4, b=0, open_zones="a"),
        replace(service(a=3, b=1), maximum_percent=100),
        replace(service(a=3, b=1), zones=()),
        replace(service(a=3, b=1), deployments=(replace(D1, rollout_state="FAILED"),)),
        replace(service(a=3, b=1), deployments=(replace(D1, failed_tasks=5, last_failure_at=NOW),)),
    ],
    ids=["by one", "two of three", "no host there", "no room above", "no zones", "given up", "pausing"],
)
def test_no_step_begins_where_none_is_to_be_made(seen: ServiceSeen) -> None:
    plan = decide(seen, NOW)
    assert not plan.start and not plan.stop


def test_no_step_begins_before_the_service_is_at_rest() -> None:
    assert not decide(service(a=3, b=1, young=1), NOW).start
    one_missing = decide(service(desired=5, a=3, b=1), NOW)
    assert [start.zone for start in one_missing.start] == [None]


def test_zones_matter_at_rest_and_in_the_midst_of_a_step_only() -> None:
    seen = service(a=3, b=1)
    assert may_rebalance(seen)
    assert may_rebalance(replace(seen, desired=3))
    assert not may_rebalance(replace(seen, desired=2)) and not may_rebalance(replace(seen, desired=9))
    assert not may_rebalance(replace(seen, rebalancing=False)) and not may_rebalance(replace(seen, status="DRAINING"))


@given(st.lists(st.integers(0, 12), min_size=2, max_size=5), st.integers(101, 200))
def test_step_by_step_it_becomes_even_and_never_has_more_than_one_too_many(counts: list[int], maximum: int) -> None:
    names = "abcde"[: len(counts)]
    zones = dict(zip(names, counts, strict=True))
    desired = sum(counts)
    last = None
    for _ in range(300):
        seen = replace(
            service(desired, open_zones=names, **zones),
            maximum_percent=maximum,
            minimum_healthy_percent=100,
            last_event=last,
        )
        plan = decide(seen, NOW)
        for start in plan.start:
            assert start.count == 1 and start.zone
            zones[start.zone] += 1
            last = events.started_to_rebalance("web", start.zone, ["new"])
        for stop in plan.stop:
            zones[stop.id[0]] -= 1
            last = plan.events[-1]
        assert desired <= sum(zones.values()) <= desired + 1
        if not plan.start and not plan.stop:
            break
    movable = desired > 1 and desired * maximum // 100 > desired
    assert not movable or max(zones.values()) - min(zones.values()) <= 1
