"""What the control plane holds in memory while 1,000,000 tasks run: read from the fleet's run, or from one for it."""

from argparse import Namespace

from bench.scale import fleet
from bench.scale.flight import Flight
from bench.table import print_table

RUNNING = 1_000_000


def run(options: Namespace) -> None:
    """Print resident memory at the moment the millionth task runs."""
    flight: Flight | None = getattr(options, "flight", None)
    if flight is None or flight.memory_at(RUNNING) is None:
        million = Namespace(**{**vars(options), "tasks": RUNNING})
        fleet.run(million)
        flight = million.flight
    found = flight.memory_at(RUNNING)
    assert found is not None
    rows = [("API, scheduler, conversations, store", f"{found / 2**20:,.0f} MiB", "≤ 2 GB")]
    print_table(f"Control plane with {RUNNING:,} tasks running", ("", "resident", "aim"), rows)
