"""The reporter: takes every task's newest state to the control plane, for ever if need be.

Reports are absolute, so of those that wait only the newest of a task is sent; there is never more than one of a
task under way, so that they arrive in order. Tasks take turns as they changed, also when a control plane that was away
is back; only what it does not take for now lets the others pass. Nothing is lost in a crash: what was not acknowledged
is made again from the disk and the engine.
"""

import threading
from collections.abc import Callable
from datetime import timedelta

from agent.control.aws import ApiError, Calls, KeyRefused, Unreachable
from agent.log import facts
from agent.tasks import messages as m
from agent.tasks.model import Phase
from agent.tasks.reports import Report, changed_containers, render_container_change, render_report
from kit.clock import Clock, backoff

RETRY_FIRST = timedelta(milliseconds=200)
RETRY_MOST = timedelta(seconds=30)
IDLE = timedelta(hours=1)
THREADS = 4

log = facts(__name__)


class Reporter:
    """A queue of one place per task, and the threads that empty it."""

    def __init__(self, *, aws: Calls, clock: Clock, post: Callable[[m.Message], None]) -> None:
        self._aws = aws
        self._clock = clock
        self._post = post
        self._waiting: dict[str, Report] = {}
        self._under_way: set[str] = set()
        self._known: dict[str, Report] = {}
        self._failures = 0
        self._changed = threading.Condition()
        self._retry = threading.Event()
        self._open = False

    def open(self) -> None:
        """Begin to send: before the agent is registered nobody would understand its reports."""
        with self._changed:
            self._open = True
            self._changed.notify_all()

    def offer(self, report: Report) -> None:
        """Send this, and nothing older of the same task any more."""
        with self._changed:
            self._waiting.pop(report.task, None)
            self._waiting[report.task] = report
            self._changed.notify()

    def step(self) -> bool:
        """Send one report; False when there is none to send, or when sending it has failed."""
        with self._changed:
            report = self._take()
        if report is None:
            return False
        return self._send(report)

    def run(self, stop: threading.Event) -> None:
        """Send whatever waits, until told to stop."""
        while not stop.is_set():
            with self._changed:
                report = self._take()
                if report is None:
                    self._changed.wait(IDLE.total_seconds())
                    continue
            if not self._send(report) and not stop.is_set():
                self._clock.wait(self._retry, backoff(self._failures, first=RETRY_FIRST, most=RETRY_MOST))

    def stop(self) -> None:
        self._retry.set()
        with self._changed:
            self._changed.notify_all()

    def hurry(self) -> None:
        """The control plane is there again: what waits for its next attempt need not wait longer."""
        self._retry.set()
        self._retry.clear()

    def _take(self) -> Report | None:
        if not self._open:
            return None
        for task in self._waiting:
            if task not in self._under_way:
                self._under_way.add(task)
                return self._waiting.pop(task)
        return None

    def _send(self, report: Report) -> bool:
        try:
            self._submit(report)
        except (Unreachable, ApiError) as error:
            if isinstance(error, KeyRefused):
                self._again(report, "")
                return False
            if isinstance(error, Unreachable) or error.retriable:
                self._again(report, str(error), first=isinstance(error, Unreachable))
                return False
            # It will never be taken, in whatever way it is repeated: the control plane does not know the task.
            log.error("report refused for good", task=report.task, status=report.status, because=str(error))
        except Exception:
            log.surprise("report not sent", task=report.task)
            self._again(report, "a bug")
            return False
        with self._changed:
            self._failures = 0
            self._under_way.discard(report.task)
            if report.status is Phase.STOPPED:
                self._known.pop(report.task, None)
            else:
                self._known[report.task] = report
            self._changed.notify()
        self._post(m.Acknowledged(report))
        return True

    def _again(self, report: Report, because: str, *, first: bool = False) -> None:
        with self._changed:
            self._failures += 1
            self._under_way.discard(report.task)
            if report.task not in self._waiting:
                again = {report.task: report}
                self._waiting = again | self._waiting if first else self._waiting | again
        if because:
            log.warning("report not taken", task=report.task, status=report.status, because=because)

    def _submit(self, report: Report) -> None:
        if report.status is Phase.PENDING:
            for container in changed_containers(self._known.get(report.task), report):
                body = render_container_change(report, container)
                self._aws.call("ecs", "SubmitContainerStateChange", body)
            return
        self._aws.call("ecs", "SubmitTaskStateChange", render_report(report))
        log.info("report taken", task=report.task, status=report.status, because=report.reason or None)
