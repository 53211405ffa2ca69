"""Reads a container's log from Docker: frames of eight bytes' header without a terminal, raw lines with one.

Docker cuts lines longer than 16 KiB, and stamps each part; the parts are joined again here, up to what the Logs API
takes as one event. No more of a line than that is ever held, however long it goes on.
"""

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import requests
import urllib3
from docker.errors import DockerException
from docker.types import CancellableStream

from agent.runtime import LogLine

LONGEST_LINE = 256 * 1024 - 26
HEADER = 8
# ``2026-01-02T03:04:05.123456789Z`` and a space, and what comes behind it at the most.
STAMP, PART = 31, 16 * 1024


class DockerLog:
    """One response of ``/containers/{id}/logs``, with timestamps."""

    def __init__(self, response: Any, *, tty: bool) -> None:
        self._response = response
        self._tty = tty
        self._closed = False

    def __iter__(self) -> Iterator[LogLine]:
        # A stream that breaks is a stream that ends: the reader comes back with the last instant it has seen.
        try:
            yield from joined(self._lines() if self._tty else self._frames())
        except (OSError, requests.RequestException, urllib3.exceptions.HTTPError, ValueError):
            return
        except AttributeError:
            # What the standard library raises where a response is closed by one thread and read by another.
            if not self._closed:
                raise

    def close(self) -> None:
        """End the reading, from any thread."""
        self._closed = True
        with suppress(OSError, AttributeError, DockerException):
            CancellableStream(iter(()), self._response).close()
        self._response.close()

    def _frames(self) -> Iterator[tuple[int, bytes]]:
        raw = self._response.raw
        while True:
            header = raw.read(HEADER)
            if len(header) < HEADER:
                break
            size = int.from_bytes(header[4:8], "big")
            text = raw.read(size)
            if len(text) < size:
                break
            yield header[0], text
        self._check_open()

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        read = partial(self._response.raw._fp.readline, STAMP + PART)
        yield from ((1, part) for part in iter(read, b""))
        self._check_open()

    def _check_open(self) -> None:
        """The begin of a line that was being read when the log was closed is no line: it comes again as a whole."""
        if self._closed:
            raise OSError("the log was closed")


def joined(frames: Iterator[tuple[int, bytes]]) -> Iterator[LogLine]:
    """Whole lines out of frames ``(stream, b"<instant> <text>")``; a frame without a line's end is a part of one."""
    parts: dict[int, tuple[str, bytes]] = {}
    for stream, frame in frames:
        stamp, _, text = frame.partition(b" ")
        at, before = parts.pop(stream, (stamp.decode("ascii", "replace"), b""))
        whole = before + text
        if whole.endswith(b"\n"):
            yield LogLine(at=at, text=whole.rstrip(b"\r\n")[:LONGEST_LINE], stream=stream)
        elif len(whole) >= LONGEST_LINE:
            yield LogLine(at=at, text=whole[:LONGEST_LINE], stream=stream)
        else:
            parts[stream] = (at, whole)
    for stream, (at, text) in parts.items():
        yield LogLine(at=at, text=text, stream=stream)
