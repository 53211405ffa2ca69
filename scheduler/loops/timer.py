"""The timer: APScheduler wakes the schedules loop at the next due instant.

It holds one job in memory and nothing that matters: the store says what is due, the loop sets the timer at each look,
and a timer that is late, lost or early costs no more than the loop's own safety net.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import BaseScheduler
from apscheduler.triggers.date import DateTrigger

_JOB = "next"


class Timer:
    """Calls ``wake`` (quick, thread-safe) at the instant it was last set to."""

    def __init__(self, wake: Callable[[], None], *, scheduler: BaseScheduler | None = None) -> None:
        self._wake = wake
        self._scheduler = scheduler or BackgroundScheduler(
            jobstores={"default": MemoryJobStore()},
            timezone=UTC,
            # However late it runs, it runs: the loop finds out what is due by itself.
            job_defaults={"misfire_grace_time": None, "coalesce": True},
        )

    def set(self, at: datetime | None) -> None:
        """Wake at ``at`` and not at the instant set before; None: not at all."""
        if not self._scheduler.running:
            self._scheduler.start()
        if at is None:
            self._scheduler.remove_all_jobs()
            return
        job = self._scheduler.get_job(_JOB)
        if job is not None and job.trigger.run_date == at:
            return
        self._scheduler.add_job(self._wake, DateTrigger(run_date=at, timezone=UTC), id=_JOB, replace_existing=True)

    def stop(self) -> None:
        if self._scheduler.running:
            # A job that is being run is to be removed by the scheduler's own thread, which fails once it is shut down.
            self._scheduler.remove_all_jobs()
            self._scheduler.shutdown(wait=False)
