"""The log shipper: one follower thread per container that says ``awslogs``, one thread that sends.

A follower reads from the cursor on and fills a bounded buffer; when the Logs API is away the buffer fills, the
follower waits, and the engine's own log file keeps what comes. The cursor moves only when a batch was taken.
"""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from agent.control.aws import ApiError, Calls, KeyRefused, Unreachable
from agent.log import facts
from agent.logs.batches import batches, render_batch
from agent.logs.cursor import Cursor, CursorFiles
from agent.logs.follower import Follower
from agent.logs.manner import BadManner, Manner, read_manner
from agent.logs.places import LogPlace, place_of
from agent.runtime import Runtime
from agent.tasks import messages as m
from agent.tasks.launch import Unprepared
from agent.tasks.render import log_options
from agent.tasks.spec import ContainerSpec, TaskSpec
from kit.clock import Clock, backoff

LINGER = timedelta(milliseconds=400)
PATIENCE = timedelta(seconds=5)
RETRY_FIRST = timedelta(milliseconds=500)
RETRY_MOST = timedelta(seconds=20)
IDLE = timedelta(hours=1)
SHORTEST = timedelta(milliseconds=20)

log = facts(__name__)


class LogShipper:
    """Ships the logs of this host's containers."""

    def __init__(
        self, *, aws: Calls, runtime: Runtime, cursors: CursorFiles, clock: Clock, post: Callable[[m.Message], None]
    ) -> None:
        self._aws = aws
        self._runtime = runtime
        self._cursors = cursors
        self._clock = clock
        self._post = post
        self._lock = threading.Lock()
        self._followers: dict[str, Follower] = {}
        self._ending: dict[str, datetime] = {}
        self._told: set[str] = set()
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._groups: set[str] = set()
        self._streams: set[tuple[str, str]] = set()
        self._unmade: set[str] = set()
        self._failures = 0

    def ensure(self, task: TaskSpec, container: ContainerSpec) -> None:
        """Make sure that the group exists, once per group. An API that is away must not keep a task from starting."""
        place = place_of(task, container)
        try:
            read_manner(log_options(container))
        except BadManner as error:
            raise Unprepared(f"failed to validate logger args: {error}") from error
        if place.group in self._groups:
            return
        try:
            self._make(place)
        except Unreachable as error:
            log.warning("log group not checked", group=place.group, because=str(error))
        except ApiError as error:
            if error.retriable and error.status >= 500:
                log.warning("log group not checked", group=place.group, because=str(error))
                return
            raise Unprepared(
                f"failed to validate logger args: failed to create Cloudwatch log stream: {error}"
            ) from error

    def follow(self, task: TaskSpec, container: ContainerSpec, runtime_id: str) -> None:
        """Begin to ship, or carry on where an earlier run stopped. Idempotent."""
        with self._lock:
            if runtime_id in self._followers:
                self._followers[runtime_id].resume()
                return
            if runtime_id in self._told:
                return
            follower = Follower(
                runtime=self._runtime,
                runtime_id=runtime_id,
                task=task.arn,
                container=container.name,
                place=place_of(task, container, runtime_id),
                tty=bool(container.config.get("Tty")),
                cursor=self._cursors.load(runtime_id),
                manner=_manner(container),
                clock=self._clock,
                woken=self._wakened,
            )
            follower.start()
            self._followers[runtime_id] = follower
            if not follower.cursor.positions:
                self._unmade.add(runtime_id)
        self._wakened(False)

    def finish(self, task: TaskSpec, container: ContainerSpec, runtime_id: str) -> None:
        """Ship the rest; ``Logged`` is posted when it is out, or when the patience is over."""
        self.follow(task, container, runtime_id)
        with self._lock:
            follower = self._followers.get(runtime_id)
            if follower is None:
                self._post(m.Logged(task=task.arn, container=container.name))
                return
            self._ending.setdefault(runtime_id, self._clock.now() + PATIENCE)
        follower.end()
        self._wakened(True)

    def forget(self, runtime_id: str) -> None:
        """The container is removed: nothing more can come."""
        with self._lock:
            follower = self._followers.pop(runtime_id, None)
            self._ending.pop(runtime_id, None)
            self._told.discard(runtime_id)
            self._unmade.discard(runtime_id)
        if follower:
            follower.close()
        self._cursors.forget(runtime_id)

    def run(self, stop: threading.Event) -> None:
        """Send whatever there is, in batches a moment apart, until told to stop."""
        while not stop.is_set():
            self._clock.wait(self._wake, self.until_next())
            if stop.is_set():
                return
            self._wake.clear()
            if not self._hurry.is_set():
                self._clock.wait(self._hurry, LINGER)
            self._hurry.clear()
            try:
                self.ship()
            except Exception:
                log.surprise("log shipping failed")
                self._failures += 1

    def ship(self) -> None:
        """One round: everything that is buffered, and word of every log that is out."""
        with self._lock:
            followers = list(self._followers.values())
        failed = False
        for follower in followers:
            try:
                self._ship(follower)
            except (Unreachable, ApiError) as error:
                failed = True
                if isinstance(error, KeyRefused):
                    break
                log.warning("log batch not taken", group=follower.place.group, because=str(error))
                if isinstance(error, Unreachable):
                    break
        self._failures = self._failures + 1 if failed else 0
        self._tell()

    def stop(self) -> None:
        self._wakened(True)

    def _wakened(self, hurry: bool) -> None:
        if hurry:
            self._hurry.set()
        self._wake.set()

    def until_next(self) -> timedelta:
        """How long nothing is to be sent if nothing comes: what came while a batch was on its way waits already."""
        now = self._clock.now()
        with self._lock:
            dues = [due for follower in self._followers.values() if (due := follower.due(now))]
            ends = list(self._ending.values())
            if self._unmade:
                dues.append(now)
        pause = max(min(dues) - now, timedelta(0)) if dues else IDLE
        if dues and self._failures:
            pause = max(pause, backoff(self._failures, first=RETRY_FIRST, most=RETRY_MOST))
        return min(pause, max(min(ends) - now, SHORTEST)) if ends else pause

    def _ship(self, follower: Follower) -> None:
        if follower.runtime_id in self._unmade:
            # A log has its stream from its begin, also one that stays empty: who looks for it is to find it.
            if (follower.place.group, follower.place.stream) not in self._streams:
                self._make(follower.place)
            self._unmade.discard(follower.runtime_id)
        for batch in batches(follower.peek()):
            body = render_batch(follower.place.group, follower.place.stream, batch)
            if body["logEvents"]:
                self._put(follower, body)
            cursor: Cursor = follower.cursor
            for entry in batch:
                cursor = entry.passed(cursor)
            follower.taken(len(batch), cursor)
            self._cursors.save(follower.runtime_id, cursor)

    def _put(self, follower: Follower, body: dict[str, object]) -> None:
        place = follower.place
        if (place.group, place.stream) not in self._streams:
            self._make(place)
        try:
            self._aws.call("logs", "PutLogEvents", body)
        except ApiError as error:
            if error.code == "ResourceNotFoundException":
                self._groups.discard(place.group)
                self._make(place)
                self._aws.call("logs", "PutLogEvents", body)
            elif error.code == "InvalidParameterException" or error.status == 413:
                # Asking again would not help, and what comes after must not wait for it.
                log.error("log batch refused for good", group=place.group, stream=place.stream, because=str(error))
            else:
                raise

    def _make(self, place: LogPlace) -> None:
        if place.create_group and place.group not in self._groups:
            self._create("CreateLogGroup", {"logGroupName": place.group})
        if place.stream:
            self._create("CreateLogStream", {"logGroupName": place.group, "logStreamName": place.stream})
            self._streams.add((place.group, place.stream))
            self._groups.add(place.group)

    def _create(self, operation: str, body: dict[str, object]) -> None:
        try:
            self._aws.call("logs", operation, body)
        except ApiError as error:
            if error.code != "ResourceAlreadyExistsException":
                raise

    def _tell(self) -> None:
        now = self._clock.now()
        with self._lock:
            ending = [(i, due, self._followers.get(i)) for i, due in self._ending.items()]
        for runtime_id, due, follower in ending:
            out = follower is not None and follower.drained() and runtime_id not in self._unmade
            if follower is None or out or now >= due:
                if follower and not out:
                    log.warning("log left behind", task=follower.task, container=follower.container)
                with self._lock:
                    self._ending.pop(runtime_id, None)
                    if follower and out:
                        self._followers.pop(runtime_id, None)
                        self._told.add(runtime_id)
                if follower:
                    self._streams.discard((follower.place.group, follower.place.stream))
                    self._post(m.Logged(task=follower.task, container=follower.container))


def _manner(container: ContainerSpec) -> Manner:
    try:
        return read_manner(log_options(container))
    except BadManner:
        # Refused before its start, so this log is of a container that was not started here: it is shipped plainly.
        return Manner()
