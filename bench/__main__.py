"""``python -m bench``: every benchmark, or those named (launch, api, idle)."""

import sys

from bench import api, idle, launch
from bench.stage import berth_up

BENCHMARKS = {"launch": launch.run, "api": api.run, "idle": idle.run}


def main(names: list[str]) -> int:
    """Run the named benchmarks on one Berth of their own."""
    unknown = sorted(set(names) - BENCHMARKS.keys())
    if unknown:
        print(f"bench: no benchmark named {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    for name in names or BENCHMARKS:
        with berth_up() as stage:
            BENCHMARKS[name](stage)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
