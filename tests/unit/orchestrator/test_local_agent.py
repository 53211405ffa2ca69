"""The local agent is started again when it dies, sooner or later, and never twice."""

import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from kit.clock import ManualClock, SystemClock
from kit.processes import end_processes, find_processes
from kit.settings import Settings
from orchestrator.cli import local_agent
from orchestrator.cli.local_agent import LocalAgent
from orchestrator.cli.output import Place
from tests.support.berth import until

LIVES = "import signal; signal.pause()"
DIES = "raise SystemExit(3)"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(data=tmp_path)
    yield place
    end_processes(["--data", str(place.agent)], SystemClock())


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The agent's program: what is put in here runs in the agent's place."""
    lines = [LIVES]
    monkeypatch.setattr(
        local_agent, "agent_command", lambda home, _: [sys.executable, "-c", lines[-1], "--data", str(home)]
    )
    return lines


def agents(place: Place) -> list[int]:
    return find_processes(["--data", str(place.agent)])


def keeper(place: Place, clock: ManualClock) -> LocalAgent:
    return LocalAgent(place, Settings(data=place.data), {}, clock)


def started(kept: LocalAgent, place: Place) -> list[int]:
    """Step, and answer the agents once they are seen: a fresh process has no command line for an instant."""
    kept.step()
    return until("an agent is seen", lambda: agents(place))


def end(kept: LocalAgent) -> None:
    """End the agent and wait until it is gone."""
    assert kept._child is not None
    kept._child.kill()
    kept._child.wait()


def test_a_dead_agent_is_started_again(place: Place, program: list[str]) -> None:
    clock = ManualClock()
    kept = keeper(place, clock)
    (first,) = started(kept, place)
    end(kept)
    assert agents(place) == []

    clock.tick(minutes=2)
    (second,) = started(kept, place)
    assert second != first
    end(kept)


def test_an_agent_that_lives_is_left_alone(place: Place, program: list[str]) -> None:
    kept = keeper(place, ManualClock())
    before = started(kept, place)

    kept.step()

    assert agents(place) == before
    end(kept)


def test_an_agent_of_a_killed_control_plane_is_taken_over(place: Place, program: list[str]) -> None:
    clock = ManualClock()
    old, new = keeper(place, clock), keeper(place, clock)
    before = started(old, place)

    new.step()
    assert agents(place) == before

    end(old)
    after = started(new, place)
    assert len(after) == 1
    assert after != before
    end(new)


def test_an_agent_that_dies_at_once_is_tried_ever_more_seldom(place: Place, program: list[str]) -> None:
    program.append(DIES)
    clock = ManualClock()
    kept = keeper(place, clock)
    pauses = []
    for _ in range(9):
        kept.step()
        assert kept._child is not None
        kept._child.wait()
        due = kept.step()
        assert due is not None
        pauses.append(due - clock.now())
        clock.tick(seconds=pauses[-1].total_seconds())

    assert pauses == [timedelta(seconds=seconds) for seconds in (1, 2, 4, 8, 16, 32, 60, 60, 60)]
