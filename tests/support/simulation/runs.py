"""One run: a fresh world from a seed, its trouble, its peace; on failure, how to see the same run again."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from random import Random
from unittest import mock

from kit import ids
from state.base import Base
from state.store import Store
from tests.support.simulation.invariants import Broken
from tests.support.simulation.rates import ROUGH, Rates
from tests.support.simulation.rest import unsettled
from tests.support.simulation.world import World


class SimulationFailed(AssertionError):
    """A run in which something went wrong; the text is everything needed to look at it."""


def run_seed(seed: int, store: Store, folder: Path, *, steps: int, rates: Rates = ROUGH) -> World:
    """One whole run on an empty store. Raises SimulationFailed."""
    chance = Random(f"ids of {seed}")
    with seeded(chance), nothing_waits_for_a_disk():
        world = World(seed, store, folder, rates=rates)
        try:
            world.rough(steps)
            world.calm(unsettled)
        except (Exception, Broken) as error:
            events = "\n".join(world.trace)
            raise SimulationFailed(
                f"seed {seed} failed: {error}\n{events}\nrun it again: SIMULATION_SEED={seed} pytest tests/simulation"
            ) from error
        return world


def fresh(store: Store) -> Store:
    """The store with its tables, all of them empty."""
    Base.metadata.create_all(store.engine)
    with store.engine.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            connection.execute(table.delete())
    return store


@contextlib.contextmanager
def seeded(chance: Random) -> Iterator[None]:
    """Ids are drawn from the seed as well: rows are ordered by them."""
    with (
        mock.patch.object(ids, "_ids", ids.Ids(now=lambda: 0, entropy=chance.randbytes)),
        mock.patch.object(uuid, "uuid4", lambda: uuid.UUID(int=chance.getrandbits(128), version=4)),
        mock.patch("orchestrator.frame.randomness.randbits", chance.getrandbits),
    ):
        yield


@contextlib.contextmanager
def nothing_waits_for_a_disk() -> Iterator[None]:
    """Processes die here, machines do not: what was written is there, flushed or not."""
    with mock.patch.object(os, "fsync", lambda file: None):
        yield
