"""Jobs through boto3: submitted, described, listed, filtered; nonsense is refused with the reason."""

from typing import Any

import pytest

from tests.support.batch import FARGATE_CONTAINER, BatchPlane, refusal

ARN = "arn:aws:batch:us-east-1:123456789012"


def test_a_job_is_described_with_all_that_was_asked(ready: BatchPlane) -> None:
    definition = ready.definition("full", parameters={"a": "1", "b": "2"}, tags={"from": "definition"})
    made = ready.batch.submit_job(
        jobName="my-job",
        jobQueue=f"{ARN}:job-queue/queue",
        jobDefinition=f"{ARN}:job-definition/{definition}",
        parameters={"b": "3"},
        retryStrategy={"attempts": 2},
        timeout={"attemptDurationSeconds": 120},
        containerOverrides={
            "command": ["other"],
            "environment": [{"name": "A", "value": "B"}],
            "resourceRequirements": [{"type": "MEMORY", "value": "1024"}],
        },
        tags={"team": "blue"},
        dependsOn=[],
    )
    assert made["jobArn"] == f"{ARN}:job/{made['jobId']}"
    job = ready.job(made["jobId"])
    assert job["jobQueue"] == f"{ARN}:job-queue/queue"
    assert job["jobDefinition"] == f"{ARN}:job-definition/full:1"
    assert job["parameters"] == {"a": "1", "b": "3"}
    assert job["retryStrategy"] == {"attempts": 2, "evaluateOnExit": []}
    assert job["timeout"] == {"attemptDurationSeconds": 120}
    assert (job["tags"], job["attempts"], job["dependsOn"]) == ({"team": "blue"}, [], [])
    assert job["container"]["command"] == ["other"]
    assert job["container"]["environment"] == [{"name": "A", "value": "B"}]
    assert job["container"]["resourceRequirements"] == [
        {"type": "VCPU", "value": "1"},
        {"type": "MEMORY", "value": "1024"},
    ]
    assert isinstance(job["createdAt"], int)
    assert job["createdAt"] > 1_600_000_000_000
    assert job["platformCapabilities"] == ["EC2"]


def test_a_name_means_the_newest_active_revision(ready: BatchPlane) -> None:
    ready.definition()
    ready.batch.deregister_job_definition(jobDefinition="work:2")
    assert ready.job(ready.submit())["jobDefinition"].endswith("work:1")
    ready.definition()
    assert ready.job(ready.submit())["jobDefinition"].endswith("work:3")
    words = refusal(ready.batch.submit_job, jobName="j", jobQueue="queue", jobDefinition="work:2")
    assert "not in ACTIVE status" in words


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"jobName": "-x"}, "jobName must start with"),
        ({"jobName": "x" * 129}, "up to 128 letters"),
        ({"jobQueue": "absent"}, "JobQueue absent not found"),
        ({"jobDefinition": "absent"}, "JobDefinition absent not found"),
        ({"jobDefinition": f"{ARN}:job/x"}, "not found"),
        ({"arrayProperties": {"size": 1}}, "between 2 and 10000"),
        ({"arrayProperties": {"size": 10_001}}, "between 2 and 10000"),
        ({"dependsOn": [{"jobId": "absent"}]}, "Job absent does not exist"),
        ({"dependsOn": [{"type": "N_TO_N"}]}, "for array jobs"),
        ({"dependsOn": [{}]}, "needs a jobId"),
        ({"dependsOn": [{"jobId": str(i)} for i in range(21)]}, "at most 20 jobs"),
        ({"retryStrategy": {"attempts": 0}}, "attempts must be between 1 and 10"),
        ({"timeout": {"attemptDurationSeconds": 5}}, "at least 60"),
        ({"containerOverrides": {"environment": [{"name": "AWS_BATCH", "value": "x"}]}}, "reserved"),
        (
            {"containerOverrides": {"resourceRequirements": [{"type": "GPU", "value": "some"}]}},
            "GPU must be a whole number of at least 1",
        ),
        (
            {"containerOverrides": {"resourceRequirements": [{"type": "GPU", "value": "1001"}]}},
            "at most 1000 GPUs",
        ),
        (
            {"containerOverrides": {"resourceRequirements": [{"type": "VCPU", "value": "many"}]}},
            "VCPU must be a whole number",
        ),
        (
            {"containerOverrides": {"resourceRequirements": [{"type": "VCPU", "value": "999999999"}]}},
            "at most 1024 vCPUs",
        ),
        ({"dependsOn": [{"jobId": "a\0b"}]}, "NUL"),
        ({"shareIdentifier": "a"}, "no fair-share scheduling policy"),
        ({"schedulingPriorityOverride": 1}, "no fair-share scheduling policy"),
        ({"nodeOverrides": {"numNodes": 2}}, "has not built multi-node parallel jobs"),
        ({"ecsPropertiesOverride": {"taskProperties": [{}]}}, "has not built jobs of several containers"),
    ],
)
def test_submissions_that_are_refused(ready: BatchPlane, members: dict[str, Any], words: str) -> None:
    usual = {"jobName": "j", "jobQueue": "queue", "jobDefinition": "work"}
    assert words in refusal(ready.batch.submit_job, **{**usual, **members})
    assert ready.batch.list_jobs(jobQueue="queue", jobStatus="SUBMITTED")["jobSummaryList"] == []


def test_a_definition_for_fargate_does_not_go_into_a_queue_of_hosts(ready: BatchPlane) -> None:
    ready.definition("far", FARGATE_CONTAINER, platformCapabilities=["FARGATE"])
    words = refusal(ready.batch.submit_job, jobName="j", jobQueue="queue", jobDefinition="far")
    assert "do not go with the compute environments of job queue queue" in words


def test_jobs_that_do_not_exist_are_left_out(ready: BatchPlane) -> None:
    job = ready.submit()
    found = ready.batch.describe_jobs(jobs=["absent", job, f"{ARN}:job/{job}", f"{job}:0"])["jobs"]
    assert [one["jobId"] for one in found] == [job]
    assert "At most 100" in refusal(ready.batch.describe_jobs, jobs=[str(i) for i in range(101)])


def test_jobs_are_listed_by_status_and_in_pages(ready: BatchPlane) -> None:
    jobs = [ready.submit(f"job{i}") for i in range(5)]
    assert ready.batch.list_jobs(jobQueue="queue")["jobSummaryList"] == []
    pages = ready.batch.get_paginator("list_jobs").paginate(
        jobQueue="queue", jobStatus="SUBMITTED", PaginationConfig={"PageSize": 2}
    )
    found = [[one["jobId"] for one in page["jobSummaryList"]] for page in pages]
    assert found == [jobs[4:2:-1], jobs[2:0:-1], jobs[:1]]


def test_filters_find_jobs_of_any_status(ready: BatchPlane) -> None:
    ready.definition("Other")
    one = ready.submit("Alpha-1")
    two = ready.submit("alpha-2", jobDefinition="Other")
    three = ready.submit("beta_", arrayProperties={"size": 2})

    def found(name: str, *values: str) -> list[str]:
        filters = [{"name": name, "values": list(values)}]
        listed = ready.batch.list_jobs(jobQueue="queue", filters=filters)["jobSummaryList"]
        return [job["jobId"] for job in listed]

    assert found("JOB_NAME", "ALPHA-1") == [one]
    assert found("JOB_NAME", "alpha*") == [two, one]
    assert found("JOB_NAME", "b%*") == []
    assert found("JOB_DEFINITION", "work") == [three, one]
    assert found("JOB_DEFINITION", "o*") == []
    assert found("JOB_DEFINITION", "O*") == [two]
    assert found("JOB_DEFINITION", f"{ARN}:job-definition/Other:1") == [two]
    created = ready.job(two)["createdAt"]
    assert found("AFTER_CREATED_AT", str(created + 60_000)) == []
    assert found("BEFORE_CREATED_AT", str(created + 60_000)) == [three, two, one]

    list_jobs = ready.batch.list_jobs
    assert "Unknown filter" in refusal(list_jobs, jobQueue="queue", filters=[{"name": "COLOUR", "values": ["x"]}])
    assert "at least one value" in refusal(list_jobs, jobQueue="queue", filters=[{"name": "JOB_NAME"}])
    late = [{"name": "AFTER_CREATED_AT", "values": ["soon"]}]
    assert "milliseconds" in refusal(list_jobs, jobQueue="queue", filters=late)
    both = [{"name": "JOB_NAME", "values": ["x"]}] * 2
    assert "Only one filter" in refusal(list_jobs, jobQueue="queue", filters=both)


def test_an_arrays_children_are_listed_by_index(ready: BatchPlane) -> None:
    array = ready.submit(arrayProperties={"size": 3})
    ready.settle()
    listed = ready.batch.list_jobs(arrayJobId=array, jobStatus="RUNNABLE")["jobSummaryList"]
    assert [one["jobId"] for one in listed] == [f"{array}:{index}" for index in range(3)]
    assert [one["arrayProperties"]["index"] for one in listed] == [0, 1, 2]
    parents = ready.batch.list_jobs(jobQueue="queue", jobStatus="PENDING")["jobSummaryList"]
    assert [(one["jobId"], one["arrayProperties"]["size"]) for one in parents] == [(array, 3)]
    assert "is not an array job" in refusal(ready.batch.list_jobs, arrayJobId=f"{array}:0")


def test_listing_needs_exactly_one_place_to_look(ready: BatchPlane) -> None:
    assert "exactly one of" in refusal(ready.batch.list_jobs)
    assert "exactly one of" in refusal(ready.batch.list_jobs, jobQueue="queue", arrayJobId="x")
    assert "has not built multi-node" in refusal(ready.batch.list_jobs, multiNodeJobId="x")
    assert "JobQueue absent not found" in refusal(ready.batch.list_jobs, jobQueue="absent")


def test_a_queue_made_anew_does_not_list_the_jobs_of_the_old_one(ready: BatchPlane) -> None:
    job = ready.submit()
    ready.batch.update_job_queue(jobQueue="queue", state="DISABLED")
    ready.settle()
    ready.batch.delete_job_queue(jobQueue="queue")
    ready.settle()
    assert ready.status(job) == "FAILED"
    ready.queue()
    assert ready.batch.list_jobs(jobQueue="queue", jobStatus="FAILED")["jobSummaryList"] == []


def test_stopping_a_job_that_does_not_exist(ready: BatchPlane) -> None:
    for call in (ready.batch.cancel_job, ready.batch.terminate_job):
        assert "Job absent not found" in refusal(call, jobId="absent", reason="x")
        assert "must be specified" in refusal(call, jobId=ready.submit(), reason="")


def test_tags_propagate_to_the_task_when_asked(ready: BatchPlane) -> None:
    ready.add_host()
    ready.definition("tagged", tags={"a": "definition", "b": "definition"})
    job = ready.submit(jobDefinition="tagged", tags={"b": "job"}, propagateTags=True)
    silent = ready.submit(jobDefinition="tagged", tags={"b": "job"})
    ready.settle()
    assert ready.task_of(job).tags == [{"key": "a", "value": "definition"}, {"key": "b", "value": "job"}]
    assert ready.task_of(silent).tags == []
    assert ready.job(job)["tags"] == {"b": "job"}
