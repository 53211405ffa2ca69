"""Log events on the wire: put a batch, read one stream forwards and backwards.

Tokens of GetLogEvents name a place between two events: ``f/`` continues after it, ``b/`` before it. At the end of
a stream the same token comes back, and it finds what arrives later.
"""

import re
from collections.abc import Iterable
from contextlib import closing
from itertools import pairwise
from typing import Any

from kit.aws.errors import InvalidParameterException
from kit.clock import epoch_millis
from orchestrator.api.logs.log_streams import sequence_token
from orchestrator.api.logs.naming import check_own_stream, find_asked_group, find_group, find_stream, storable
from orchestrator.api.logs.wire import logs
from orchestrator.call import Call
from state.log_events import EVENT_OVERHEAD, Line, Place, add_log_events, scan_log_events
from state.log_groups import oldest_kept

HOUR = 3_600_000
DAY = 24 * HOUR
LARGEST_BATCH = 1_048_576
LARGEST_PAGE = 1_048_576
MOST_EVENTS = 10_000
_TOKEN = re.compile(r"([fb])/(\d{28})(\d{28})(?:/s)?", re.ASCII)


@logs.operation("PutLogEvents")
def put_log_events(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html"""
    batch = [(event["timestamp"], storable(event["message"])) for event in request["logEvents"]]
    _check_size(message for _, message in batch)
    group = find_group(call, request["logGroupName"])
    check_own_stream(call, request["logStreamName"])
    stream = find_stream(call, group, request["logStreamName"], hold=True)
    now = epoch_millis(call.now)
    times = [timestamp for timestamp, _ in batch]
    if any(later < earlier for earlier, later in pairwise(times)):
        raise InvalidParameterException("Log events in a single PutLogEvents request must be in chronological order.")
    too_old = _count_before(times, now - 14 * DAY)
    expired = _count_before(times, oldest_kept(group, now=call.now))
    too_new = _count_before(times, now + 2 * HOUR + 1)
    kept = batch[max(too_old, expired) : too_new]
    if kept and kept[-1][0] - kept[0][0] > DAY:
        raise InvalidParameterException(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours."
        )
    add_log_events(call.session, stream, kept, at=now)
    answer: dict[str, Any] = {"nextSequenceToken": sequence_token(stream)}
    rejected: dict[str, int] = {}
    if too_new < len(batch):
        rejected["tooNewLogEventStartIndex"] = too_new
    if too_old:
        rejected["tooOldLogEventEndIndex"] = too_old
    if expired:
        rejected["expiredLogEventEndIndex"] = expired
    if rejected:
        answer["rejectedLogEventsInfo"] = rejected
    return answer


@logs.operation("GetLogEvents")
def get_log_events(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html"""
    group = find_asked_group(call, request)
    stream = find_stream(call, group, request["logStreamName"])
    start, end = request.get("startTime", 0), request.get("endTime")
    limit = request.get("limit") or MOST_EVENTS
    token = request.get("nextToken")
    direction, place = _read_place(token) if token else ("f" if request.get("startFromHead") else "b", None)
    backwards = direction == "b"
    with closing(
        scan_log_events(
            call.session,
            group,
            streams=[stream],
            since=max(start, oldest_kept(group, now=call.now)),
            until=None if end is None else end - 1,
            after=place if not backwards else None,
            before=place if backwards else None,
            backwards=backwards,
            limit=limit,
        )
    ) as lines:
        page = take_page(lines)
    if backwards:
        page.reverse()
    if page:
        first, last = page[0].place, page[-1].place
    elif place is None:
        first = last = (start, 0)
    else:
        # Nothing on this side: the token itself again, and on the other side all up to this place.
        timestamp, number = place
        first = place if backwards else (timestamp, number + 1)
        last = (timestamp, max(number - 1, 0)) if backwards else place
    return {
        "events": [render_event(line) for line in page],
        "nextForwardToken": f"f/{write_place(last)}/s",
        "nextBackwardToken": f"b/{write_place(first)}/s",
    }


def take_page(lines: Iterable[Line]) -> list[Line]:
    """The first lines, as many as one answer may hold in bytes, at least one if there is any."""
    page: list[Line] = []
    room = LARGEST_PAGE
    for line in lines:
        room -= line.size
        if room < 0 and page:
            break
        page.append(line)
    return page


def render_event(line: Line) -> dict[str, Any]:
    return {"timestamp": line.place[0], "message": line.message, "ingestionTime": line.ingested_at}


def write_place(place: Place) -> str:
    """A place as 56 digits, the shape of CloudWatch Logs' event ids."""
    return f"{place[0]:028d}{place[1]:028d}"


def _read_place(token: str) -> tuple[str, Place]:
    read = _TOKEN.fullmatch(token)
    if read is None or int(read[2]) >= 2**63 or int(read[3]) >= 2**63:
        raise InvalidParameterException("The specified nextToken is invalid.")
    return read[1], (int(read[2]), int(read[3]))


def _check_size(messages: Iterable[str]) -> None:
    size = sum(len(message.encode()) + EVENT_OVERHEAD for message in messages)
    if size > LARGEST_BATCH:
        raise InvalidParameterException(f"Upload too large: {size} bytes exceeds limit of {LARGEST_BATCH}")


def _count_before(times: list[int], instant: int) -> int:
    """How many of the ascending ``times`` lie before ``instant``."""
    return next((index for index, timestamp in enumerate(times) if timestamp >= instant), len(times))
