"""Log groups and streams through a real boto3 client."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from state.log_events import expire_log_events
from tests.support.logs import messages, put
from tests.support.loopback import Loopback
from tests.support.refusals import refusal


def test_a_group_is_created_described_and_deleted(client: Any) -> None:
    client.create_log_group(logGroupName="/app", tags={"team": "web"})
    (group,) = client.describe_log_groups(logGroupNamePrefix="/app")["logGroups"]
    assert group["arn"] == "arn:aws:logs:us-east-1:123456789012:log-group:/app:*"
    assert group["logGroupArn"] == "arn:aws:logs:us-east-1:123456789012:log-group:/app"
    assert group["storedBytes"] == 0
    assert "retentionInDays" not in group
    client.delete_log_group(logGroupName="/app")
    assert client.describe_log_groups()["logGroups"] == []


def test_creating_a_group_or_stream_twice_says_that_it_exists(client: Any, stream: dict[str, str]) -> None:
    with pytest.raises(client.exceptions.ResourceAlreadyExistsException, match="log group already exists"):
        client.create_log_group(logGroupName="/app")
    with pytest.raises(client.exceptions.ResourceAlreadyExistsException, match="log stream already exists"):
        client.create_log_stream(**stream)


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("delete_log_group", {}),
        ("put_retention_policy", {"retentionInDays": 7}),
        ("delete_retention_policy", {}),
        ("create_log_stream", {"logStreamName": "s"}),
        ("delete_log_stream", {"logStreamName": "s"}),
        ("describe_log_streams", {}),
        ("get_log_events", {"logStreamName": "s"}),
        ("filter_log_events", {}),
        ("put_log_events", {"logStreamName": "s", "logEvents": [{"timestamp": 1, "message": "m"}]}),
        ("list_tags_log_group", {}),
    ],
)
def test_an_absent_group_is_not_found(embedded: Any, operation: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(embedded.exceptions.ResourceNotFoundException, match="The specified log group does not exist"):
        getattr(embedded, operation)(logGroupName="absent", **arguments)


def test_an_absent_stream_is_not_found(client: Any, stream: dict[str, str], now: int) -> None:
    absent = {"logGroupName": "/app", "logStreamName": "absent"}
    with pytest.raises(client.exceptions.ResourceNotFoundException, match="The specified log stream does not exist"):
        client.get_log_events(**absent)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        put(client, absent, now, "lost")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.delete_log_stream(**absent)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.filter_log_events(logGroupName="/app", logStreamNames=["absent"])


def test_groups_are_paged_in_order_of_name_and_found_by_prefix_or_substring(client: Any) -> None:
    for name in ("/b/Two", "/a/one", "/b/three", "Z", "/b-side"):
        client.create_log_group(logGroupName=name)
    pages = client.get_paginator("describe_log_groups").paginate(PaginationConfig={"PageSize": 2})
    names = [group["logGroupName"] for page in pages for group in page["logGroups"]]
    assert names == ["/a/one", "/b-side", "/b/Two", "/b/three", "Z"]

    def found(**asked: Any) -> list[str]:
        return [group["logGroupName"] for group in client.describe_log_groups(**asked)["logGroups"]]

    assert found(logGroupNamePrefix="/b/") == ["/b/Two", "/b/three"]
    assert found(logGroupNamePattern="Two") == ["/b/Two"]
    assert found(logGroupNamePattern="two") == []
    assert found(logGroupIdentifiers=["Z", "nothing"]) == ["Z"]
    with pytest.raises(client.exceptions.InvalidParameterException, match="mutually exclusive"):
        found(logGroupNamePrefix="/b", logGroupNamePattern="Two")


@pytest.mark.parametrize("token", ["nonsense", "WzFd", "e30=", "W10=", "*"])
def test_a_token_that_was_never_given_is_refused(embedded: Any, token: str) -> None:
    stream = {"logGroupName": "/app", "logStreamName": "s"}
    embedded.create_log_group(logGroupName="/app")
    embedded.create_log_stream(**stream)
    for call in (
        lambda: embedded.describe_log_groups(nextToken=token),
        lambda: embedded.describe_log_streams(logGroupName="/app", nextToken=token),
        lambda: embedded.get_log_events(**stream, nextToken=token),
        lambda: embedded.filter_log_events(logGroupName="/app", nextToken=token),
    ):
        with pytest.raises(embedded.exceptions.InvalidParameterException, match="nextToken"):
            call()


def test_a_token_of_another_request_is_refused(client: Any) -> None:
    for name in ("a1", "a2", "b1"):
        client.create_log_group(logGroupName=name)
    token = client.describe_log_groups(logGroupNamePrefix="a", limit=1)["nextToken"]
    with pytest.raises(client.exceptions.InvalidParameterException):
        client.describe_log_groups(logGroupNamePrefix="b", limit=1, nextToken=token)


def test_streams_are_listed_by_name_or_by_last_event_both_ways(client: Any, now: int) -> None:
    client.create_log_group(logGroupName="g")
    for name in ("b", "a", "C", "a/x"):
        client.create_log_stream(logGroupName="g", logStreamName=name)
    for age, name in ((30, "a"), (10, "b"), (20, "C")):
        put(client, {"logGroupName": "g", "logStreamName": name}, now - age, "line")

    def listed(**asked: Any) -> list[str]:
        pages = client.get_paginator("describe_log_streams").paginate(
            logGroupName="g", PaginationConfig={"PageSize": 1}, **asked
        )
        return [stream["logStreamName"] for page in pages for stream in page["logStreams"]]

    assert listed() == ["C", "a", "a/x", "b"]
    assert listed(descending=True) == ["b", "a/x", "a", "C"]
    assert listed(logStreamNamePrefix="a") == ["a", "a/x"]
    assert listed(orderBy="LastEventTime") == ["a/x", "a", "C", "b"]
    assert listed(orderBy="LastEventTime", descending=True) == ["b", "C", "a", "a/x"]
    with pytest.raises(client.exceptions.InvalidParameterException, match="Cannot order by LastEventTime"):
        listed(orderBy="LastEventTime", logStreamNamePrefix="a")


def test_a_stream_knows_its_first_and_last_event(client: Any, stream: dict[str, str], now: int) -> None:
    (before,) = client.describe_log_streams(logGroupName="/app")["logStreams"]
    assert not {"firstEventTimestamp", "lastEventTimestamp", "lastIngestionTime"} & before.keys()
    put(client, stream, now, "one", "two")
    put(client, stream, now - 500, "earlier")
    (after,) = client.describe_log_streams(logGroupName="/app")["logStreams"]
    assert after["firstEventTimestamp"] == now - 500
    assert after["lastEventTimestamp"] == now + 1
    assert after["arn"].endswith(":log-group:/app:log-stream:web/1")


def test_a_name_that_no_store_can_keep_is_refused(client: Any, stream: dict[str, str]) -> None:
    for operation in (client.create_log_stream, client.delete_log_stream, client.get_log_events):
        with pytest.raises(client.exceptions.InvalidParameterException, match="logStreamName"):
            operation(logGroupName="/app", logStreamName="a\0b")


def test_retention_hides_old_events_at_once_and_the_sweep_removes_them(
    berth: Loopback, client: Any, stream: dict[str, str], now: int
) -> None:
    put(client, stream, now - 2 * 86_400_000, *"old")
    put(client, stream, now, "new")
    client.put_retention_policy(logGroupName="/app", retentionInDays=1)
    assert client.describe_log_groups()["logGroups"][0]["retentionInDays"] == 1
    assert messages(client.get_log_events(**stream, startFromHead=True)) == ["new"]
    assert messages(client.filter_log_events(logGroupName="/app")) == ["new"]
    at = berth.clock.now()
    assert berth.store.transact(lambda session: expire_log_events(session, at, 2)) == 2
    assert berth.store.transact(lambda session: expire_log_events(session, at, 2)) == 1
    assert berth.store.transact(lambda session: expire_log_events(session, at, 2)) == 0
    client.delete_retention_policy(logGroupName="/app")
    assert messages(client.get_log_events(**stream, startFromHead=True)) == ["new"]
    assert client.describe_log_groups()["logGroups"][0]["storedBytes"] == 29


def test_a_retention_that_aws_does_not_offer_is_refused(client: Any, stream: dict[str, str]) -> None:
    with pytest.raises(client.exceptions.InvalidParameterException, match="retentionInDays must be one of"):
        client.put_retention_policy(logGroupName="/app", retentionInDays=2)


def test_a_deleted_and_recreated_group_starts_empty(client: Any, stream: dict[str, str], now: int) -> None:
    put(client, stream, now, "of the old group")
    client.delete_log_group(logGroupName="/app")
    client.create_log_group(logGroupName="/app")
    client.create_log_stream(**stream)
    assert client.get_log_events(**stream)["events"] == []
    assert client.filter_log_events(logGroupName="/app")["events"] == []


def test_a_protected_group_is_not_deleted(client: Any) -> None:
    client.create_log_group(logGroupName="kept", deletionProtectionEnabled=True)
    with pytest.raises(ClientError) as error:
        client.delete_log_group(logGroupName="kept")
    assert refusal(error)[0] == "ValidationException"


def test_what_berth_cannot_do_for_a_group_is_refused(client: Any) -> None:
    with pytest.raises(client.exceptions.InvalidParameterException, match="KMS"):
        client.create_log_group(logGroupName="g", kmsKeyId="arn:aws:kms:us-east-1:123456789012:key/1")
    with pytest.raises(client.exceptions.InvalidParameterException, match="DELIVERY"):
        client.create_log_group(logGroupName="g", logGroupClass="DELIVERY")
    with pytest.raises(client.exceptions.InvalidParameterException, match="reserved"):
        client.create_log_group(logGroupName="aws/mine")


def test_tags_by_arn_and_by_name_are_the_same_tags(client: Any, stream: dict[str, str]) -> None:
    arn = "arn:aws:logs:us-east-1:123456789012:log-group:/app"
    client.tag_resource(resourceArn=arn, tags={"a": "1", "b": "2"})
    client.tag_log_group(logGroupName="/app", tags={"b": "3", "c": ""})
    assert client.list_tags_for_resource(resourceArn=arn)["tags"] == {"a": "1", "b": "3", "c": ""}
    client.untag_resource(resourceArn=arn, tagKeys=["a", "absent"])
    client.untag_log_group(logGroupName="/app", tags=["c"])
    assert client.list_tags_log_group(logGroupName="/app")["tags"] == {"b": "3"}


def test_a_group_takes_fifty_tags(client: Any, stream: dict[str, str]) -> None:
    arn = "arn:aws:logs:us-east-1:123456789012:log-group:/app"
    client.tag_resource(resourceArn=arn, tags={f"k{index}": "v" for index in range(50)})
    with pytest.raises(client.exceptions.TooManyTagsException):
        client.tag_resource(resourceArn=arn, tags={"one": "more"})
    with pytest.raises(client.exceptions.InvalidParameterException, match="not the ARN"):
        client.tag_resource(resourceArn="arn:aws:logs:us-east-1:999999999999:log-group:/app", tags={"a": "b"})
