"""A sampling profile of every thread of this process, by processor time: where a run's microseconds go.

Each sample is weighed with the processor time that its thread has used since the one before, by the thread's own
account (/proc); so a thread that waits weighs nothing, and one inside C code (SQLite) weighs at the line that called.
What a thread did just before it began to wait may be counted where it waits.
"""

import os
import sys
import threading
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import TypeVar

from bench.table import print_table

T = TypeVar("T")
EVERY = 0.01
SHOWN = 40
ROOT = str(Path(__file__).resolve().parents[2])


class Profile:
    """Samples while it is entered; ``report`` prints the hottest lines and functions."""

    def __init__(self) -> None:
        self._lines: defaultdict[tuple[str, str, int], float] = defaultdict(float)
        self._alone: defaultdict[tuple[str, str, int], float] = defaultdict(float)
        self._within: defaultdict[tuple[str, str, int], float] = defaultdict(float)
        self._threads: defaultdict[str, float] = defaultdict(float)
        self._used: dict[threading.Thread, float] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="profile", daemon=True)

    def __enter__(self) -> "Profile":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stopping.set()
        self._thread.join()

    def report(self, tasks: int) -> None:
        """Print microseconds of processor time per task: by thread, by function with all it calls, and by line."""
        for title, counter in (
            ("Functions alone, of Berth or not", self._alone),
            ("Functions of Berth, with all they call", self._within),
            ("Lines of Berth, with what they call outside it", self._lines),
        ):
            rows = [
                (f"{_short(file)}:{line} {name}", f"{seconds / tasks * 1e6:.1f}")
                for (file, name, line), seconds in _hottest(counter, SHOWN)
            ]
            print_table(title, ("", "µs per task"), rows)
        rows = [(name, f"{seconds / tasks * 1e6:.1f}") for name, seconds in _hottest(self._threads, SHOWN)]
        print_table("Threads", ("", "µs per task"), rows)

    def _run(self) -> None:
        while not self._stopping.wait(EVERY):
            frames = sys._current_frames()
            for thread in threading.enumerate():
                if thread is not self._thread and thread.ident in frames:
                    self._count(thread, frames[thread.ident])

    def _count(self, thread: threading.Thread, frame: FrameType) -> None:
        try:
            nanoseconds = Path(f"/proc/self/task/{thread.native_id}/schedstat").read_text().split()[0]
        except OSError:
            return  # it has ended
        used = int(nanoseconds) / 1e9
        weight = used - self._used.get(thread, used)
        self._used[thread] = used
        if weight <= 0:
            return
        self._threads[thread.name.rstrip("0123456789_-")] += weight
        code = frame.f_code
        self._alone[code.co_filename, code.co_name, code.co_firstlineno] += weight
        seen: set[CodeType] = set()
        at: FrameType | None = frame
        innermost = True
        while at is not None:
            code = at.f_code
            if code.co_filename.startswith(ROOT) and f"{os.sep}.venv" not in code.co_filename:
                if innermost:
                    self._lines[code.co_filename, code.co_name, at.f_lineno] += weight
                    innermost = False
                if code not in seen:
                    seen.add(code)
                    self._within[code.co_filename, code.co_name, code.co_firstlineno] += weight
            at = at.f_back


def _hottest(counted: Mapping[T, float], most: int) -> list[tuple[T, float]]:
    return sorted(counted.items(), key=lambda item: -item[1])[:most]


def _short(file: str) -> str:
    return file.removeprefix(ROOT + os.sep).rpartition("site-packages/")[2]
