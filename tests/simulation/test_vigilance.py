"""The simulation notices what it is there to notice: each promise is broken on purpose, and some seed must tell."""

from pathlib import Path
from typing import Any
from unittest import mock

from state.store import Store
from tests.support.simulation.runs import SimulationFailed, fresh, run_seed

SEEDS = range(12)
STEPS = 250


def told(store: Store, folder: Path) -> str:
    """The first failure of some seeds."""
    for seed in SEEDS:
        try:
            run_seed(seed, fresh(store), folder / str(seed), steps=STEPS)
        except SimulationFailed as failure:
            return str(failure)
    return ""


def nothing(*_: Any, **__: Any) -> None:
    return None


def test_room_that_is_not_given_back(sqlite_store: Store, tmp_path: Path) -> None:
    with mock.patch("orchestrator.agents.report_desk.give_back", nothing):
        assert "reserved" in told(sqlite_store, tmp_path)


def test_a_client_token_that_is_not_honoured(sqlite_store: Store, tmp_path: Path) -> None:
    with mock.patch("orchestrator.frame.get_client_token", nothing):
        assert "tasks came of a request for" in told(sqlite_store, tmp_path)


def test_a_loop_that_never_looks(sqlite_store: Store, tmp_path: Path) -> None:
    with mock.patch("scheduler.loops.jobs.JobsLoop.step", nothing):
        assert "it never came to rest" in told(sqlite_store, tmp_path)
