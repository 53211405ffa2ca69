"""The whole control plane under seeded trouble: nothing is lost, doubled or over-committed, and all comes to rest.

``SIMULATION_SEED=7`` runs one seed again, exactly; ``SIMULATION_SEEDS=1000`` many; ``SIMULATION_STEPS`` says how long
the trouble lasts.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from state.store import Store
from tests.support.simulation.rates import PEACE
from tests.support.simulation.runs import fresh, run_seed

GIVEN = os.environ.get("SIMULATION_SEED")
SEEDS = [int(GIVEN)] if GIVEN else range(int(os.environ.get("SIMULATION_SEEDS", "16")))
STEPS = int(os.environ.get("SIMULATION_STEPS", "250"))


@pytest.fixture
def postgresql_store(postgresql_url: str) -> Iterator[Store]:
    store = Store(postgresql_url)
    yield store
    store.close()


def test_without_trouble_everything_runs_and_ends(sqlite_store: Store, tmp_path: Path) -> None:
    world = run_seed(1, fresh(sqlite_store), tmp_path, steps=400, rates=PEACE)
    assert world.ledger.tasks
    assert world.ledger.starts


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_doubled_or_over_committed(seed: int, sqlite_store: Store, tmp_path: Path) -> None:
    run_seed(seed, fresh(sqlite_store), tmp_path, steps=STEPS)


@pytest.mark.parametrize("seed", [3])
def test_nor_on_postgresql(seed: int, postgresql_store: Store, tmp_path: Path) -> None:
    run_seed(seed, fresh(postgresql_store), tmp_path, steps=120)


def test_a_seed_is_the_same_run_each_time(sqlite_store: Store, tmp_path: Path) -> None:
    first = run_seed(11, fresh(sqlite_store), tmp_path / "first", steps=150)
    second = run_seed(11, fresh(sqlite_store), tmp_path / "second", steps=150)
    assert list(first.trace) == list(second.trace)
    assert first.ledger == second.ledger
