"""Where agents that ``berth agent`` starts keep their own: one folder for each, found again by cluster."""

import subprocess
import sys
from pathlib import Path

from agent.identity import IdentityFile
from orchestrator.cli.agent import free_home


def lived_in(home: Path, cluster: str) -> Path:
    home.mkdir(parents=True)
    IdentityFile(home).load(cluster)
    return home


def test_a_host_that_comes_back_to_its_cluster_finds_its_folder(tmp_path: Path) -> None:
    home = lived_in(tmp_path / "1", "default")
    assert free_home(tmp_path, "default") == home


def test_a_folder_of_another_cluster_is_passed_over(tmp_path: Path) -> None:
    lived_in(tmp_path / "1", "jobs")
    ours = lived_in(tmp_path / "2", "default")
    assert free_home(tmp_path, "default") == ours
    assert free_home(tmp_path, "third") == tmp_path / "3"


def test_a_folder_whose_agent_runs_is_passed_over(tmp_path: Path) -> None:
    home = lived_in(tmp_path / "1", "default")
    waits = [sys.executable, "-c", "import signal; print(flush=True); signal.pause()", "--data", str(home)]
    with subprocess.Popen(waits, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()
        assert free_home(tmp_path, "default") == tmp_path / "2"
        running.kill()


def test_a_folder_that_cannot_be_read_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "agent.json").write_text("torn")
    assert free_home(tmp_path, "default") == tmp_path / "2"
