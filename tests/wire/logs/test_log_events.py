"""Log events through a real boto3 client: put, get and filter."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.logs import messages, put


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


def test_times_are_milliseconds_since_1970(client: Any, stream: dict[str, str], now: int) -> None:
    put(client, stream, now, "m")
    (event,) = client.get_log_events(**stream)["events"]
    assert abs(datetime.fromtimestamp(event["ingestionTime"] / 1000, UTC).timestamp() * 1000 - now) < 1
