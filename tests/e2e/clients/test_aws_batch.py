"""The ``aws`` command with Batch: an environment, a queue, an array job, a job that depends on it, and their logs."""

import json
from typing import Any

from tests.e2e.clients.conftest import Aws
from tests.support.berth import until


def test_an_array_job_and_a_job_that_depends_on_it(aws: Aws, image: str) -> None:
    resources = {
        "type": "EC2",
        "minvCpus": 0,
        "maxvCpus": 4,
        "instanceTypes": ["m5.xlarge"],
        "subnets": ["subnet-1"],
        "securityGroupIds": ["sg-1"],
        "instanceRole": "ecsInstanceRole",
    }
    environment = ("batch", "create-compute-environment", "--compute-environment-name", "cli", "--type", "MANAGED")
    aws(*environment, "--compute-resources", json.dumps(resources))
    described = ("batch", "describe-compute-environments", "--compute-environments", "cli")
    until("the environment is valid", lambda: _status(aws(*described), "computeEnvironments") == "VALID")
    order = "order=1,computeEnvironment=cli"
    queue = ("--job-queue-name", "cli", "--priority", "1", "--compute-environment-order", order)
    aws("batch", "create-job-queue", *queue)
    until("the queue is valid", lambda: _status(aws("batch", "describe-job-queues"), "jobQueues") == "VALID")
    container = {
        "image": image,
        "command": ["sh", "-c", "echo Ref::greeting from $AWS_BATCH_JOB_ARRAY_INDEX"],
        "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "32"}],
    }
    definition = ("--job-definition-name", "cli", "--type", "container", "--parameters", "greeting=hello")
    aws("batch", "register-job-definition", *definition, "--container-properties", json.dumps(container))
    submit = ("batch", "submit-job", "--job-queue", "cli", "--job-definition", "cli")
    array = aws(*submit, "--job-name", "three", "--array-properties", "size=3", "--parameters", "greeting=ahoy")
    after = aws(*submit, "--job-name", "after", "--depends-on", f"jobId={array['jobId']}")

    def ended() -> dict[str, Any]:
        jobs = aws("batch", "describe-jobs", "--jobs", array["jobId"], after["jobId"])["jobs"]
        found = {job["jobName"]: job for job in jobs}
        return found if found["after"]["status"] in ("SUCCEEDED", "FAILED") else {}

    jobs = until("both jobs have ended", ended, seconds=180)
    assert {name: job["status"] for name, job in jobs.items()} == {"three": "SUCCEEDED", "after": "SUCCEEDED"}
    assert jobs["three"]["arrayProperties"]["statusSummary"]["SUCCEEDED"] == 3
    children = aws("batch", "list-jobs", "--array-job-id", array["jobId"], "--job-status", "SUCCEEDED")
    assert sorted(child["arrayProperties"]["index"] for child in children["jobSummaryList"]) == [0, 1, 2]
    [child] = aws("batch", "describe-jobs", "--jobs", f"{array['jobId']}:2")["jobs"]
    assert child["stoppedAt"] <= jobs["after"]["startedAt"]
    stream = ("--log-group-name", "/aws/batch/job", "--log-stream-name", child["container"]["logStreamName"])
    events = aws("logs", "get-log-events", *stream)["events"]
    assert [event["message"] for event in events] == ["ahoy from 2"]


def _status(answer: dict[str, Any], member: str) -> str:
    found: list[dict[str, str]] = answer[member]
    return found[0]["status"] if found else ""
