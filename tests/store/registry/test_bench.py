"""The registry's benchmark, small, on a real ``berth registry``: what it pushes is there, and nothing stays behind."""

from pathlib import Path

import psutil
import pytest

from bench.registry import parts, storm, tags, uploads, zb
from bench.registry.__main__ import main
from bench.registry.sizes import TINY
from kit.limits import MOST_OPEN

NAMES = ("Get Catalog", "Push Monolith 1MB", "Push Chunk Streamed 100MB", "Pull 10MB", "Pull Mixed", "in ranges")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a peer."""
    monkeypatch.setattr(parts, "has_peer", lambda: False)


def test_zbs_list_is_pushed_pulled_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    zb.run(TINY)
    told = capsys.readouterr().out
    assert all(name in told for name in NAMES)
    assert list(tmp_path.iterdir()) == []
    running = psutil.Process().children(recursive=True)
    assert not [process for process in running if "orchestrator" in process.cmdline()]


def test_a_server_takes_more_files_than_a_shell_allows() -> None:
    with parts.contest_up() as contest:
        soft, hard = contest.berth.process.rlimit(psutil.RLIMIT_NOFILE)
    assert soft == min(hard, MOST_OPEN)


def test_pages_of_tags_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    tags.run(TINY)
    assert "1,000 tags of 1,500" in capsys.readouterr().out


def test_uploads_that_are_all_open_at_once_end_well(capsys: pytest.CaptureFixture[str]) -> None:
    uploads.run(TINY)
    assert capsys.readouterr().out.splitlines()[-1].split()[:3] == ["Berth", "20", "0"]


def test_two_processes_on_one_store_lose_no_tag(tmp_path: Path, empty_store_url: str) -> None:
    done = storm.berth_storm(tmp_path / "berth", empty_store_url, TINY)
    assert (len(done.run.outcome.seconds), done.lost) == (TINY.storm, 0)


def test_a_part_that_does_not_exist_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nothing"]) == 2
    assert "no part named nothing" in capsys.readouterr().err
