"""Hosts that packing needs over the fewest there could be, by Berth and by what others do: ``bench.packing``."""

from argparse import Namespace

from bench import packing


def run(options: Namespace) -> None:
    """Print its tables."""
    packing.run()
