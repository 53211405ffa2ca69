"""``python -m bench.scale``: every benchmark at scale, or those named (engine, packing, delay, fleet, memory)."""

import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from bench.scale.notrun import NotRun
from kit.garbage import calm_collector
from kit.interpreter import share_interpreter

# Imported when asked for: the engine's needs no store, and none but the fleet's needs matplotlib.
BENCHMARKS = ("engine", "packing", "delay", "fleet", "memory")
KNOWN = ", ".join(BENCHMARKS)


def main(words: Sequence[str]) -> int:
    """Run the named benchmarks one after another; 2 for a name that is none."""
    options = parser().parse_args(words)
    # Ended by a signal, it still cleans up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    unknown = sorted(set(options.names) - set(BENCHMARKS))
    if unknown:
        print(f"bench.scale: no benchmark named {', '.join(unknown)}; there are {KNOWN}", file=sys.stderr)
        return 2
    # As every process of Berth does.
    calm_collector()
    share_interpreter()
    for name in options.names or BENCHMARKS:
        run: Callable[[Namespace], None] = import_module(f"bench.scale.{name}").run
        try:
            run(options)
        except NotRun as why:
            print(f"bench.scale {name}: {why}", file=sys.stderr)
            return 1
    return 0


def parser() -> ArgumentParser:
    """The options; those of the fleet's run count for ``memory`` too where they make sense."""
    known = ArgumentParser(prog="python -m bench.scale", description=__doc__)
    known.add_argument("names", nargs="*", help=f"of {KNOWN}; all, when none is named")
    known.add_argument("--tasks", type=int, help="tasks of the fleet's run (2,000,000)")
    known.add_argument("--hosts", type=int, help="simulated hosts (6,100)")
    known.add_argument("--store", default="", help="SQLAlchemy URL of an empty database, or `postgresql`")
    known.add_argument("--seed", type=int, default=7, help="of start delays and of ties in placement")
    known.add_argument("--chart", type=Path, help="where the fleet run's chart is written (bench/results/)")
    known.add_argument("--profile", action="store_true", help="print where the fleet run's processor time went")
    return known


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
