"""Lists of jobs on both stores: filters, case, pages that stay put while jobs come and go."""

import pytest

from kit.aws.paging import encode_token
from tests.support.batch import BatchPlane

ARN = "arn:aws:batch:us-east-1:123456789012"


@pytest.fixture
def plane(plane: BatchPlane) -> BatchPlane:
    plane.furnish()
    plane.definition("Other")
    return plane


def found(plane: BatchPlane, name: str, *values: str) -> list[str]:
    filters = [{"name": name, "values": list(values)}]
    listed = plane.batch.list_jobs(jobQueue="queue", filters=filters)["jobSummaryList"]
    return [job["jobName"] for job in listed]


def test_names_match_in_any_case_and_definitions_in_their_own(plane: BatchPlane) -> None:
    plane.submit("Alpha_1")
    plane.submit("alphaX1", jobDefinition="Other")
    assert found(plane, "JOB_NAME", "ALPHA_1") == ["Alpha_1"]
    assert found(plane, "JOB_NAME", "alpha*") == ["alphaX1", "Alpha_1"]
    assert found(plane, "JOB_NAME", "alpha_*") == ["Alpha_1"]
    assert found(plane, "JOB_NAME", "nobody", "alphax1") == ["alphaX1"]
    assert found(plane, "JOB_DEFINITION", "other") == []
    assert found(plane, "JOB_DEFINITION", "Oth*") == ["alphaX1"]
    assert found(plane, "JOB_DEFINITION", f"{ARN}:job-definition/work:1") == ["Alpha_1"]
    assert found(plane, "JOB_DEFINITION", f"{ARN}:job-definition/work:2") == []


def test_children_are_not_among_a_queues_jobs(plane: BatchPlane) -> None:
    array = plane.submit("array", arrayProperties={"size": 3})
    plane.settle()
    assert found(plane, "JOB_NAME", "array") == ["array"]
    children = plane.batch.list_jobs(arrayJobId=array, jobStatus="RUNNABLE", maxResults=2)
    assert [one["jobId"] for one in children["jobSummaryList"]] == [f"{array}:0", f"{array}:1"]
    rest = plane.batch.list_jobs(arrayJobId=array, jobStatus="RUNNABLE", nextToken=children["nextToken"])
    assert [one["jobId"] for one in rest["jobSummaryList"]] == [f"{array}:2"]


def test_a_page_goes_on_where_the_last_one_ended_whatever_came_in_between(plane: BatchPlane) -> None:
    jobs = [plane.submit(f"job{index}") for index in range(4)]
    first = plane.batch.list_jobs(jobQueue="queue", jobStatus="SUBMITTED", maxResults=2)
    plane.submit("late")
    second = plane.batch.list_jobs(jobQueue="queue", jobStatus="SUBMITTED", nextToken=first["nextToken"])
    listed = [one["jobId"] for page in (first, second) for one in page["jobSummaryList"]]
    assert listed == jobs[::-1]
    assert "nextToken" not in second


def test_a_token_of_another_list_is_refused(plane: BatchPlane) -> None:
    for index in range(3):
        plane.submit(f"job{index}")
    token = plane.batch.list_jobs(jobQueue="queue", jobStatus="SUBMITTED", maxResults=1)["nextToken"]
    with pytest.raises(plane.batch.exceptions.ClientException):
        plane.batch.list_jobs(jobQueue="queue", jobStatus="FAILED", nextToken=token)


@pytest.mark.parametrize("after", [7, ["x"], ["x", "y"], [1, 2], [10**30, "x"], [True, "x"], {}])
def test_a_token_that_somebody_made_up_is_refused(plane: BatchPlane, after: object) -> None:
    token = encode_token(after, scope="jobs of queue SUBMITTED")
    with pytest.raises(plane.batch.exceptions.ClientException):
        plane.batch.list_jobs(jobQueue="queue", jobStatus="SUBMITTED", nextToken=token)
