"""``berth top``: one thing by its name, and what is said where there is none of it."""

from datetime import timedelta
from pathlib import Path

import pytest

from kit.clock import SystemClock
from kit.settings import Settings
from orchestrator.app import build_parts
from orchestrator.cli import main
from state.store import Session
from state.usage import MINUTE, UsagePoint, bucket

TASK = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("BERTH_STORE_URL", "BERTH_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    build_parts(Settings(data=tmp_path)).store.close()
    return tmp_path


def used(data: Path, *subjects: str) -> None:
    """A minute of each."""
    at = bucket(SystemClock().now() - timedelta(minutes=1), MINUTE)
    names = ("cpu", "cpu_peak", "cpu_reserved", "memory", "memory_peak", "memory_reserved", "rx", "tx", "read")
    amounts = dict.fromkeys((*names, "written", "tasks", "restarts", "minutes"), 1)

    def write(session: Session) -> None:
        session.add_all(UsagePoint(subject=subject, seconds=MINUTE, at=at, **amounts) for subject in subjects)

    parts = build_parts(Settings(data=data))
    parts.store.transact(write)
    parts.store.close()


def test_a_name_that_nothing_has_is_a_failure(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    used(data, "service/default/web")
    assert main(["top", "--data", str(data), "wbe"]) == 1
    said = capsys.readouterr()
    assert "named wbe" in said.err and not said.out


def test_a_berth_of_which_nothing_is_known_yet_is_none(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top", "--data", str(data)]) == 0
    assert "Nothing is known" in capsys.readouterr().out


@pytest.mark.parametrize("name", [TASK, TASK[-8:], f"{TASK[-8:]}/web"])
def test_a_tasks_containers_are_found_by_what_the_screen_shows(
    data: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    used(data, f"container/default/{TASK}/web", "service/default/other")
    assert main(["top", "--data", str(data), name]) == 0
    out = capsys.readouterr().out
    assert f"{TASK[-8:]}/web" in out and "other" not in out
