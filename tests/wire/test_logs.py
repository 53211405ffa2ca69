"""CloudWatch Logs through a real boto3 client."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from kit.clock import ManualClock, SystemClock
from orchestrator.api.logs import logs
from state.log_events import expire_log_events
from state.log_groups import epoch_milliseconds
from tests.support.loopback import Loopback


@pytest.fixture
def berth(store_url: str) -> Iterator[Loopback]:
    # Real clients sign with the real time, so the server starts there and moves only when told to.
    loopback = Loopback(store_url, [logs], clock=ManualClock(SystemClock().now()))
    yield loopback
    loopback.close()


@pytest.fixture
def client(berth: Loopback) -> Any:
    return berth.client("logs")


@pytest.fixture
def embedded(sqlite_url: str) -> Iterator[Any]:
    """A client for what never reaches the store, so that the database makes no difference."""
    loopback = Loopback(sqlite_url, [logs])
    yield loopback.client("logs")
    loopback.close()


@pytest.fixture
def now(berth: Loopback) -> int:
    return epoch_milliseconds(berth.clock.now())


@pytest.fixture
def stream(client: Any) -> dict[str, str]:
    client.create_log_group(logGroupName="/app")
    client.create_log_stream(logGroupName="/app", logStreamName="web/1")
    return {"logGroupName": "/app", "logStreamName": "web/1"}


def put(client: Any, stream: dict[str, str], first: int, *messages: str) -> Any:
    """Put messages a millisecond apart."""
    events = [{"timestamp": first + index, "message": message} for index, message in enumerate(messages)]
    return client.put_log_events(**stream, logEvents=events)


def messages(answer: Any) -> list[str]:
    return [event["message"] for event in answer["events"]]


def refusal(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, str]:
    told = error.value.response["Error"]
    return told["Code"], told["Message"]


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


def test_put_ignores_the_sequence_token_and_answers_the_next(client: Any, stream: dict[str, str], now: int) -> None:
    first = client.put_log_events(**stream, logEvents=[{"timestamp": now, "message": "1"}], sequenceToken="anything")
    second = put(client, stream, now, "2")
    assert first["nextSequenceToken"] < second["nextSequenceToken"]
    assert "rejectedLogEventsInfo" not in first


def test_bytes_are_counted_with_26_for_each_event(client: Any, stream: dict[str, str], now: int) -> None:
    put(client, stream, now, "abc", "ü")
    (group,) = client.describe_log_groups()["logGroups"]
    assert group["storedBytes"] == 3 + 26 + 2 + 26


def test_a_batch_of_exactly_one_mebibyte_is_taken_and_one_byte_more_is_not(
    client: Any, stream: dict[str, str], now: int
) -> None:
    put(client, stream, now, "x" * (1_048_576 - 26))
    with pytest.raises(client.exceptions.InvalidParameterException, match="Upload too large: 1048577 bytes"):
        put(client, stream, now, "x" * (1_048_576 - 25))


def test_a_batch_of_ten_thousand_is_taken_and_one_more_is_not(client: Any, stream: dict[str, str], now: int) -> None:
    put(client, stream, now, *["m"] * 10_000)
    assert len(client.get_log_events(**stream)["events"]) == 10_000
    with pytest.raises(client.exceptions.InvalidParameterException):
        put(client, stream, now, *["m"] * 10_001)


def test_a_batch_out_of_order_or_longer_than_a_day_is_refused_whole(
    client: Any, stream: dict[str, str], now: int
) -> None:
    backwards = [{"timestamp": now, "message": "2"}, {"timestamp": now - 1, "message": "1"}]
    with pytest.raises(client.exceptions.InvalidParameterException, match="chronological order"):
        client.put_log_events(**stream, logEvents=backwards)
    long = [{"timestamp": now - 86_400_001, "message": "1"}, {"timestamp": now, "message": "2"}]
    with pytest.raises(client.exceptions.InvalidParameterException, match="cannot span more than 24 hours"):
        client.put_log_events(**stream, logEvents=long)
    assert client.get_log_events(**stream)["events"] == []


def test_events_too_old_too_new_or_expired_are_named_and_the_rest_is_kept(
    client: Any, stream: dict[str, str], now: int
) -> None:
    client.put_retention_policy(logGroupName="/app", retentionInDays=3)
    day, hour = 86_400_000, 3_600_000
    times = [now - 15 * day, now - 14 * day - 1, now - 4 * day, now, now + 2 * hour, now + 2 * hour + 1]
    answer = client.put_log_events(
        **stream, logEvents=[{"timestamp": at, "message": str(index)} for index, at in enumerate(times)]
    )
    assert answer["rejectedLogEventsInfo"] == {
        "tooOldLogEventEndIndex": 2,
        "expiredLogEventEndIndex": 3,
        "tooNewLogEventStartIndex": 5,
    }
    assert messages(client.get_log_events(**stream)) == ["3", "4"]


def test_a_batch_of_which_nothing_is_kept_leaves_the_stream_empty(
    client: Any, stream: dict[str, str], now: int
) -> None:
    answer = put(client, stream, now - 15 * 86_400_000, "1", "2")
    assert answer["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 2}
    (described,) = client.describe_log_streams(logGroupName="/app")["logStreams"]
    assert not {"firstEventTimestamp", "lastEventTimestamp", "lastIngestionTime"} & described.keys()


def test_the_newest_events_come_first_unless_asked_from_the_head(client: Any, stream: dict[str, str], now: int) -> None:
    put(client, stream, now, *"abcdefg")
    assert messages(client.get_log_events(**stream, limit=3)) == ["e", "f", "g"]
    assert messages(client.get_log_events(**stream, limit=3, startFromHead=True)) == ["a", "b", "c"]


def test_forward_tokens_walk_to_the_end_and_then_repeat(client: Any, stream: dict[str, str], now: int) -> None:
    put(client, stream, now, *"abcde")
    page = client.get_log_events(**stream, limit=2, startFromHead=True)
    seen = messages(page)
    while True:
        token = page["nextForwardToken"]
        assert token.startswith("f/")
        page = client.get_log_events(**stream, limit=2, nextToken=token, startFromHead=True)
        seen += messages(page)
        if page["nextForwardToken"] == token:
            break
    assert seen == list("abcde")
    assert page["events"] == []
    put(client, stream, now + 10, "late")
    assert messages(client.get_log_events(**stream, nextToken=token)) == ["late"]


def test_backward_tokens_walk_to_the_head_and_then_repeat(client: Any, stream: dict[str, str], now: int) -> None:
    put(client, stream, now, *"abcde")
    page = client.get_log_events(**stream, limit=2)
    seen = messages(page)
    while True:
        token = page["nextBackwardToken"]
        assert token.startswith("b/")
        page = client.get_log_events(**stream, limit=2, nextToken=token)
        seen = messages(page) + seen
        if page["nextBackwardToken"] == token:
            break
    assert seen == list("abcde")
    # From the head the other token leads forwards again, over everything.
    assert messages(client.get_log_events(**stream, nextToken=page["nextForwardToken"])) == list("abcde")


def test_the_other_token_at_the_end_leads_back_over_the_last_event(
    client: Any, stream: dict[str, str], now: int
) -> None:
    put(client, stream, now, *"abc")
    end = client.get_log_events(**stream, startFromHead=True)["nextForwardToken"]
    beyond = client.get_log_events(**stream, nextToken=end)
    assert beyond["events"] == []
    assert messages(client.get_log_events(**stream, nextToken=beyond["nextBackwardToken"])) == list("abc")


def test_a_token_of_an_empty_stream_finds_what_arrives_later(client: Any, stream: dict[str, str], now: int) -> None:
    for from_head in (True, False):
        empty = client.get_log_events(**stream, startFromHead=from_head)
        assert empty["events"] == []
    put(client, stream, now, "first")
    assert messages(client.get_log_events(**stream, nextToken=empty["nextForwardToken"])) == ["first"]


def test_events_of_one_instant_keep_the_order_of_arrival_over_pages(
    client: Any, stream: dict[str, str], now: int
) -> None:
    for message in "abcde":
        put(client, stream, now, message)
    page = client.get_log_events(**stream, limit=2, startFromHead=True)
    rest = client.get_log_events(**stream, nextToken=page["nextForwardToken"])
    assert messages(page) + messages(rest) == list("abcde")


def test_get_takes_the_start_and_leaves_out_the_end(client: Any, stream: dict[str, str], now: int) -> None:
    put(client, stream, now, *"abcd")
    assert messages(client.get_log_events(**stream, startTime=now + 1, endTime=now + 3)) == ["b", "c"]
    assert client.get_log_events(**stream, startTime=now + 3, endTime=now + 1)["events"] == []


def test_a_page_holds_a_mebibyte_at_most(client: Any, stream: dict[str, str], now: int) -> None:
    for index in range(4):
        put(client, stream, now + index, str(index) + "x" * 400_000)
    page = client.get_log_events(**stream, startFromHead=True)
    assert [message[0] for message in messages(page)] == ["0", "1"]
    page = client.get_log_events(**stream, nextToken=page["nextForwardToken"])
    assert [message[0] for message in messages(page)] == ["2", "3"]
    assert [message[0] for message in messages(client.get_log_events(**stream))] == ["2", "3"]
    pages = client.get_paginator("filter_log_events").paginate(logGroupName="/app")
    assert [message[0] for page in pages for message in messages(page)] == ["0", "1", "2", "3"]


def test_a_group_may_be_named_by_its_arn(client: Any, stream: dict[str, str], now: int) -> None:
    put(client, stream, now, "hello")
    arn = "arn:aws:logs:us-east-1:123456789012:log-group:/app"
    for identifier in (arn, "/app"):
        answer = client.get_log_events(logGroupIdentifier=identifier, logStreamName="web/1")
        assert messages(answer) == ["hello"]
    with pytest.raises(client.exceptions.InvalidParameterException, match="Exactly one"):
        client.get_log_events(logStreamName="web/1")
    with pytest.raises(client.exceptions.InvalidParameterException, match="not the ARN of a log group"):
        client.filter_log_events(logGroupIdentifier="arn:aws:s3:::bucket")


def test_filter_interleaves_the_streams_by_time_over_pages(client: Any, now: int) -> None:
    client.create_log_group(logGroupName="g")
    for name in ("a/1", "a/2", "b/1"):
        client.create_log_stream(logGroupName="g", logStreamName=name)
    for index, name in enumerate(["a/1", "b/1", "a/2", "a/1", "b/1", "a/2"]):
        put(client, {"logGroupName": "g", "logStreamName": name}, now + index, f"{index}")

    def found(**asked: Any) -> list[str]:
        pages = client.get_paginator("filter_log_events").paginate(
            logGroupName="g", PaginationConfig={"PageSize": 2}, **asked
        )
        return [message for page in pages for message in messages(page)]

    assert found() == list("012345")
    assert found(logStreamNames=["a/1"]) == ["0", "3"]
    assert found(logStreamNames=["b/1", "a/2"]) == ["1", "2", "4", "5"]
    assert found(logStreamNamePrefix="a/") == ["0", "2", "3", "5"]
    assert found(startTime=now + 1, endTime=now + 4) == ["1", "2", "3", "4"]
    assert found(startFromHead=False, startTime=now) == list("543210")
    event = client.filter_log_events(logGroupName="g")["events"][0]
    assert event.keys() == {"logStreamName", "timestamp", "message", "ingestionTime", "eventId"}


def test_filter_matches_terms_and_json(client: Any, stream: dict[str, str], now: int) -> None:
    put(client, stream, now, "ERROR disk full", "INFO all well", '{"level": "error", "ms": 120}', "ERROR net down")

    def found(pattern: str) -> list[str]:
        return messages(client.filter_log_events(logGroupName="/app", filterPattern=pattern))

    assert found("ERROR") == ["ERROR disk full", "ERROR net down"]
    assert found("ERROR -disk") == ["ERROR net down"]
    assert found('"disk full"') == ["ERROR disk full"]
    assert found("?net ?well") == ["INFO all well", "ERROR net down"]
    assert found('{ $.level = "error" && $.ms > 100 }') == ['{"level": "error", "ms": 120}']
    assert found("{ $.ms > 120 }") == []


@pytest.mark.parametrize("pattern", ["%ERR.R%", "[ip, user]", "{ $.a", '"open', "{ $.a ~ 1 }", "{" + "(" * 500 + "}"])
def test_a_pattern_that_cannot_be_read_is_refused(embedded: Any, pattern: str) -> None:
    embedded.create_log_group(logGroupName="/app")
    with pytest.raises(embedded.exceptions.InvalidParameterException, match=r"filter pattern|regular expressions"):
        embedded.filter_log_events(logGroupName="/app", filterPattern=pattern)


def test_a_message_with_any_character_comes_back(client: Any, stream: dict[str, str], now: int) -> None:
    put(client, stream, now, "tab\tüñ 日本 🚢", "nul\0nul")
    assert messages(client.get_log_events(**stream)) == ["tab\tüñ 日本 🚢", "nul\N{REPLACEMENT CHARACTER}nul"]


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


def test_times_are_milliseconds_since_1970(client: Any, stream: dict[str, str], now: int) -> None:
    put(client, stream, now, "m")
    (event,) = client.get_log_events(**stream)["events"]
    assert abs(datetime.fromtimestamp(event["ingestionTime"] / 1000, UTC).timestamp() * 1000 - now) < 1
