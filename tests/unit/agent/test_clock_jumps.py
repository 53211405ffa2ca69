"""The machine's clock is put forward or back: what waits goes on waiting, and nothing ends by it."""

import threading
from datetime import timedelta

import pytest

from agent.runtime import Temporary
from agent.steady import SteadyClock
from agent.tasks.model import Phase
from kit.clock import ManualClock
from tests.support.agent_process import container
from tests.unit.agent.host import MemoryHost
from tests.unit.agent.test_engine_starting import depends

CHECKED = {"config": {"Healthcheck": {"Test": ["CMD", "true"]}}}


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_launch_that_is_put_off_is_tried_again_as_soon_as_it_was_to_be(host: MemoryHost, hours: float) -> None:
    host.runtime.fail_next("create", Temporary("away"))
    host.run("t1", container("c", "server"))
    host.put_clock(hours)
    assert host.status("t1") is None
    assert host.engine.until_due() < timedelta(seconds=1)
    host.tick(1)
    assert host.status("t1") is Phase.RUNNING


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_start_timeout_is_as_long_as_it_says(host: MemoryHost, hours: float) -> None:
    host.run(
        "t1",
        container("db", "server", startTimeout=60, **CHECKED),
        container("app", "server", **depends("db", "HEALTHY")),
    )
    host.put_clock(hours)
    host.tick(59)
    assert host.running() == ["db"]
    host.tick(2)
    assert host.status("t1") is Phase.STOPPED
    report = host.last("t1")
    assert report
    assert report.reason == "dependency db was not HEALTHY within its start timeout"


def test_a_start_timeout_goes_on_through_a_restart_of_the_agent(host: MemoryHost) -> None:
    host.run(
        "t1",
        container("db", "server", startTimeout=60, **CHECKED),
        container("app", "server", **depends("db", "HEALTHY")),
    )
    host.tick(40)
    host.restart()
    host.tick(21)
    assert host.status("t1") is Phase.STOPPED


def test_a_removal_that_failed_is_tried_again_in_time(host: MemoryHost) -> None:
    host.runtime.fail_next("remove", Temporary("away"))
    host.run("t1", container("c", "failing"))
    host.tick(2)
    host.put_clock(-5)
    host.tick(1)
    assert host.running() == []


def test_a_container_with_a_restart_policy_is_not_given_up_for_a_clock_put_back(host: MemoryHost) -> None:
    policy = {"enabled": True, "restartAttemptPeriod": 60}
    host.run("t1", container("c", "server", restartPolicy=policy))
    host.clock.tick(hours=-5)
    host.runtime.exit("ecs-t1-c", 1)
    host.settle()
    assert host.status("t1") is Phase.RUNNING
    assert host.runtime.starts_of("ecs-t1-c") == 2


def test_the_steady_clock_does_not_follow_jumps() -> None:
    wall = ManualClock()
    steady = SteadyClock(wall)
    before = steady.now()
    wall.tick(days=400)
    assert timedelta(0) <= steady.now() - before < timedelta(days=1)
    event = threading.Event()
    event.set()
    assert steady.wait(event, timedelta(hours=1))
