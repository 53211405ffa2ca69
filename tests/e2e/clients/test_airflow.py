"""Airflow's ``EcsRunTaskOperator`` and ``BatchOperator``, run by Airflow itself from two DAGs."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.clients.conftest import SCRIPTS, logs_to, programs
from tests.support.berth import RunningBerth

pytestmark = pytest.mark.slow_install


class Airflow:
    """Airflow with a home and a database of its own, and the DAGs of ``scripts/airflow``."""

    def __init__(self, berth: RunningBerth, home: Path, **settings: str) -> None:
        self._berth = berth
        self._program = programs(".venv-airflow", "clients") / "airflow"
        settings |= {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(SCRIPTS / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        }
        self._words = [f"{name}={value}" for name, value in settings.items()]
        for words in (("db", "migrate"), ("dags", "reserialize")):
            done = self.run(*words)
            assert done.returncode == 0, done.stdout + done.stderr

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return self._berth.attempt("env", *self._words, self._program, *words, seconds=300)

    def states(self, dag: str) -> dict[str, str]:
        """How the tasks of the DAG's only run ended."""
        [run] = json.loads(self.run("dags", "list-runs", dag, "--output", "json").stdout)
        listed = self.run("tasks", "states-for-dag-run", dag, run["run_id"], "--output", "json")
        return {task["task_id"]: task["state"] for task in json.loads(listed.stdout)}


@pytest.fixture(scope="module")
def airflow(
    berth: RunningBerth, image: str, job_queue: str, job_definition: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Airflow]:
    definition = berth.client("ecs").register_task_definition(
        family="airflow",
        containerDefinitions=[{"name": "main", "image": image, "memory": 32, "logConfiguration": logs_to("/airflow")}],
    )["taskDefinition"]["taskDefinitionArn"]
    yield Airflow(
        berth,
        tmp_path_factory.mktemp("airflow"),
        TASK_DEFINITION=definition,
        JOB_DEFINITION=job_definition,
        JOB_QUEUE=job_queue,
    )


def test_a_batch_job_gets_what_an_ecs_task_logged(airflow: Airflow, berth: RunningBerth) -> None:
    done = airflow.run("dags", "test", "passes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert airflow.states("passes") == {"say": "success", "repeat": "success"}
    assert _last_words(berth, "airflow-repeat") == "they said hello from ecs"


def test_what_fails_fails_its_task(airflow: Airflow, berth: RunningBerth) -> None:
    done = airflow.run("dags", "test", "fails")
    told = done.stdout + done.stderr
    assert "This task is not in success state - last 10 logs from Cloudwatch:\nso long" in told
    assert airflow.states("fails") == {"exits": "failed", "refuses": "failed"}
    assert _last_words(berth, "airflow-refuses") == "they said no"


def _last_words(berth: RunningBerth, job_name: str) -> str:
    batch, logs = berth.client("batch"), berth.client("logs")
    filters: list[dict[str, Any]] = [{"name": "JOB_NAME", "values": [job_name]}]
    [listed] = batch.list_jobs(jobQueue="clients", filters=filters)["jobSummaryList"]
    [job] = batch.describe_jobs(jobs=[listed["jobId"]])["jobs"]
    stream = job["attempts"][-1]["container"]["logStreamName"]
    words: str = logs.get_log_events(logGroupName="/aws/batch/job", logStreamName=stream)["events"][-1]["message"]
    return words
