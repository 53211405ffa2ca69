"""The tour interrupted in the middle of a step, by Ctrl-C in its terminal or by SIGTERM: nothing stays behind."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.berth import until
from tests.support.engine import OwnEngine
from tests.support.tour import Tour, tour_host, touring


@pytest.fixture(scope="module")
def host() -> Iterator[OwnEngine]:
    with tour_host() as host:
        yield host


@pytest.fixture
def tour(host: OwnEngine, tmp_path: Path) -> Iterator[Tour]:
    with touring(host, tmp_path) as tour:
        yield tour


def starting(tour: Tour) -> bool:
    return any(tour.temporary.glob("berth-demo-*/data/berth.db"))


def serving(tour: Tour) -> bool:
    return tour.is_at("waiting for two healthy replicas") and bool(tour.engine.client.containers.list())


def on_fargate(tour: Tour) -> bool:
    return tour.is_at("PROVISIONING → PENDING")


def in_batch(tour: Tour) -> bool:
    return tour.is_at("array PENDING: 0 of 10 done") and len(tour.capacities()) >= 2


def ctrl_c(tour: Tour) -> None:
    """A terminal signals the whole group: the clients that the tour runs, too."""
    os.killpg(tour.process.pid, signal.SIGINT)


def ctrl_c_again_and_again(tour: Tour) -> None:
    ctrl_c(tour)
    until("it cleans up", lambda: "Stop and clean up" in tour.said)
    ctrl_c(tour)
    ctrl_c(tour)


def terminate(tour: Tour) -> None:
    tour.process.send_signal(signal.SIGTERM)


@pytest.mark.parametrize(
    ("moment", "interrupt"),
    [
        (starting, ctrl_c),
        (serving, ctrl_c_again_and_again),
        (on_fargate, ctrl_c),
        (in_batch, terminate),
    ],
)
def test_an_interrupted_tour_leaves_nothing(
    tour: Tour, moment: Callable[[Tour], bool], interrupt: Callable[[Tour], None]
) -> None:
    until(f"the tour is {moment.__name__}", lambda: moment(tour), every=0.02)
    assert tour.left()
    interrupt(tour)
    assert tour.end() == 130, tour.said
    assert "interrupted" in tour.said
    assert tour.left() == []
