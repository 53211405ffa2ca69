"""The schedules loop on both databases: once each, whatever dies, however many run, however late."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from kit.aws.errors import AwsError, InvalidParameterException, ServiceUnavailable
from kit.clock import ManualClock
from scheduler.cron import parse
from scheduler.loops.invocation import Invocation, Invoke
from scheduler.loops.loop import Leases
from scheduler.loops.schedules import SchedulesLoop
from scheduler.loops.timing import Timing, due_after, first_due, latest_due, timing_of
from state.access_keys import AccessKey
from state.base import Base
from state.firings import DeadLetter, Firing, cancel_firings, forget_firings, list_firings
from state.schedule_groups import keep_default_group
from state.schedules import Schedule, get_schedule
from state.store import Session, Store

START = datetime(2030, 1, 1, tzinfo=UTC)
QUEUE = "arn:aws:sqs:us-east-1:123456789012:letters"


class Crash(BaseException):
    """The process dies here."""


class Target:
    """A target whose effect is one row in the firing's transaction, so that what was rolled back is not counted."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.calls: list[Invocation] = []
        self.trouble: Callable[[Invocation], BaseException | None] = lambda invocation: None

    def __call__(self, session: Session, invocation: Invocation) -> None:
        self.calls.append(invocation)
        number = session.scalar(select(func.count()).select_from(AccessKey))
        session.add(
            AccessKey(
                id=f"{invocation.token}-{number}",
                secret="",
                session_token=None,
                principal_arn=invocation.schedule_arn,
                actions=[],
                expires_at=None,
                created_at=invocation.scheduled_at,
            )
        )
        session.flush()
        trouble = self.trouble(invocation)
        if trouble is not None:
            raise trouble

    def effects(self) -> list[datetime]:
        """The due instants whose effect was kept."""
        rows = self.store.read(lambda session: session.scalars(select(AccessKey)).all())
        return sorted(row.created_at for row in rows)


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    store = Store(store_url)
    Base.metadata.create_all(store.engine)
    yield store
    store.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def target(store: Store) -> Target:
    return Target(store)


def loop(store: Store, clock: ManualClock, invoke: Invoke, holder: str = "one") -> SchedulesLoop:
    return SchedulesLoop(store, clock, Leases(store, clock, holder), invoke=invoke)


def add(store: Store, clock: ManualClock, expression: str, *, name: str = "s", **given: Any) -> str:
    """Write a schedule as the API does; answers its id."""
    target = {"Arn": "arn:aws:ecs:us-east-1:123456789012:cluster/c", **given.pop("target", {})}
    window = given.pop("window", 0)

    def work(session: Session) -> str:
        keep_default_group(session, now=clock.now())
        schedule = Schedule(
            id=name * 4,
            group_name="default",
            name=name,
            arn=f"arn:aws:scheduler:us-east-1:123456789012:schedule/default/{name}",
            state="ENABLED",
            expression=expression,
            timezone=given.get("timezone", "UTC"),
            start_at=given.get("start_at"),
            end_at=given.get("end_at"),
            target=target,
            detail={"FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": window}} if window else {},
            after_completion=given.get("after_completion", "NONE"),
            origin_at=clock.now(),
            created_at=clock.now(),
            modified_at=clock.now(),
        )
        schedule.next_due_at = first_due(timing_of(schedule))
        session.add(schedule)
        return schedule.id

    return store.transact(work)


def firings(store: Store, schedule_id: str) -> list[Firing]:
    return list(store.read(lambda session: list_firings(session, schedule_id)))


def letters(store: Store) -> list[DeadLetter]:
    return list(store.read(lambda session: session.scalars(select(DeadLetter)).all()))


def refuse(error: AwsError) -> Callable[[Invocation], BaseException | None]:
    return lambda invocation: error


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


def test_a_failure_that_may_pass_is_tried_again_with_growing_pauses(
    store: Store, clock: ManualClock, target: Target
) -> None:
    schedule = add(store, clock, "at(2030-01-01T00:00:00)")
    target.trouble = lambda invocation: ServiceUnavailable() if invocation.attempt < 4 else None
    running = loop(store, clock, target)
    pauses = []
    while (due := running.step()) is not None:
        pauses.append((due - clock.now()).total_seconds())
        clock.tick(seconds=pauses[-1])
    assert pauses == [2, 4, 8]
    assert [call.attempt for call in target.calls] == [1, 2, 3, 4]
    assert len({call.token for call in target.calls}) == 1
    assert target.effects() == [START]
    (firing,) = firings(store, schedule)
    assert (firing.status, firing.attempts) == ("SUCCEEDED", 4)


def test_a_request_that_is_wrong_is_not_tried_again(store: Store, clock: ManualClock, target: Target) -> None:
    schedule = add(store, clock, "at(2030-01-01T00:00:00)", target={"DeadLetterConfig": {"Arn": QUEUE}, "Input": "[]"})
    target.trouble = refuse(InvalidParameterException("No such thing."))
    assert loop(store, clock, target).step() is None
    (firing,) = firings(store, schedule)
    assert (firing.status, firing.error_code) == ("FAILED", "InvalidParameterException")
    (letter,) = letters(store)
    assert letter.body == "[]"
    assert letter.attributes["ERROR_MESSAGE"] == "No such thing."
    assert "EXHAUSTED_RETRY_CONDITION" not in letter.attributes


def test_retries_end_with_their_number(store: Store, clock: ManualClock, target: Target) -> None:
    policy = {"RetryPolicy": {"MaximumRetryAttempts": 2}, "DeadLetterConfig": {"Arn": QUEUE}}
    schedule = add(store, clock, "at(2030-01-01T00:00:00)", target=policy)
    target.trouble = refuse(ServiceUnavailable())
    running = loop(store, clock, target)
    while (due := running.step()) is not None:
        clock.tick(seconds=(due - clock.now()).total_seconds())
    assert len(target.calls) == 3
    assert firings(store, schedule)[0].status == "FAILED"
    assert letters(store)[0].attributes["EXHAUSTED_RETRY_CONDITION"] == "MaximumRetryAttempts"
    assert letters(store)[0].attributes["RETRY_ATTEMPTS"] == "2"


def test_retries_end_with_the_events_age(store: Store, clock: ManualClock, target: Target) -> None:
    policy = {"RetryPolicy": {"MaximumEventAgeInSeconds": 60}, "DeadLetterConfig": {"Arn": QUEUE}}
    add(store, clock, "at(2030-01-01T00:00:00)", target=policy)
    target.trouble = refuse(ServiceUnavailable())
    running = loop(store, clock, target)
    while (due := running.step()) is not None:
        clock.tick(seconds=(due - clock.now()).total_seconds())
    assert clock.now() <= START + timedelta(seconds=60)
    assert letters(store)[0].attributes["EXHAUSTED_RETRY_CONDITION"] == "MaximumEventAgeInSeconds"


def test_a_target_that_breaks_is_tried_again_and_does_not_stop_the_others(
    store: Store, clock: ManualClock, target: Target
) -> None:
    add(store, clock, "at(2030-01-01T00:00:00)", name="bad")
    add(store, clock, "at(2030-01-01T00:00:00)", name="good")
    target.trouble = lambda invocation: RuntimeError("a bug") if invocation.schedule_arn.endswith("bad") else None
    assert loop(store, clock, target).step() == START + timedelta(seconds=2)
    assert target.effects() == [START]


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


def test_a_schedule_waits_for_its_retries_before_it_deletes_itself(
    store: Store, clock: ManualClock, target: Target
) -> None:
    add(store, clock, "at(2030-01-01T00:00:00)", after_completion="DELETE")
    target.trouble = lambda invocation: ServiceUnavailable() if invocation.attempt == 1 else None
    running = loop(store, clock, target)
    running.step()
    assert store.read(lambda session: get_schedule(session, "default", "s")) is not None
    clock.tick(seconds=2)
    running.step()
    assert store.read(lambda session: get_schedule(session, "default", "s")) is None


def test_a_deleted_schedules_retries_are_given_up(store: Store, clock: ManualClock, target: Target) -> None:
    schedule_id = add(store, clock, "at(2030-01-01T00:00:00)")
    target.trouble = refuse(ServiceUnavailable())
    running = loop(store, clock, target)
    running.step()

    def remove(session: Session) -> None:
        schedule = get_schedule(session, "default", "s", hold=True)
        assert schedule is not None
        cancel_firings(session, schedule, at=clock.now())
        session.delete(schedule)

    store.transact(remove)
    clock.tick(minutes=1)
    assert running.step() is None
    assert len(target.calls) == 1
    assert firings(store, schedule_id)[0].status == "CANCELLED"


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


def test_old_firings_are_forgotten_with_their_letters(store: Store, clock: ManualClock, target: Target) -> None:
    schedule = add(store, clock, "rate(1 minute)", target={"DeadLetterConfig": {"Arn": QUEUE}})
    target.trouble = refuse(InvalidParameterException())
    running = loop(store, clock, target)
    for _ in range(5):
        running.step()
        clock.tick(minutes=1)
    before = START + timedelta(minutes=3)
    assert store.transact(lambda session: forget_firings(session, before=before, limit=2)) == 2
    assert store.transact(lambda session: forget_firings(session, before=before, limit=2)) == 1
    assert len(firings(store, schedule)) == len(letters(store)) == 2


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


@pytest.mark.parametrize(
    "expression",
    ["rate(1 minute)", "rate(7 hours)", "cron(*/5 * * * ? *)", "cron(0 0 1 1 ? *)", "cron(0-30 3 * * ? *)"],
)
def test_the_latest_missed_instant_is_the_one_that_walking_there_finds(expression: str) -> None:
    timing = Timing(expression=parse(expression), zone="Europe/Berlin", start=None, end=None, origin=START)
    known = first_due(timing)
    assert known is not None
    for late in (timedelta(0), timedelta(seconds=1), timedelta(hours=13, minutes=7), timedelta(days=20, seconds=5)):
        now = known + late
        walked, following = known, due_after(timing, known)
        while following is not None and following <= now:
            walked, following = following, due_after(timing, following)
        assert latest_due(timing, known, now) == walked
