"""Provisioners: where capacity comes from. A driver family: one small Protocol, one file per driver.

A capacity is one host with an agent of its own, named by its id. Both verbs may be repeated at any time:
launching what is there is a no-op, and so is terminating what is gone.
"""

from dataclasses import dataclass
from typing import Protocol


class CannotLaunch(Exception):
    """The capacity cannot be had; the message says why, for the task's ``stoppedReason``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A host to be had: CPU units of 1/1024 vCPU, memory in MiB, and the cluster its agent joins."""

    id: str
    cluster: str
    cpu: int
    memory: int


class Provisioner(Protocol):
    """One source of capacity."""

    def launch(self, wanted: Wanted) -> None:
        """Bring the host up, or keep it up; raises CannotLaunch. Returns before its agent has registered."""
        ...

    def terminate(self, capacity_id: str) -> bool:
        """Take the host and everything on it away; True once nothing is left, False while that takes time."""
        ...

    def running(self) -> frozenset[str]:
        """The ids of the capacities that are up."""
        ...
