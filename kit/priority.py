"""Going first: what looks after containers is served by the processor before them.

Containers that take all of it would otherwise leave an agent or a control plane beside them the share of one process
among many: heartbeats come late, hosts are taken for lost, and what is to end the containers waits for them. It takes
little itself.
"""

import os
from contextlib import suppress
from pathlib import Path

# Three times the share of a process with none.
NICE = -5
AUTOGROUP = Path("/proc/self/autogroup")


def go_first(autogroup: Path = AUTOGROUP) -> None:
    """Raise the priority of this thread and of those that it will start; call it first. Nothing happens to a process
    that may not do so."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
        # Where the kernel shares out by sessions (see sched(7)), a process competes within its own alone. Another's,
        # such as a person's shell, is left as it is.
        if os.getsid(0) == os.getpid():
            autogroup.write_text(str(NICE))
