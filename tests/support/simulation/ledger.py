"""The ledger: what clients were promised and what containers did, kept beside the store to be held against it."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """A job as asked for: the size of its array (0 for a plain one) and how often it may be attempted."""

    size: int
    attempts: int


@dataclass(slots=True)
class Ledger:
    """What was acknowledged is here from the acknowledgement on; what is in doubt is not."""

    tasks: set[str] = field(default_factory=set)
    stopped: set[str] = field(default_factory=set)
    # By ``startedBy``: the tasks asked for under one client token, answered or not.
    launched: dict[str, int] = field(default_factory=dict)
    # By service: its desired count as last acknowledged; absent while a change is in doubt.
    services: dict[str, int] = field(default_factory=dict)
    jobs: dict[str, Submitted] = field(default_factory=dict)
    schedules: set[str] = field(default_factory=set)
    # How often the process of a task's container was started, and on which hosts.
    starts: Counter[tuple[str, str]] = field(default_factory=Counter)
    hosts: dict[str, set[str]] = field(default_factory=dict)

    def started(self, host: str, task: str, container: str) -> None:
        """A container's process began to run."""
        self.starts[task, container] += 1
        self.hosts.setdefault(task, set()).add(host)
