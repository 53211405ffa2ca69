"""Storage: stops tasks that have written more than their ``ephemeralStorage``.

The engine counts what each container has written to its own layer, by walking that layer; what is in the task's own
volumes is counted here, where this process may look. A look that takes long is followed by a longer pause, so that
looking never costs more than a small share of a core and of the disk's time: a task that writes very fast is
stopped late, by what it writes in a minute or so.
"""

import os
import stat
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta

from agent.log import facts
from agent.runtime import NotFound, Refused, Runtime, RuntimeTrouble
from agent.tasks import messages as m
from agent.tasks.model import Phase, Task
from agent.tasks.render import TASK_LABEL, own_volumes, volume_name
from agent.tasks.spec import Desired, TaskSpec
from kit.clock import Clock, monotonic

LOOK_EVERY = timedelta(seconds=30)
# The share of the time that is spent on looking: one part in so many.
SHARE = 50
BLOCK = 512
MIB = 1024 * 1024
GIB = 1024 * MIB

log = facts(__name__)


class StorageWatch:
    """Looks at the tasks whose storage is bounded; ``used`` is what each had when it was last looked at, in MiB."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        tasks: Callable[[], Iterable[Task]],
        post: Callable[[m.Message], None],
        steady: Clock,
        stopwatch: Callable[[], float] = monotonic,
    ) -> None:
        self._runtime = runtime
        self._tasks = tasks
        self._post = post
        self._steady = steady
        self._stopwatch = stopwatch
        self.used: Mapping[str, int] = {}

    def run(self, stop: threading.Event) -> None:
        """Look now and again, until told to stop."""
        pause = LOOK_EVERY
        while not self._steady.wait(stop, pause):
            pause = self.step()

    def step(self) -> timedelta:
        """Look at every task once; the answer is how long to leave them alone."""
        begun = self._stopwatch()
        used: dict[str, int] = {}
        for task in self._tasks():
            if task.spec.storage_gib and task.desired is Desired.RUNNING and _has_begun(task):
                try:
                    self._look(task.spec, used)
                except RuntimeTrouble as error:
                    log.warning("storage not looked at", task=task.arn, because=str(error))
        self.used = used
        return max(LOOK_EVERY, SHARE * timedelta(seconds=self._stopwatch() - begun))

    def _look(self, task: TaskSpec, used: dict[str, int]) -> None:
        written = self._runtime.written({TASK_LABEL: task.arn}) + sum(self._in_volumes(task))
        used[task.arn] = written // MIB
        if written > task.storage_gib * GIB:
            because = (
                f"OutOfStorageError: the task has written {written / GIB:.1f} GiB, "
                f"more than its ephemeralStorage of {task.storage_gib} GiB"
            )
            self._post(m.StopThese(tasks=(task.arn,), reason=because))

    def _in_volumes(self, task: TaskSpec) -> Iterable[int]:
        for volume in own_volumes(task):
            # One of a driver may be a file system elsewhere.
            if volume.type == "host":
                try:
                    yield size_of(self._runtime.volume_path(volume_name(task, volume)))
                except (NotFound, Refused):
                    continue


def size_of(directory: str) -> int:
    """Bytes on the disk of everything in a directory, other file systems left out; 0 where it can't be read."""
    try:
        device = os.lstat(directory).st_dev
    except OSError:
        return 0
    found, waiting, seen = 0, [directory], set()
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                stats = [(entry.path, entry.stat(follow_symlinks=False)) for entry in entries]
        except OSError:
            # It was removed meanwhile, or is not for this process to see.
            continue
        for path, its in stats:
            if its.st_dev != device or its.st_ino in seen:
                continue
            if its.st_nlink > 1 and not stat.S_ISDIR(its.st_mode):
                seen.add(its.st_ino)
            found += its.st_blocks * BLOCK
            if stat.S_ISDIR(its.st_mode):
                waiting.append(path)
    return found


def _has_begun(task: Task) -> bool:
    return any(container.phase is Phase.RUNNING for container in task.containers.values())
