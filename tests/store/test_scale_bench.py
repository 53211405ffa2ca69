"""The benchmark at scale, small: its simulated fleet really runs what services wish for, on either database."""

from argparse import Namespace
from pathlib import Path

import pytest
from rich.console import Console

from bench.scale import delay, fleet, ground
from bench.scale.bare_store import measure_bulk
from bench.scale.flight import fly
from bench.scale.gauge import Sample, rate_between
from bench.scale.notrun import NotRun
from bench.scale.plane import plane_up

QUIET = Console(quiet=True)
TASKS, HOSTS = 240, 6


def test_every_task_that_services_wish_for_runs(empty_store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ground, "SERVICE_TASKS", 100)
    with plane_up(empty_store_url) as plane:
        flight = fly(plane, tasks=TASKS, hosts=HOSTS, seed=7, child=False, console=QUIET)
        shown = plane.call("DescribeServices", cluster="bench", services=[f"worker-{n:04}" for n in range(3)])
        clusters = plane.call("DescribeClusters", clusters=["bench"])["clusters"]
        bare = measure_bulk(plane.store, plane.folder)
    assert [service["runningCount"] for service in shown["services"]] == [100, 100, 40]
    assert (clusters[0]["runningTasksCount"], clusters[0]["pendingTasksCount"]) == (TASKS, 0)
    assert (flight.samples[-1].running, flight.samples[-1].launched) == (TASKS, TASKS)
    assert 1 <= flight.hosts_used <= HOSTS
    assert bare > 0


def test_a_run_tells_and_draws_its_outcome_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    chart = tmp_path / "charts" / "fleet.png"
    fleet.run(Namespace(tasks=TASKS, hosts=HOSTS, store="", seed=7, chart=chart, profile=True))
    told = capsys.readouterr().out
    assert "240 tasks, every placement and report committed" in told
    assert "µs per task" in told
    assert chart.read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["charts"]


def test_delay_is_told_for_launches_and_requests(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(delay, "LAUNCHES", 20)
    delay.run(Namespace(tasks=60, hosts=3, store="", seed=7))
    told = capsys.readouterr().out
    assert "20 launches, 50/s, on 3 hosts with 60 tasks running" in told
    assert "RunTask, signed and validated" in told


def test_a_disk_that_is_too_small_is_told_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(NotRun, match="GiB of disk"), plane_up(disk=2**60):
        pass


def test_a_database_with_tables_is_not_taken(empty_store_url: str) -> None:
    with plane_up(empty_store_url) as plane:
        plane.call("CreateCluster", clusterName="mine")
        with pytest.raises(NotRun, match="is not empty"), plane_up(empty_store_url):
            pass


def test_rates_are_taken_between_samples_in_proportion() -> None:
    samples = [
        Sample(at=at, launched=100, running=running, memory=0) for at, running in ((0, 0), (2, 0), (4, 60), (5, 100))
    ]
    assert rate_between(samples, 0, 60) == 30
    assert rate_between(samples, 30, 60) == 30
    assert rate_between(samples, 60, 100) == 40
    assert rate_between(samples, 0, 200) is None
