"""The schedules loop on both databases: once each, whatever dies, however many run, however late."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from kit.clock import ManualClock
from scheduler.loops.schedules import SchedulesLoop
from state.firings import Firing
from state.loop import Leases
from state.schedules import get_schedule
from state.store import Session, Store
from tests.support.firings import QUEUE, START, Crash, Target, add, firings, letters, loop


def test_a_one_time_schedule_fires_once_at_its_instant(store: Store, clock: ManualClock, target: Target) -> None:
    schedule = add(store, clock, "at(2030-01-01T00:01:00)")
    running = loop(store, clock, target)
    assert running.step() == START + timedelta(minutes=1)
    assert target.calls == []
    clock.tick(seconds=60)
    assert running.step() is None
    clock.tick(hours=1)
    running.step()
    assert target.effects() == [START + timedelta(minutes=1)]
    (firing,) = firings(store, schedule)
    assert (firing.status, firing.attempts) == ("SUCCEEDED", 1)


def test_a_rate_fires_at_once_and_then_every_period(store: Store, clock: ManualClock, target: Target) -> None:
    add(store, clock, "rate(5 minutes)")
    running = loop(store, clock, target)
    for _ in range(11):
        running.step()
        clock.tick(minutes=1)
    assert target.effects() == [START, START + timedelta(minutes=5), START + timedelta(minutes=10)]


def test_cron_follows_the_zones_clock(store: Store, clock: ManualClock, target: Target) -> None:
    add(store, clock, "cron(0 9 * * ? *)", timezone="America/New_York")
    due = loop(store, clock, target).step()
    assert due == datetime(2030, 1, 1, 14, tzinfo=UTC)


def test_what_was_missed_while_down_fires_once_for_the_latest(store: Store, clock: ManualClock, target: Target) -> None:
    schedule = add(store, clock, "rate(1 minute)")
    clock.tick(hours=5, seconds=30)
    running = loop(store, clock, target)
    due = running.step()
    assert target.effects() == [START + timedelta(hours=5)]
    assert due == START + timedelta(hours=5, minutes=1)
    assert [firing.status for firing in firings(store, schedule)] == ["SUCCEEDED"]


def test_what_is_older_than_its_policy_allows_is_recorded_as_missed(
    store: Store, clock: ManualClock, target: Target
) -> None:
    policy = {"RetryPolicy": {"MaximumEventAgeInSeconds": 60}, "DeadLetterConfig": {"Arn": QUEUE}, "Input": "{}"}
    schedule = add(store, clock, "at(2030-01-01T00:01:00)", target=policy)
    clock.tick(minutes=2, seconds=1)
    assert loop(store, clock, target).step() is None
    assert target.calls == []
    (firing,) = firings(store, schedule)
    assert firing.status == "MISSED"
    (letter,) = letters(store)
    assert letter.queue_arn == QUEUE
    assert letter.attributes["EXHAUSTED_RETRY_CONDITION"] == "MaximumEventAgeInSeconds"
    assert letter.attributes["SCHEDULED_TIME"] == "2030-01-01T00:01:00Z"


def test_a_crash_at_any_point_neither_loses_nor_repeats_a_firing(
    store: Store, clock: ManualClock, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = add(store, clock, "at(2030-01-01T00:00:00)")
    # In the middle of the target: its effect is rolled back with the record.
    target.trouble = lambda invocation: Crash()
    with pytest.raises(Crash):
        loop(store, clock, target, "first").step()
    assert target.effects() == []
    assert [firing.status for firing in firings(store, schedule)] == ["PENDING"]
    # Right after the commit, before anything else could be told.
    target.trouble = lambda invocation: None
    clock.tick(seconds=20)
    second = loop(store, clock, target, "second")
    monkeypatch.setattr("scheduler.loops.schedules._next_instant", lambda session: (_ for _ in ()).throw(Crash()))
    with pytest.raises(Crash):
        second.step()
    monkeypatch.undo()
    clock.tick(seconds=20)
    loop(store, clock, target, "third").step()
    assert target.effects() == [START]
    assert len(target.calls) == 2


def test_two_schedulers_that_both_think_they_lead_fire_once(store: Store, clock: ManualClock, target: Target) -> None:
    schedule = add(store, clock, "rate(1 minute)")
    one, two = loop(store, clock, target, "one"), loop(store, clock, target, "two")
    stale = two.store.read(lambda session: two.observe(session, clock.now()))
    one.step()
    # The second saw the schedule before the first took it up, and lost nothing but time since.
    plan = two.decide(stale, clock.now())
    store.transact(lambda session: two.record(session, plan or [], clock.now()))
    clock.tick(seconds=20)
    two.step()
    one.step()
    assert target.effects() == [START]
    assert len(firings(store, schedule)) == 1


def test_a_scheduler_without_the_lease_does_nothing(store: Store, clock: ManualClock, target: Target) -> None:
    add(store, clock, "rate(1 minute)")
    held = Leases(store, clock, "other")
    assert held.hold("schedules") is not None
    assert loop(store, clock, target).step() is None
    assert target.calls == []


def test_two_schedulers_that_take_the_lease_from_each_other_fire_everything_once(
    store: Store, clock: ManualClock, target: Target
) -> None:
    for index in range(12):
        add(store, clock, "at(2030-01-01T00:00:00)", name=f"s{index}")

    def run(holder: str) -> None:
        running = SchedulesLoop(store, clock, Leases(store, clock, holder, seize=True), invoke=target)
        for _ in range(6):
            running.step()
            running.leases.forget(running.name)

    with ThreadPoolExecutor(3) as pool:
        for future in [pool.submit(run, holder) for holder in ("one", "two", "three")]:
            future.result()
    assert target.effects() == [START] * 12
    statuses = store.read(lambda session: session.scalars(select(Firing.status)).all())
    assert list(statuses) == ["SUCCEEDED"] * 12


def test_a_flexible_window_spreads_the_invocation_and_keeps_the_scheduled_time(
    store: Store, clock: ManualClock, target: Target
) -> None:
    for index in range(8):
        add(store, clock, "at(2030-01-01T00:00:00)", name=f"s{index}", window=10)
    running = loop(store, clock, target)
    at: set[datetime] = set()
    while (due := running.step()) is not None:
        at.add(due)
        clock.tick(seconds=(due - clock.now()).total_seconds())
    assert len(at) > 3
    assert all(START <= moment < START + timedelta(minutes=10) for moment in at)
    assert target.effects() == [START] * 8


def test_a_completed_schedule_deletes_itself_when_told_to(store: Store, clock: ManualClock, target: Target) -> None:
    add(store, clock, "at(2030-01-01T00:00:00)", name="once", after_completion="DELETE")
    add(store, clock, "at(2030-01-01T00:00:00)", name="kept")
    end = START + timedelta(minutes=2)
    add(store, clock, "rate(1 minute)", name="rate", after_completion="DELETE", end_at=end)
    running = loop(store, clock, target)

    def there(name: str) -> bool:
        return store.read(lambda session: get_schedule(session, "default", name)) is not None

    running.step()
    assert (there("once"), there("kept"), there("rate")) == (False, True, True)
    for _ in range(3):
        clock.tick(minutes=1)
        running.step()
    assert not there("rate")
    assert target.effects() == [START] * 3 + [START + timedelta(minutes=1), end]


def test_a_disabled_schedule_does_not_fire(store: Store, clock: ManualClock, target: Target) -> None:
    add(store, clock, "rate(1 minute)")

    def disable(session: Session) -> None:
        schedule = get_schedule(session, "default", "s", hold=True)
        assert schedule is not None
        schedule.state = "DISABLED"

    store.transact(disable)
    assert loop(store, clock, target).step() is None
    assert target.calls == []


def test_more_than_one_bite_is_due(store: Store, clock: ManualClock, target: Target) -> None:
    for index in range(130):
        add(store, clock, "at(2030-01-01T00:00:00)", name=f"s{index:03}")
    running = loop(store, clock, target)
    steps = 0
    while running.step() is not None:
        steps += 1
    assert steps == 1
    assert len(target.effects()) == 130


def test_the_context_attributes_are_filled_in(store: Store, clock: ManualClock, target: Target) -> None:
    text = "<aws.scheduler.schedule-arn> <aws.scheduler.scheduled-time> <aws.scheduler.attempt-number>"
    add(store, clock, "at(2030-01-01T00:00:00)", target={"Input": f"{text} <aws.scheduler.execution-id>"})
    clock.tick(seconds=3)
    loop(store, clock, target).step()
    (call,) = target.calls
    arn = "arn:aws:scheduler:us-east-1:123456789012:schedule/default/s"
    assert call.input == f"{arn} 2030-01-01T00:00:00Z 1 {call.token}"


def test_the_alarm_is_set_to_the_next_instant(store: Store, clock: ManualClock, target: Target) -> None:
    class Rung:
        def __init__(self) -> None:
            self.at: list[datetime | None] = []

        def set(self, at: datetime | None) -> None:
            self.at.append(at)

    alarm = Rung()
    add(store, clock, "at(2030-01-01T00:01:00)")
    running = SchedulesLoop(store, clock, Leases(store, clock, "one"), invoke=target, alarm=alarm)
    running.step()
    clock.tick(minutes=1)
    running.step()
    assert alarm.at == [START + timedelta(minutes=1), None]
