"""How far up the processor's queue a process may get on this machine."""

import os
import subprocess

from kit.priority import NICE


def reached() -> int:
    """The niceness that a process of ours gets to: ``nice``, asked to go as far as Berth does, says where it is."""
    step = NICE - os.getpriority(os.PRIO_PROCESS, 0)
    said = subprocess.run(["nice", "-n", str(step), "nice"], check=True, capture_output=True, text=True)
    return int(said.stdout)
