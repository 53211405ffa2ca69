"""Batch: an environment, a queue, a definition with parameters, an array job of ten, and a job that waits for it."""

from typing import Any

from orchestrator.demo.image_steps import image_of
from orchestrator.demo.screen import Say
from orchestrator.demo.stage import Stage
from orchestrator.demo.waiting import StepFailed, expect, until

CHILDREN = 10
ROLE = "arn:aws:iam::123456789012:role/batch"
SPEAK = 'echo "$1, I am child $AWS_BATCH_JOB_ARRAY_INDEX of $AWS_BATCH_JOB_ARRAY_SIZE"'


def run_batch(stage: Stage, say: Say) -> str:
    """Submit, follow both jobs to SUCCEEDED, and read what a child said."""
    batch = stage.client("batch")
    batch.create_compute_environment(
        computeEnvironmentName="demo",
        type="MANAGED",
        computeResources={
            "type": "EC2",
            "minvCpus": 0,
            "maxvCpus": 4,
            "instanceTypes": ["m5.xlarge"],
            "subnets": ["subnet-demo"],
            "securityGroupIds": ["sg-demo"],
            "instanceRole": "ecsInstanceRole",
        },
        serviceRole=ROLE,
    )
    until(
        "the compute environment is VALID", lambda: _valid(batch.describe_compute_environments()["computeEnvironments"])
    )
    batch.create_job_queue(
        jobQueueName="demo", priority=1, computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "demo"}]
    )
    until("the job queue is VALID", lambda: _valid(batch.describe_job_queues()["jobQueues"]))
    batch.register_job_definition(
        jobDefinitionName="speak",
        type="container",
        parameters={"greeting": "Hello"},
        containerProperties={
            "image": image_of(stage),
            "command": ["sh", "-c", SPEAK, "speak", "Ref::greeting"],
            "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "64"}],
        },
    )
    array = batch.submit_job(
        jobName="ten",
        jobQueue="demo",
        jobDefinition="speak",
        parameters={"greeting": "Ahoy"},
        arrayProperties={"size": CHILDREN},
    )["jobId"]
    last = batch.submit_job(jobName="after", jobQueue="demo", jobDefinition="speak", dependsOn=[{"jobId": array}])[
        "jobId"
    ]

    def finished() -> dict[str, Any]:
        jobs = {job["jobId"]: job for job in batch.describe_jobs(jobs=[array, last])["jobs"]}
        summary = jobs[array]["arrayProperties"].get("statusSummary", {})
        done = summary.get("SUCCEEDED", 0)
        say.now(f"array {jobs[array]['status']}: {done} of {CHILDREN} done; the job after it {jobs[last]['status']}")
        for job in jobs.values():
            if job["status"] == "FAILED":
                raise StepFailed(f"job {job['jobName']} failed: {job.get('statusReason')}")
        return jobs if all(job["status"] == "SUCCEEDED" for job in jobs.values()) else {}

    jobs = until("both jobs have succeeded", finished, seconds=180, every=0.3)
    child = batch.describe_jobs(jobs=[f"{array}:7"])["jobs"][0]
    expect(jobs[last]["startedAt"] >= child["stoppedAt"], "the dependent job starts after the array")
    said = stage.client("logs").get_log_events(
        logGroupName="/aws/batch/job", logStreamName=child["container"]["logStreamName"], startFromHead=True
    )["events"]
    return f"{CHILDREN} children and the job after them SUCCEEDED; child 7 said “{said[0]['message']}”"


def _valid(found: list[dict[str, Any]]) -> bool:
    return bool(found) and all(item["status"] == "VALID" for item in found)
