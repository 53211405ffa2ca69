"""Processes: only ours are found, and what we start runs our code, whoever shares the machine."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.processes import await_command_line, find_processes, python_module

ROOMS = ("agent", "kit", "orchestrator", "registry", "scheduler", "state")


def test_a_module_is_never_taken_from_the_folder_one_stands_in(tmp_path: Path) -> None:
    for planted in ("agent", "argparse"):
        (tmp_path / f"{planted}.py").write_text("import sys\nsys.exit('planted code ran')\n")

    done = subprocess.run(
        [*python_module("agent"), "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "Join this host" in done.stdout


def test_no_room_starts_python_in_another_way() -> None:
    root = Path(__file__).resolve().parents[3]
    found = [path for room in ROOMS for path in (root / room).rglob("*.py") if '"-m"' in path.read_text()]

    # The demo runs from the checkout alone, as make runs it.
    assert [path.relative_to(root).as_posix() for path in found] == ["kit/processes.py", "orchestrator/demo/stage.py"]


@pytest.fixture
def process(tmp_path: Path) -> Iterator[list[str]]:
    """The words of a process of this user that lives."""
    words = ["--data", str(tmp_path)]
    program = "import sys; print(flush=True); sys.stdin.read()"
    child = subprocess.Popen([sys.executable, "-c", program, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    yield words
    child.communicate(b"")


def test_a_strangers_process_with_our_command_line_is_not_ours(
    process: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(find_processes(process)) == 1

    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)

    assert find_processes(process) == []


def test_root_finds_the_processes_of_the_directorys_owner(process: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    assert len(find_processes(process)) == 1


def test_a_process_is_found_as_soon_as_it_was_awaited(tmp_path: Path) -> None:
    for number in range(10):
        words = ["--data", str(tmp_path / str(number))]
        child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()", *words], stdin=subprocess.PIPE)
        await_command_line(child, words)
        found = find_processes(words)
        child.communicate(b"")
        assert found == [child.pid]
        await_command_line(child, words)
