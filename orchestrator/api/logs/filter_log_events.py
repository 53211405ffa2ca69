"""FilterLogEvents: a search over the streams of a group, in order of time, either way.

One call looks at a bounded number of events; a page may therefore be short, or empty, and still carry a token
to continue, as on AWS.
"""

from contextlib import closing
from typing import Any

from kit.aws.errors import InvalidParameterException
from kit.aws.paging import decode_token, encode_token, scope_of
from orchestrator.api.logs.filter_pattern import parse_pattern
from orchestrator.api.logs.log_events import LARGEST_PAGE, MOST_EVENTS, render_event, write_place
from orchestrator.api.logs.naming import check_text, find_asked_group, find_stream
from orchestrator.api.logs.wire import logs
from orchestrator.call import Call
from state.log_events import Line, Place, scan_log_events
from state.log_groups import oldest_kept

MOST_SCANNED = 50_000


@logs.operation("FilterLogEvents", readonly=True)
def filter_log_events(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html"""
    names, prefix = request.get("logStreamNames"), request.get("logStreamNamePrefix")
    if names and prefix:
        raise InvalidParameterException("logStreamNames and logStreamNamePrefix are mutually exclusive.")
    group = find_asked_group(call, request)
    matches = parse_pattern(request.get("filterPattern") or "")
    start, end = request.get("startTime", 0), request.get("endTime")
    filters = {"names": names, "prefix": prefix, "pattern": request.get("filterPattern"), "start": start, "end": end}
    scope = scope_of("FilterLogEvents", group=group.id, **filters)
    backwards, place = request.get("startFromHead") is False, None
    if request.get("nextToken"):
        # The token knows its direction: what the request says of it counts on the first page only.
        backwards, *rest = decode_token(request["nextToken"], scope=scope)
        place = (rest[0], rest[1])
    limit = request.get("limit") or MOST_EVENTS
    page: list[Line] = []
    seen: Place | None = None
    scanned, room = 0, LARGEST_PAGE
    with closing(
        scan_log_events(
            call.session,
            group,
            streams=[find_stream(call, group, name) for name in names] if names else None,
            stream_prefix=check_text("logStreamNamePrefix", prefix) if prefix else None,
            since=max(start, oldest_kept(group, now=call.now)),
            until=end,
            after=None if backwards else place,
            before=place if backwards else None,
            backwards=backwards,
            limit=MOST_SCANNED + 1,
        )
    ) as lines:
        for line in lines:
            wanted = matches(line.message)
            if len(page) == limit or scanned == MOST_SCANNED or (wanted and page and line.size > room):
                break
            seen = line.place
            scanned += 1
            if wanted:
                page.append(line)
                room -= line.size
        else:
            seen = None
    answer: dict[str, Any] = {
        "events": [
            {**render_event(line), "logStreamName": line.stream, "eventId": write_place(line.place)} for line in page
        ],
        "searchedLogStreams": [],
    }
    if seen is not None:
        answer["nextToken"] = encode_token([backwards, *seen], scope=scope)
    return answer
