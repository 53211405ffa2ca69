"""Job definitions: registered with full validation as the next revision, echoed as they were given."""

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.api.batch.containers import check_container
from orchestrator.api.batch.errors import ClientException, NotBuiltYet
from orchestrator.api.batch.lookup import (
    check_name,
    find_job_definition,
    job_definition_arn,
    job_definition_name,
    own_name,
    refuse,
    tags_of,
)
from orchestrator.api.batch.pages import page
from orchestrator.api.batch.wire import batch
from orchestrator.call import Call
from scheduler.queueing import BadRetryStrategy, check_retry_strategy, check_timeout
from state.job_definitions import (
    JobDefinition,
    get_job_definition,
    list_job_definitions,
    next_job_definition_revision,
)

MOST_DESCRIBED = 100
HIGHEST_PRIORITY = 9999
KEPT = (
    "type",
    "schedulingPriority",
    "parameters",
    "retryStrategy",
    "containerProperties",
    "timeout",
    "propagateTags",
    "platformCapabilities",
)
# Batch answers these lists of a container also when they were not given.
LISTS = ("command", "volumes", "environment", "mountPoints", "ulimits", "resourceRequirements", "secrets")


@batch.operation("RegisterJobDefinition")
def register_job_definition(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Every registration makes a new revision, also one that equals the last."""
    name = check_name(request.get("jobDefinitionName"), "jobDefinitionName")
    _refuse_unbuilt(request)
    fargate = _platform(request.get("platformCapabilities") or ()) == "FARGATE"
    container = request.get("containerProperties")
    if not container:
        raise ClientException("containerProperties must be specified for a job definition of type container.")
    check_container(name, container, fargate=fargate, settings=call.settings)
    check_strategy(request.get("retryStrategy"), request.get("timeout"))
    priority = request.get("schedulingPriority")
    if priority is not None and not 0 <= priority <= HIGHEST_PRIORITY:
        raise ClientException(f"schedulingPriority must be between 0 and {HIGHEST_PRIORITY}.")
    tags = tags_of(request)
    definition = JobDefinition(
        name=name,
        revision=next_job_definition_revision(call.session, name),
        status="ACTIVE",
        body={member: request[member] for member in KEPT if request.get(member) is not None},
        tags=tags,
        registered_at=call.now,
    )
    call.session.add(definition)
    return {
        "jobDefinitionName": name,
        "jobDefinitionArn": job_definition_arn(call, name, definition.revision),
        "revision": definition.revision,
    }


@batch.operation("DeregisterJobDefinition")
def deregister_job_definition(call: Call, request: dict[str, Any]) -> None:
    """The revision becomes INACTIVE: no new jobs of it. Doing it again changes nothing."""
    name, revision = job_definition_name(call, request["jobDefinition"])
    if revision is None:
        raise ClientException("jobDefinition must name a revision: <name>:<revision>, or its ARN.")
    definition = get_job_definition(call.session, name, revision)
    if definition is None:
        raise ClientException(f"JobDefinition {request['jobDefinition']} not found.")
    if definition.status == "ACTIVE":
        definition.advance("INACTIVE", at=call.now, because="DeregisterJobDefinition")
        definition.deregistered_at = call.now


@batch.operation("DescribeJobDefinitions")
def describe_job_definitions(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Those asked for that exist; or all of a name, of a status, or altogether, newest revisions first."""
    asked = request.get("jobDefinitions")
    status = request.get("status")
    if asked:
        if len(asked) > MOST_DESCRIBED:
            raise ClientException(f"At most {MOST_DESCRIBED} job definitions can be described at once.")
        found = _asked_for(call, asked)
        return {"jobDefinitions": [render(call, row) for row in found if status in (None, "", row.status)]}
    name = own_name(call, request.get("jobDefinitionName") or "", "job-definition")
    if name is None:
        return {"jobDefinitions": []}
    rows, more = page(
        request,
        lambda after, limit: list_job_definitions(call.session, name, status, after=after, limit=limit),
        lambda row: [row.name, row.revision],
        kinds=(str, int),
        most=MOST_DESCRIBED,
        scope=f"job-definitions {name} {status}",
    )
    return {"jobDefinitions": [render(call, row) for row in rows], **more}


def render(call: Call, definition: JobDefinition) -> dict[str, Any]:
    """A JobDefinition as Batch describes it."""
    body = definition.body
    return {
        "jobDefinitionName": definition.name,
        "jobDefinitionArn": job_definition_arn(call, definition.name, definition.revision),
        "revision": definition.revision,
        "status": definition.status,
        "parameters": {},
        **body,
        "containerProperties": {**{name: [] for name in LISTS}, **body["containerProperties"]},
        "tags": definition.tags,
        "containerOrchestrationType": "ECS",
    }


def check_strategy(retry_strategy: Mapping[str, Any] | None, timeout: Mapping[str, Any] | None) -> None:
    """Check a retryStrategy and a timeout; raises ClientException."""
    try:
        check_retry_strategy(retry_strategy)
        check_timeout(timeout)
    except BadRetryStrategy as bad:
        raise ClientException(str(bad)) from bad


def _refuse_unbuilt(request: Mapping[str, Any]) -> None:
    if request["type"] == "multinode" or request.get("nodeProperties"):
        raise NotBuiltYet("multi-node parallel jobs (type multinode, nodeProperties)")
    refuse(request, "eksProperties", "jobs on Amazon EKS (eksProperties)")
    refuse(request, "ecsProperties", "jobs of several containers (ecsProperties)")
    consumables = (request.get("consumableResourceProperties") or {}).get("consumableResourceList")
    if consumables:
        raise NotBuiltYet("consumable resources (consumableResourceProperties)")


def _platform(capabilities: Sequence[str]) -> str:
    if "MANAGED_INSTANCES" in capabilities:
        raise NotBuiltYet("jobs on ECS Managed Instances (platformCapabilities)")
    if len(set(capabilities)) > 1:
        raise ClientException("platformCapabilities holds one of EC2 and FARGATE, not both.")
    return capabilities[0] if capabilities else "EC2"


def _asked_for(call: Call, asked: Sequence[str]) -> list[JobDefinition]:
    found: dict[str, JobDefinition] = {}
    for ref in asked:
        try:
            definition = find_job_definition(call, ref)
        except ClientException:
            continue
        found[f"{definition.name}:{definition.revision}"] = definition
    return list(found.values())
