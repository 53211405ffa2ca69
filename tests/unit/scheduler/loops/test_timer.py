"""The timer wakes at the instant it was last set to."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from apscheduler.schedulers.background import BackgroundScheduler

from kit.clock import SystemClock
from scheduler.loops.timer import Timer

FAR = datetime(2990, 1, 1, tzinfo=UTC)


@pytest.fixture
def woken() -> threading.Event:
    return threading.Event()


@pytest.fixture
def scheduler() -> Iterator[BackgroundScheduler]:
    scheduler = BackgroundScheduler(timezone=UTC, job_defaults={"misfire_grace_time": None})
    yield scheduler
    if scheduler.running:
        scheduler.shutdown(wait=False)


def instants(scheduler: BackgroundScheduler) -> list[datetime]:
    return [job.trigger.run_date for job in scheduler.get_jobs()]


def test_a_timer_wakes_at_its_instant(woken: threading.Event) -> None:
    timer = Timer(woken.set)
    timer.set(SystemClock().now() + timedelta(milliseconds=20))
    assert woken.wait(30)
    timer.stop()


def test_timers_that_are_stopped_as_they_wake_are_stopped_in_peace(monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", failures.append)
    for _ in range(100):
        woken = threading.Event()
        timer = Timer(woken.set)
        timer.set(datetime(2020, 1, 1, tzinfo=UTC))
        assert woken.wait(30)
        timer.stop()
    assert failures == []


def test_an_instant_in_the_past_wakes_at_once(woken: threading.Event) -> None:
    timer = Timer(woken.set)
    timer.set(datetime(2020, 1, 1, tzinfo=UTC))
    assert woken.wait(30)
    timer.stop()


def test_only_the_last_instant_set_counts(woken: threading.Event, scheduler: BackgroundScheduler) -> None:
    timer = Timer(woken.set, scheduler=scheduler)
    for days in (3, 1, 2, 2):
        timer.set(FAR + timedelta(days=days))
    assert instants(scheduler) == [FAR + timedelta(days=2)]
    timer.set(None)
    timer.set(None)
    assert instants(scheduler) == []
    assert not woken.is_set()


def test_a_timer_that_was_never_set_is_stopped_in_peace(woken: threading.Event) -> None:
    timer = Timer(woken.set)
    timer.stop()
    timer.stop()
