"""Packing, as one of the benchmarks at scale: see ``bench.packing``."""

from argparse import Namespace

from bench import packing


def run(options: Namespace) -> None:
    packing.run()
