"""Limits of this process."""

import resource

# Each pull and each upload holds a file beside its connection; a shell allows 1,024 of both. No more than this is
# asked for where the system would allow a billion: some programs close every number there could be.
MOST_OPEN = 65536


def allow_open_files() -> int:
    """Let this process open as many files and connections as it may, MOST_OPEN at most; answers how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_OPEN if hard == resource.RLIM_INFINITY else min(hard, MOST_OPEN)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most
