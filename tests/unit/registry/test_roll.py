"""The roll of collectors: whose lock is free is dead, and whoever is not known here is not."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from registry.roll import Roll

WORKS = """
import sys, pathlib
from registry.roll import Roll
with Roll(pathlib.Path(sys.argv[1])).entered("other"):
    print("works", flush=True)
    sys.stdin.read()
"""


def test_a_collector_is_dead_once_its_work_has_ended(tmp_path: Path) -> None:
    roll = Roll(tmp_path / "collectors")
    with roll.entered("one"):
        assert not roll.is_dead("one")
        roll.strike(keep=())
        assert not roll.is_dead("one") and (tmp_path / "collectors" / "one").exists()
    assert roll.is_dead("one")
    roll.strike(keep=["one"])
    assert roll.is_dead("one")
    roll.strike(keep=())
    assert not roll.is_dead("one") and not any((tmp_path / "collectors").iterdir())


def test_a_killed_process_is_dead(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WORKS, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"works\n"
        assert not Roll(tmp_path).is_dead("other")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert Roll(tmp_path).is_dead("other")


def test_of_others_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    roll = Roll(tmp_path)
    assert not roll.is_dead("never seen")
    (tmp_path / "elsewhere").write_text("another machine")
    (tmp_path / "empty").touch()
    assert not roll.is_dead("elsewhere") and not roll.is_dead("empty")
    with roll.entered("here"):
        pass
    monkeypatch.setattr("registry.roll._BOOT", tmp_path / "no such file")
    assert not roll.is_dead("here") and not roll.is_dead("empty")


def test_work_goes_on_where_nobody_can_be_entered(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    roll, worked = Roll(tmp_path / "file"), False
    with roll.entered("one"):
        worked = True
    assert worked and not roll.is_dead("one")
    roll.strike(keep=())
