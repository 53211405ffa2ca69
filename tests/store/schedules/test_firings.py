"""Firings on both databases: retries, dead letters, what is given up and what is forgotten."""

from datetime import timedelta

import pytest

from kit.aws.errors import InvalidParameterException, ServiceUnavailable
from kit.clock import ManualClock
from scheduler.cron import parse
from scheduler.loops.timing import Timing, due_after, first_due, latest_due
from state.firings import cancel_firings, forget_firings
from state.schedules import get_schedule
from state.store import Session, Store
from tests.support.firings import QUEUE, START, Target, add, firings, letters, loop, refuse


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
