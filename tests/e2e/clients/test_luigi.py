"""luigi's ``ECSTask`` and ``BatchTask``, in a pipeline that luigi itself runs."""

import subprocess
from pathlib import Path

import pytest

from tests.e2e.clients.conftest import SCRIPTS
from tests.support.berth import RunningBerth


class Luigi:
    """luigi on the pipeline of ``scripts/luigi_tasks.py``; what it has done, it marks in ``marks``."""

    def __init__(self, berth: RunningBerth, python: Path, image: str, marks: Path) -> None:
        self._berth, self._python = berth, python
        self.marks = marks
        self._words = [f"IMAGE={image}", f"MARKS={marks}", f"PYTHONPATH={SCRIPTS}"]

    def run(self, task: str, *parameters: str) -> "subprocess.CompletedProcess[str]":
        luigi = (self._python, "-m", "luigi", "--module", "luigi_tasks", "--local-scheduler")
        # luigi tells by its exit code only when it is asked to.
        codes = ("--retcode-task-failed", "30", "--retcode-scheduling-error", "35")
        return self._berth.attempt("env", *self._words, *luigi, *codes, task, *parameters, seconds=180)


@pytest.fixture
def luigi(berth: RunningBerth, clients: Path, image: str, tmp_path: Path) -> Luigi:
    return Luigi(berth, clients / "python", image, tmp_path)


def test_a_batch_job_runs_after_the_ecs_task_it_needs(
    luigi: Luigi, berth: RunningBerth, job_queue: str, job_definition: str
) -> None:
    done = luigi.run("Compute", "--job-definition", job_definition, "--job-queue", job_queue, "--job-name", "luigi")
    assert done.returncode == 0, done.stderr
    assert "2 ran successfully" in done.stderr
    assert {mark.name for mark in luigi.marks.iterdir()} == {"Prepare", "Compute"}
    ecs = berth.client("ecs")
    tasks = ecs.describe_tasks(tasks=ecs.list_tasks(family="luigi", desiredStatus="STOPPED")["taskArns"])["tasks"]
    assert [task["containers"][0]["exitCode"] for task in tasks] == [0]


def test_a_failed_job_fails_its_task_with_the_jobs_log(luigi: Luigi, job_queue: str, job_definition: str) -> None:
    words = ("--words", "no", "--job-name", "luigi-fails")
    done = luigi.run("Compute", "--job-definition", job_definition, "--job-queue", job_queue, *words)
    assert done.returncode == 30, done.stderr
    assert "failed: they said no" in done.stderr
    assert {mark.name for mark in luigi.marks.iterdir()} == {"Prepare"}
