"""Task definitions: immutable revisions, registered, listed, set aside and deleted."""

from typing import Any

from kit.aws.paging import scope_of
from orchestrator.api.ecs.errors import ClientException, InvalidParameterException
from orchestrator.api.ecs.lookup import find_task_definition, tags_of, task_definition_name
from orchestrator.api.ecs.pages import page
from orchestrator.api.ecs.task_definition_rules import read_task_definition
from orchestrator.api.ecs.wire import ecs
from orchestrator.call import Call
from state.task_definitions import (
    TaskDefinition,
    get_task_definition,
    list_families,
    list_task_definitions,
    next_revision,
)

MOST_DELETED = 10
UNKNOWN = "Unable to describe task definition."


@ecs.operation("RegisterTaskDefinition")
def register_task_definition(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    body = read_task_definition(request, settings=call.settings)
    tags = tags_of(request)
    family = body["family"]
    definition = TaskDefinition(
        family=family,
        revision=next_revision(call.session, family),
        status="ACTIVE",
        body=body,
        tags=tags,
        registered_at=call.now,
        registered_by=call.caller.principal_arn,
    )
    call.session.add(definition)
    rendered = render_task_definition(call, definition)
    return {"taskDefinition": rendered, "tags": tags} if tags else {"taskDefinition": rendered}


@ecs.operation("DescribeTaskDefinition")
def describe_task_definition(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    definition = find_task_definition(call, request["taskDefinition"], missing=UNKNOWN)
    rendered = render_task_definition(call, definition)
    if "TAGS" in (request.get("include") or ()):
        return {"taskDefinition": rendered, "tags": definition.tags}
    return {"taskDefinition": rendered}


@ecs.operation("DeregisterTaskDefinition")
def deregister_task_definition(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """No new tasks of the revision; running tasks and services keep it. Asking again changes nothing."""
    missing = "The specified task definition does not exist."
    family, revision = task_definition_name(call, request["taskDefinition"], missing=missing)
    if revision is None:
        raise ClientException("A task definition is deregistered by its revision: family:revision or an ARN.")
    definition = get_task_definition(call.session, family, revision)
    if definition is None:
        raise ClientException(missing)
    if definition.status == "ACTIVE":
        definition.advance("INACTIVE", at=call.now, because="DeregisterTaskDefinition")
        definition.deregistered_at = call.now
    return {"taskDefinition": render_task_definition(call, definition)}


@ecs.operation("DeleteTaskDefinitions")
def delete_task_definitions(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Only deregistered revisions go; each stays DELETE_IN_PROGRESS until no task and no service names it."""
    refs = list(dict.fromkeys(request["taskDefinitions"]))
    if not 1 <= len(refs) <= MOST_DELETED:
        raise InvalidParameterException(f"Between 1 and {MOST_DELETED} task definitions can be deleted at a time.")
    deleted, failures = [], []
    for ref in refs:
        try:
            definition = _find_for_deletion(call, ref)
        except ClientException as error:
            failures.append({"arn": ref, "reason": error.message})
            continue
        if definition.status == "INACTIVE":
            definition.advance("DELETE_IN_PROGRESS", at=call.now, because="DeleteTaskDefinitions")
            definition.delete_requested_at = call.now
        deleted.append(render_task_definition(call, definition))
    return {"taskDefinitions": deleted, "failures": failures}


@ecs.operation("ListTaskDefinitions")
def list_definitions(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    status, family = request.get("status") or "ACTIVE", request.get("familyPrefix") or None
    descending = request.get("sort") == "DESC"
    keys, more = page(
        request,
        lambda after, limit: list_task_definitions(
            call.session,
            status=status,
            family=family,
            after=(after[0], after[1]) if after else None,
            descending=descending,
            limit=limit,
        ),
        list,
        scope=scope_of("ListTaskDefinitions", status=status, family=family, descending=descending),
    )
    return {"taskDefinitionArns": [call.arns.task_definition(*key) for key in keys], **more}


@ecs.operation("ListTaskDefinitionFamilies")
def list_task_definition_families(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    status, prefix = request.get("status") or "ALL", request.get("familyPrefix") or ""
    families, more = page(
        request,
        lambda after, limit: list_families(call.session, status=status, prefix=prefix, after=after, limit=limit),
        str,
        scope=scope_of("ListTaskDefinitionFamilies", status=status, prefix=prefix),
    )
    return {"families": families, **more}


def render_task_definition(call: Call, definition: TaskDefinition) -> dict[str, Any]:
    """The revision on the wire: its body and what Berth knows about it."""
    rendered = {
        "taskDefinitionArn": call.arns.task_definition(definition.family, definition.revision),
        **definition.body,
        "revision": definition.revision,
        "status": definition.status,
        "registeredAt": definition.registered_at,
        "registeredBy": definition.registered_by,
    }
    if definition.deregistered_at is not None:
        rendered["deregisteredAt"] = definition.deregistered_at
    if definition.delete_requested_at is not None:
        rendered["deleteRequestedAt"] = definition.delete_requested_at
    return rendered


def _find_for_deletion(call: Call, ref: str) -> TaskDefinition:
    missing = "The specified task definition does not exist. Specify a valid account, family, revision and try again."
    family, revision = task_definition_name(call, ref, missing=missing)
    definition = get_task_definition(call.session, family, revision) if revision is not None else None
    if definition is None:
        raise ClientException(missing)
    if definition.status == "ACTIVE":
        raise ClientException(
            "The specified task definition is still in ACTIVE status. Please deregister the target and try again."
        )
    return definition
