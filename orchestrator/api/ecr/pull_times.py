"""Pull times over the ECR API: whose pulls are not recorded."""

from typing import Any

from kit.aws.paging import page, scope_of
from orchestrator.api.ecr.errors import (
    ExclusionAlreadyExistsException,
    ExclusionNotFoundException,
    LimitExceededException,
)
from orchestrator.api.ecr.wire import ecr
from orchestrator.call import Call
from state.pull_exclusions import PullExclusion, get_pull_exclusion, list_pull_exclusions

# ECR's quota.
_MOST = 100
_PAGE = 100


@ecr.operation("RegisterPullTimeUpdateExclusion")
def register_pull_time_update_exclusion(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """The principal's pulls are not recorded any more: a scanner's, for instance."""
    arn = request["principalArn"]
    if get_pull_exclusion(call.session, arn) is not None:
        raise ExclusionAlreadyExistsException(f"The principal '{arn}' is on the exclusion list already.")
    if len(list_pull_exclusions(call.session)) >= _MOST:
        raise LimitExceededException(f"A registry has {_MOST} pull time update exclusions at most.")
    call.session.add(PullExclusion(principal_arn=arn, created_at=call.now))
    return {"principalArn": arn, "createdAt": call.now}


@ecr.operation("DeregisterPullTimeUpdateExclusion")
def deregister_pull_time_update_exclusion(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """The principal's pulls are recorded again."""
    found = get_pull_exclusion(call.session, request["principalArn"])
    if found is None:
        raise ExclusionNotFoundException(f"The principal '{request['principalArn']}' is not on the exclusion list.")
    call.session.delete(found)
    return {"principalArn": found.principal_arn}


@ecr.operation("ListPullTimeUpdateExclusions")
def list_pull_time_update_exclusions(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """The excluded principals, a page at a time."""
    arns, token = page(
        list_pull_exclusions(call.session),
        key=lambda arn: arn,
        limit=min(request.get("maxResults") or _PAGE, _PAGE),
        token=request.get("nextToken"),
        scope=scope_of("ListPullTimeUpdateExclusions"),
    )
    answer: dict[str, Any] = {"pullTimeUpdateExclusions": list(arns)}
    return {**answer, "nextToken": token} if token else answer
