"""The task engine: takes in messages, decides, and hands actions to an executor, one ``step`` at a time.

Only ``step`` writes to the tasks, so they need no locks; everything else posts messages. What must survive a
crash is on the disk before anybody is told of it. Without threads and real time (an executor that runs actions
when told, a manual clock, the simulated runtime) a test drives the same engine instruction by instruction.
"""

import queue
import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, Protocol

from agent.executor import Executor
from agent.log import facts
from agent.runtime import ContainerState, Event, Kind
from agent.tasks import messages as m
from agent.tasks.actions import Actions
from agent.tasks.apply import apply_event, apply_outcome
from agent.tasks.board import Board, ended_report
from agent.tasks.decide import Examine, GiveUp, Launch, Remove, Restart, Stop, Wait, decide
from agent.tasks.files import TaskFiles
from agent.tasks.model import Busy, Container, Phase, Task
from agent.tasks.patience import patient
from agent.tasks.removals import Removals
from agent.tasks.render import CONTAINER_LABEL, TASK_LABEL
from agent.tasks.reports import Report, report_of, worth_sending
from agent.tasks.stale import StaleCopies
from kit.clock import Clock, backoff

RETRY_FIRST = timedelta(milliseconds=250)
RETRY_MOST = timedelta(seconds=30)
SURVEY_PAUSE = timedelta(seconds=1)
DISK_PAUSE = timedelta(seconds=1)
LONGEST_WAIT = timedelta(hours=1)
SURVEY = ""

log = facts(__name__)


class Reports(Protocol):
    """Takes reports to the control plane, and posts ``messages.Acknowledged`` when one has arrived."""

    def offer(self, report: Report) -> None: ...


class Engine:
    """All tasks of this host.

    ``clock`` says when something was, ``steady`` when something is due, whatever happens to the machine's clock.
    """

    def __init__(
        self,
        *,
        actions: Actions,
        executor: Executor,
        files: TaskFiles,
        clock: Clock,
        steady: Clock | None = None,
        reports: Reports,
        on_health: Callable[[], None] = lambda: None,
        on_runtime: Callable[[bool], None] = lambda ok: None,
    ) -> None:
        self._actions = actions
        self._executor = executor
        self._files = files
        self._clock = clock
        self._steady = steady or clock
        self._reports = reports
        self._on_health = on_health
        self._on_runtime = on_runtime
        self._board = Board(actions=actions, files=files, clock=clock, on_health=on_health)
        self._stale = StaleCopies()
        self._removals = Removals()
        self._inbox: queue.SimpleQueue[m.Message] = queue.SimpleQueue()
        self._wake = threading.Event()
        self._due: dict[str, datetime] = {}
        self._kept: dict[str, list[Callable[[], None]]] = {}
        self._noted: set[str] = set()
        self._unsettled: dict[str, None] = {}

    def post(self, message: m.Message) -> None:
        """Hand in a message, from any thread."""
        self._inbox.put(message)
        self._wake.set()

    def step(self) -> bool:
        """Take in everything that has arrived or is due, act on it; say whether there was anything.

        Nothing that can be begun waits for the disk: what is to be kept of the tasks is kept after that, until
        something new arrives, which comes first again.
        """
        now = self._steady.now()
        arrived = False
        while (message := self._next()) is not None:
            arrived = True
            # Noted, so that a step that fails in the midst of its work leaves the rest of it to the next one.
            self._due |= dict.fromkeys(self._take(message), now)
        for arn in [arn for arn, due in self._due.items() if due <= now]:
            del self._due[arn]
            self._unsettled[arn] = None
            if arn == SURVEY:
                self._survey()
            elif task := self._board.tasks.get(arn):
                self._advance(task, now)
        settled = False
        while self._unsettled and not (settled and not self._inbox.empty()):
            settled = True
            arn = next(iter(self._unsettled))
            del self._unsettled[arn]
            if task := self._board.tasks.get(arn):
                self._settle(task)
                if all(container.phase is Phase.STOPPED for container in task.containers.values()):
                    self._due |= dict.fromkeys(self._stale.ended(arn), now)
        return arrived or settled

    def run(self, stop: threading.Event) -> None:
        """Step whenever there is something to do, until told to stop."""
        while not stop.is_set():
            self._wake.clear()
            try:
                self.step()
            except Exception:
                log.surprise("step failed")
            if self._inbox.empty():
                self._steady.wait(self._wake, self.until_due())

    def wake(self) -> None:
        """Let ``run`` look whether it is to stop."""
        self._wake.set()

    def until_due(self) -> timedelta:
        """How long nothing has to be done if nothing arrives."""
        if self._unsettled:
            return timedelta(0)
        now = self._steady.now()
        soonest = min(self._due.values(), default=now + LONGEST_WAIT)
        return max(timedelta(0), min(LONGEST_WAIT, soonest - now))

    def recover(self, found: Iterable[ContainerState]) -> None:
        """Take over from an earlier run: the tasks on disk and the containers on the engine, none restarted."""
        for arn in self._board.recover(found):
            self.post(m.Look(task=arn))

    def tasks(self) -> tuple[Task, ...]:
        """Every task known, for reading, from any thread."""
        return tuple(self._board.tasks.copy().values())

    # What arrives. Each answers the tasks that it touched.

    def _next(self) -> m.Message | None:
        try:
            return self._inbox.get_nowait()
        except queue.Empty:
            return None

    def _take(self, message: m.Message) -> Iterable[str]:
        match message:
            case m.Arrived():
                return self._arrived(message)
            case m.Unrunnable():
                self._unrunnable(message)
            case m.Manifest():
                stale = self._board.not_in(message.running)
                freed = self._stale.found(stale, self._steady.now())
                message.answer(stale)
                return freed
            case m.StopThese():
                freed = self._stale.told_to_stop(message.tasks)
                return [*freed, *(arn for arn in message.tasks if self._board.stop(arn, message.reason))]
            case m.Done():
                return self._done(message)
            case m.Happened():
                return self._happened(message.event)
            case m.Surveyed():
                return self._surveyed(message.found)
            case m.Acknowledged():
                return self._acknowledged(message.report)
            case m.Logged():
                return self._logged(message)
            case m.Keyed():
                return self._board.keyed(message.task, message.role)
            case m.Renewed():
                return self._renewed(message)
            case m.Look():
                return [message.task]
        return []

    def _arrived(self, message: m.Arrived) -> list[str]:
        task = self._board.arrive(message.spec, message.raw)
        if task is None:
            self._reports.offer(ended_report(message.spec))
            message.kept()
            return []
        self._kept.setdefault(task.arn, []).append(message.kept)
        return [task.arn]

    def _unrunnable(self, message: m.Unrunnable) -> None:
        """A payload nobody can run ends at once, with the reason; nothing was begun, so nothing is kept."""
        log.warning("payload refused", task=message.spec.arn, because=message.reason)
        if message.spec.arn not in self._board.tasks:
            self._reports.offer(ended_report(message.spec, message.reason))

    def _done(self, message: m.Done) -> list[str]:
        freed = self._removals.ended(message.task, message.container) if message.container else []
        task = self._board.tasks.get(message.task)
        if task is None:
            return freed
        now = self._steady.now()
        if message.container is None:
            task.removing = False
            if message.outcome is not None or not self._forget(task):
                task.remove_attempts += 1
                task.remove_at = now + _pause(task.remove_attempts)
            return [task.arn]
        container = task.containers[message.container]
        examined = container.busy is Busy.EXAMINING
        container.busy = None
        health = container.health
        if apply_outcome(task, container, patient(container, message.outcome, now), self._clock.now()):
            container.attempts, container.retry_at = 0, None
            self._board.noticed(task, container, health)
        else:
            container.attempts += 1
            container.retry_at = now + _pause(container.attempts)
            # A look that got no answer is still to be taken: the event that asked for it will not come again.
            container.look_again = container.look_again or examined
        return [task.arn, *freed]

    def _forget(self, task: Task) -> bool:
        try:
            self._board.forget(task)
        except OSError as error:
            log.error("task not forgotten", task=task.arn, because=str(error))
            return False
        self._noted.discard(task.arn)
        for tell in self._kept.pop(task.arn, ()):
            tell()
        return True

    def _happened(self, event: Event) -> list[str]:
        if event.kind in (Kind.LOST, Kind.BACK):
            self._on_runtime(event.kind is Kind.BACK)
            if event.kind is Kind.BACK:
                self._survey()
            return []
        task = self._board.tasks.get(event.labels.get(TASK_LABEL, ""))
        container = task.containers.get(event.labels.get(CONTAINER_LABEL, "")) if task else None
        if task is None or container is None:
            return []
        health = container.health
        apply_event(container, event, self._clock.now())
        if container.health is not health:
            self._on_health()
        return [task.arn]

    def _survey(self) -> None:
        self._executor.run(self._actions.survey, lambda found: self.post(m.Surveyed(found)))

    def _surveyed(self, found: tuple[ContainerState, ...] | None) -> list[str]:
        if not isinstance(found, tuple):
            self._due[SURVEY] = self._steady.now() + SURVEY_PAUSE
            return []
        self._board.compare(found)
        return list(self._board.tasks)

    def _acknowledged(self, report: Report) -> list[str]:
        task = self._board.tasks.get(report.task)
        if task is None or report.status is not Phase.STOPPED or report != task.reported:
            return []
        task.acknowledged = True
        return [task.arn]

    def _logged(self, message: m.Logged) -> list[str]:
        task = self._board.tasks.get(message.task)
        if task is None or message.container not in task.containers:
            return []
        task.containers[message.container].logged = True
        return [task.arn]

    def _renewed(self, message: m.Renewed) -> list[str]:
        if not self._board.renewed(message.task, message.role, message.raw):
            # The task has ended meanwhile: nobody needs the keys.
            message.kept()
            return []
        self._kept.setdefault(message.task, []).append(message.kept)
        return [message.task]

    # What follows.

    def _advance(self, task: Task, now: datetime) -> None:
        """Decide until nothing more changes at once, and begin what was decided."""
        self._count_from_starts(task, now)
        again = True
        while again:
            again = False
            for decision in decide(task, now):
                match decision:
                    case Launch() if held := self._stale.hold(task.arn, now):
                        self._wait(task, held)
                    case Launch(name):
                        self._begin(task, name, Busy.LAUNCHING, self._actions.launch)
                    case Stop(name):
                        self._note_stop(task, task.containers[name])
                        self._begin(task, name, Busy.STOPPING, self._actions.stop)
                    case Examine(name):
                        task.containers[name].look_again = False
                        self._begin(task, name, Busy.EXAMINING, self._actions.examine)
                    case Restart(name):
                        # Counted on the disk before it is begun.
                        self._keep(task)
                        self._begin(task, name, Busy.RESTARTING, self._actions.restart)
                    case GiveUp(name, reason):
                        self._give_up(task, task.containers[name], reason)
                        again = True
                    case Remove() if held := self._removals.hold(task.arn, now):
                        self._wait(task, held)
                    case Remove():
                        self._remove(task)
                    case Wait(until):
                        self._wait(task, until)

    def _wait(self, task: Task, until: datetime) -> None:
        self._due[task.arn] = min(until, self._due.get(task.arn, until))

    def _count_from_starts(self, task: Task, now: datetime) -> None:
        """Note on the steady clock since when containers run: start timeouts are counted from there."""
        for container in task.containers.values():
            if container.started_at and container.since is None:
                container.since = now - max(timedelta(0), self._clock.now() - container.started_at)

    def _begin(self, task: Task, name: str, busy: Busy, action: Callable[[Task, Container], Callable[[], Any]]) -> None:
        container = task.containers[name]
        container.busy = busy
        arn = task.arn
        self._removals.begun(arn, name)
        self._executor.run(
            action(task, container), lambda outcome: self.post(m.Done(task=arn, container=name, outcome=outcome))
        )

    def _note_stop(self, task: Task, container: Container) -> None:
        """Keep when the stop began: what is left of the container's grace is what a later attempt gives it.

        Kept with the rest, after the stop was begun: whoever is killed before that may give it all of it once more.
        """
        if container.stop_begun_at is None:
            container.stop_begun_at = self._clock.now()
            self._noted.add(task.arn)

    def _keep(self, task: Task) -> None:
        """Put the task on the disk before something is done to it; a full disk keeps nothing from being done."""
        try:
            self._files.save(task, self._board.raw[task.arn], sync=False)
        except OSError as error:
            log.error("task not saved", task=task.arn, because=str(error))

    def _give_up(self, task: Task, container: Container, reason: str) -> None:
        container.phase = Phase.STOPPED
        container.reason = container.reason or reason
        self._board.noticed(task, container, container.health)
        if reason:
            # A dependency that can't come true ends the task, also for a container that is not essential.
            self._board.stop(task.arn, reason)

    def _remove(self, task: Task) -> None:
        task.removing = True
        arn = task.arn
        self._executor.run(
            self._actions.remove(task),
            lambda outcome: self.post(m.Done(task=arn, container=None, outcome=outcome)),
        )

    def _settle(self, task: Task) -> None:
        """Put the task on the disk, and then tell whoever waits for that, and the control plane what is new."""
        over = task.status is Phase.STOPPED
        if over and task.stopped_at is None:
            task.stopped_at = min([self._clock.now(), *task.ends()])
        report = report_of(task)
        news = report != task.reported
        unsaved = task.arn in self._board.unsaved
        if news or unsaved or task.arn in self._noted:
            try:
                self._files.save(task, self._board.raw[task.arn], sync=unsaved or over)
            except OSError as error:
                log.error("task not saved", task=task.arn, because=str(error))
                self._due[task.arn] = self._steady.now() + DISK_PAUSE
                return
            self._board.unsaved.discard(task.arn)
            self._noted.discard(task.arn)
        for tell in self._kept.pop(task.arn, ()):
            tell()
        if news and worth_sending(report):
            task.reported = report
            task.acknowledged = False
            self._reports.offer(report)


def _pause(attempts: int) -> timedelta:
    return backoff(attempts, first=RETRY_FIRST, most=RETRY_MOST)
