"""``python -m bench.registry``: every part, or those named."""

import signal
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from importlib import import_module

from bench.registry.clients import ClientFailed
from bench.registry.sizes import FULL, TINY, Sizes
from bench.registry.wire import BadAnswer
from bench.scale.notrun import NotRun

PARTS = ("zb", "manifests", "tags", "ready", "memory", "storm", "uploads", "cache")


def main(words: Sequence[str]) -> int:
    """Run the named parts one after another; 2 for a name that is none, 1 when one could not be run to its end."""
    options = parser().parse_args(words)
    # Ended by a signal, it still cleans up; also in the background, where a shell has Ctrl-C ignored.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    unknown = sorted(set(options.names) - set(PARTS))
    if unknown:
        print(f"bench.registry: no part named {', '.join(unknown)}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    failed = 0
    for name in options.names or PARTS:
        run: Callable[[Sizes], None] = import_module(f"bench.registry.{name}").run
        try:
            run(TINY if options.tiny else FULL)
        except KeyboardInterrupt:
            print("bench.registry: interrupted; everything it made is gone", file=sys.stderr)
            return 130
        except (NotRun, BadAnswer, ClientFailed, OSError) as why:
            print(f"bench.registry {name}: {why}", file=sys.stderr)
            failed = 1
    return failed


def parser() -> ArgumentParser:
    known = ArgumentParser(prog="python -m bench.registry", description=__doc__)
    known.add_argument("names", nargs="*", help=f"of {', '.join(PARTS)}; all, when none is named")
    known.add_argument(
        "--tiny", action="store_true", help="a trial of everything in seconds, whose figures mean little"
    )
    return known


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
