"""Replication over the ECR API: where images go, how far they have come, and sending what was there before."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from kit.aws.errors import InvalidParameterException
from kit.aws.paging import decode_token, encode_token, page, scope_of
from kit.ids import new_uuid
from orchestrator.api.ecr.errors import (
    ImageNotFoundException,
    LimitExceededException,
    ReplicationBackfillInProgressException,
    ReplicationBackfillInvalidStatusException,
    ReplicationBackfillNotFoundException,
)
from orchestrator.api.ecr.finding import Missed, check_registry, find_named_repository, look_up
from orchestrator.api.ecr.wire import ecr
from orchestrator.call import Call
from registry.replication.enqueue import LOOP
from registry.replication.rules import Destination, all_destinations, read_destination
from state.replications import (
    COMPLETE,
    FAILED,
    PENDING,
    RUNNING,
    ReplicationBackfill,
    count_results,
    failures_of,
    get_backfill,
    get_peer,
    get_replication_configuration,
    list_backfills,
    list_results,
    put_replication_rules,
    statuses_of_image,
)

# ECR's quotas.
_MOST_DESTINATIONS = 25
_MOST_BACKFILLS = 10
_BACKFILL_TOLD_FOR = timedelta(days=90)
_PAGE = 50
_RESULTS_PAGE = 100


@ecr.operation("PutReplicationConfiguration")
def put_replication_configuration(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """The rules for pushes from now on. A destination must be a Berth that an operator has named as a peer."""
    rules = request["replicationConfiguration"]["rules"]
    destinations = all_destinations(rules)
    if len(destinations) > _MOST_DESTINATIONS:
        raise InvalidParameterException(f"A registry has {_MOST_DESTINATIONS} replication destinations at most.")
    for to in destinations:
        if to == _here(call):
            raise InvalidParameterException("A registry cannot be replicated to itself: name another region.")
        if get_peer(call.session, to.region, to.account) is None:
            raise InvalidParameterException(
                f"No registry is known for region {to.region} and account {to.account}. An operator names it with: "
                f"berth registry peers add {to.region} ENDPOINT --account {to.account}"
            )
    put_replication_rules(call.session, rules, now=call.now)
    return {"replicationConfiguration": {"rules": rules}}


@ecr.operation("DescribeRegistry")
def describe_registry(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """The registry's id and its replication rules."""
    return {"registryId": call.settings.account, "replicationConfiguration": {"rules": _rules(call)}}


@ecr.operation("DescribeImageReplicationStatus")
def describe_image_replication_status(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """How far the image's last push has come, for each destination."""
    repository = find_named_repository(call, request)
    image = look_up(call, repository.name, request["imageId"])
    if isinstance(image, Missed):
        raise ImageNotFoundException(image.reason)
    found: dict[Destination, list[tuple[str, str | None]]] = {}
    for region, account, status, failure in statuses_of_image(call.session, repository.name, image.digest):
        found.setdefault(Destination(region=region, account=account), []).append((status, failure))
    return {
        "repositoryName": repository.name,
        "imageId": {"imageDigest": image.digest, **request["imageId"]},
        "replicationStatuses": [_status(to, each) for to, each in found.items()],
    }


@ecr.operation("StartReplicationBackfill")
def start_replication_backfill(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Send what the rules would have sent, had it been pushed after them, to one of their destinations."""
    check_registry(call, request)
    to = read_destination(request["destination"])
    if to not in all_destinations(_rules(call)):
        raise InvalidParameterException("The destination is in none of the registry's replication rules.")
    running = list_backfills(call.session, statuses=RUNNING)
    if any(backfill.region == to.region for backfill in running):
        raise ReplicationBackfillInProgressException(f"A replication backfill to {to.region} is in progress already.")
    if len(running) >= _MOST_BACKFILLS:
        raise LimitExceededException(f"A registry has {_MOST_BACKFILLS} replication backfills in progress at most.")
    backfill = ReplicationBackfill(
        id=new_uuid(), region=to.region, account=to.account, status="PREPARING", started_at=call.now
    )
    call.session.add(backfill)
    call.session.wake(LOOP)
    return _render(call, backfill)


@ecr.operation("StopReplicationBackfill")
def stop_replication_backfill(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Send no more of a backfill; what is on its way arrives."""
    backfill = _find(call, request)
    if backfill.status not in RUNNING:
        raise ReplicationBackfillInvalidStatusException(
            f"The replication backfill is {backfill.status} and cannot be stopped."
        )
    backfill.status = "STOPPING"
    call.session.wake(LOOP)
    return _render(call, backfill)


@ecr.operation("ListReplicationBackfills")
def list_replication_backfills(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """The registry's backfills, the latest first, with their progress."""
    check_registry(call, request)
    told = [
        backfill
        for backfill in list_backfills(call.session)
        if backfill.ended_at is None or call.now - backfill.ended_at < _BACKFILL_TOLD_FOR
    ]
    shown, token = page(
        told,
        key=lambda backfill: (-backfill.started_at.timestamp(), backfill.id),
        limit=request.get("maxResults") or _PAGE,
        token=request.get("nextToken"),
        scope=scope_of("ListReplicationBackfills"),
    )
    counts = count_results(call.session, [backfill.id for backfill in shown])
    answer: dict[str, Any] = {
        "registryId": call.settings.account,
        "backfills": [_told(call, backfill, counts.get(backfill.id, {})) for backfill in shown],
    }
    return {**answer, "nextToken": token} if token else answer


@ecr.operation("DescribeReplicationBackfillResults")
def describe_replication_backfill_results(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """A backfill's progress and, once it has ended, how it went for each image and tag."""
    backfill = _find(call, request)
    counts = count_results(call.session, [backfill.id]).get(backfill.id, {})
    answer = {"registryId": call.settings.account, **_told(call, backfill, counts)}
    if backfill.ended_at is None:
        return answer
    wanted = request.get("resultStatusFilter")
    scope = scope_of("DescribeReplicationBackfillResults", backfill=backfill.id, status=wanted)
    limit, after = request.get("maxResults") or _RESULTS_PAGE, 0
    if request.get("nextToken"):
        after = decode_token(request["nextToken"], scope=scope)
        if not isinstance(after, int) or not 0 <= after < 2**63:
            raise InvalidParameterException("The specified nextToken is not valid for this request.")
    found = list_results(call.session, backfill.id, status=wanted, after=after, limit=limit + 1)
    answer["results"] = [
        _present(
            repositoryName=each.repository,
            imageId=_present(imageDigest=each.digest, imageTag=each.tag),
            status=each.status,
            failureCode=each.failure if each.status == FAILED else None,
        )
        for each in found[:limit]
    ]
    return {**answer, "nextToken": encode_token(found[limit - 1].id, scope=scope)} if len(found) > limit else answer


def _rules(call: Call) -> list[dict[str, Any]]:
    configuration = get_replication_configuration(call.session)
    return configuration.rules if configuration is not None else []


def _here(call: Call) -> Destination:
    return Destination(region=call.settings.region, account=call.settings.account)


def _find(call: Call, request: Mapping[str, Any]) -> ReplicationBackfill:
    check_registry(call, request)
    backfill = get_backfill(call.session, request["replicationBackfillId"].lower())
    if backfill is None:
        raise ReplicationBackfillNotFoundException(
            f"There is no replication backfill with id '{request['replicationBackfillId']}'."
        )
    return backfill


def _status(to: Destination, found: Sequence[tuple[str, str | None]]) -> dict[str, Any]:
    """One destination: failed where some tag failed, in progress where some is on its way."""
    statuses = [status for status, _ in found]
    status = FAILED if FAILED in statuses else "IN_PROGRESS" if PENDING in statuses else COMPLETE
    failure = next((failure for each, failure in found if each == FAILED), None)
    return _present(region=to.region, registryId=to.account, status=status, failureCode=failure)


def _render(call: Call, backfill: ReplicationBackfill) -> dict[str, Any]:
    return {"registryId": call.settings.account, **_basics(backfill)}


def _basics(backfill: ReplicationBackfill) -> dict[str, Any]:
    return {
        "replicationBackfillId": backfill.id,
        "destination": {"region": backfill.region, "registryId": backfill.account},
        "status": backfill.status,
        "startedAt": backfill.started_at,
    }


def _told(call: Call, backfill: ReplicationBackfill, counts: Mapping[str, int]) -> dict[str, Any]:
    progress = None
    if backfill.total is not None:
        progress = {
            "totalReplicationCount": backfill.total,
            "completedReplicationCount": counts.get(COMPLETE, 0),
            "failedReplicationCount": counts.get(FAILED, 0),
            "failureCodes": failures_of(call.session, backfill.id),
        }
    return _present(**_basics(backfill), failureCode=backfill.failure, progress=progress, endedAt=backfill.ended_at)


def _present(**members: Any) -> dict[str, Any]:
    return {member: value for member, value in members.items() if value is not None}
