"""``python -m bench.agent``: every part, or those named. ``make bench-agent``."""

import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from bench.stage import Stage, berth_up

# ``launch`` is the general benchmarks' own: RunTask, the bare SDK and Swarm, for 1 and for 24.
PARTS = {
    "launch": "bench.launch",
    "stop": "bench.agent.stop",
    "hundred": "bench.agent.hundred",
    "crowd": "bench.agent.crowd",
    "lost": "bench.agent.lost",
}


def main(names: Sequence[str]) -> int:
    """Run the named parts, each on a Berth of its own."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    unknown = sorted(set(names) - PARTS.keys())
    if unknown:
        print(f"bench.agent: no part named {', '.join(unknown)}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    for name in names or PARTS:
        run: Callable[[Stage], None] = import_module(PARTS[name]).run
        with berth_up() as stage:
            run(stage)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
