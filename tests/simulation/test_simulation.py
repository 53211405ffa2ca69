"""The whole control plane under seeded trouble: nothing is lost, doubled or over-committed, and all comes to rest."""

import os
from pathlib import Path

import pytest

from state.store import Store
from tests.support.simulation.rates import PEACE
from tests.support.simulation.runs import fresh, run_seed

GIVEN = os.environ.get("SIMULATION_SEED")
SEEDS = [int(GIVEN)] if GIVEN else range(int(os.environ.get("SIMULATION_SEEDS", "20")))
STEPS = int(os.environ.get("SIMULATION_STEPS", "400"))


def test_tasks_run_and_stop_without_trouble(sqlite_store: Store, tmp_path: Path) -> None:
    world = run_seed(1, fresh(sqlite_store), tmp_path, steps=300, rates=PEACE)
    assert world.ledger.tasks
    assert world.ledger.starts


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_doubled_or_over_committed_whatever_goes_wrong(
    seed: int, sqlite_store: Store, tmp_path: Path
) -> None:
    run_seed(seed, fresh(sqlite_store), tmp_path, steps=STEPS)
