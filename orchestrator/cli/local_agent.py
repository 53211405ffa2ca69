"""The local agent of ``berth up``: started with the control plane, and started again whenever it dies.

It outlives a killed control plane; the next one finds it by its command line and looks after it from then on.
"""

import logging
import os
import subprocess
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import ClassVar

from kit.clock import Clock, backoff
from kit.files import append_private
from kit.processes import find_processes, is_process
from kit.settings import Settings, agent_environment
from orchestrator.cli.hosts import agent_command
from orchestrator.cli.output import Place

log = logging.getLogger(__name__)
FIRST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(seconds=60)
# An agent that was seen alive after so long does not die of how it is started.
WELL_AFTER = timedelta(seconds=10)


class LocalAgent:
    """A reconciler that keeps one agent in cluster ``default`` alive. ``environment`` carries its access key."""

    name: ClassVar[str] = "local-agent"
    every = timedelta(seconds=1)

    def __init__(self, place: Place, settings: Settings, environment: Mapping[str, str], clock: Clock) -> None:
        self._place = place
        self._settings = settings
        self._environment = dict(environment)
        self._clock = clock
        self._words = ("--data", str(place.agent))
        self._pid = 0
        self._child: subprocess.Popen[bytes] | None = None
        self._started_at: datetime | None = None
        self._failures = 0

    def step(self) -> datetime | None:
        """Start the agent if none lives and the pause after its last end is over."""
        now = self._clock.now()
        if self._lives():
            if self._started_at is not None and now - self._started_at > WELL_AFTER:
                self._failures = 0
            return None
        if self._started_at is not None and self._failures:
            # Longer with each quick end.
            due = self._started_at + backoff(self._failures, first=FIRST_PAUSE, most=LONGEST_PAUSE)
            if now < due:
                return due
        self._start(now)
        return None

    def _lives(self) -> bool:
        if self._child is not None:
            code = self._child.poll()
            if code is None:
                return True
            self._child, self._pid = None, 0
            log.warning("local agent ended", extra={"code": code})
        if self._pid and is_process(self._pid, self._words):
            return True
        found = find_processes(self._words)
        self._pid = found[0] if found else 0
        return bool(found)

    def _start(self, now: datetime) -> None:
        self._place.agent.mkdir(mode=0o700, exist_ok=True)
        self._place.logs.mkdir(mode=0o700, exist_ok=True)
        command = [
            *agent_command(self._place.agent, self._settings),
            *("--endpoint", self._settings.api_endpoint, "--cluster", "default"),
        ]
        self._started_at = now
        self._failures += 1
        with append_private(self._place.logs / "agent.log") as out:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=agent_environment(os.environ, self._environment),
                start_new_session=True,
            )
        self._pid = self._child.pid
        log.info("local agent started", extra={"pid": self._pid, "failures": self._failures - 1})
