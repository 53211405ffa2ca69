"""``python -m bench.agent``: every part, or those named, ``outage --seconds 60`` say. ``make bench-agent``."""

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from bench.stage import berth_up

# ``launch`` is the general benchmarks' own: RunTask, the bare SDK and Swarm, for 1 and for 24.
PARTS = {
    "launch": "bench.launch",
    "stop": "bench.agent.stop",
    "hundred": "bench.agent.hundred",
    "crowd": "bench.agent.crowd",
    "lost": "bench.agent.lost",
    "outage": "bench.agent.outage",
}
# What each may be told, by the names of its parameters.
OPTIONS = {"crowd": ("agents", "seconds"), "lost": ("rounds",), "outage": ("containers", "seconds")}


def main(words: Sequence[str]) -> int:
    """Run the named parts, each on a Berth of its own."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parser = argparse.ArgumentParser(prog="bench.agent", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all of them unless named")
    for option in sorted({option for options in OPTIONS.values() for option in options}):
        of = [part for part, options in OPTIONS.items() if option in options]
        parser.add_argument(f"--{option}", type=int, metavar="N", help=f"of {' and '.join(of)}")
    given = parser.parse_args(words)
    if unknown := sorted(set(given.parts) - PARTS.keys()):
        parser.error(f"no part named {', '.join(unknown)}; there are {', '.join(PARTS)}")
    for name in given.parts or PARTS:
        run: Callable[..., None] = import_module(PARTS[name]).run
        told = {option: getattr(given, option) for option in OPTIONS.get(name, ()) if getattr(given, option)}
        with berth_up() as stage:
            run(stage, **told)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
