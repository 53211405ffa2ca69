"""Repository creation templates over the ECR API."""

from typing import Any

from kit.aws.errors import InvalidParameterException, ValidationException
from kit.aws.paging import encode_token, scope_of
from orchestrator.api.ecr.errors import (
    InvalidTagParameterException,
    LimitExceededException,
    TemplateAlreadyExistsException,
    TemplateNotFoundException,
    TooManyTagsException,
)
from orchestrator.api.ecr.finding import page_start
from orchestrator.api.ecr.policies import checked_repository_policy
from orchestrator.api.ecr.repositories import checked_filters
from orchestrator.api.ecr.tags import checked_tags
from orchestrator.api.ecr.wire import ecr
from orchestrator.call import Call
from registry.lifecycle.policy import BadPolicy, read_policy
from registry.prefixes import bare
from registry.templates import AES256, MUTABLE
from state.creation_templates import CreationTemplate, count_templates, get_template, list_templates, templates_of

_PAGE = 100
_MOST = 50


@ecr.operation("CreateRepositoryCreationTemplate")
def create_repository_creation_template(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """How repositories beneath the prefix are made from now on, for the reasons in ``appliedFor``."""
    prefix = bare(request["prefix"])
    if get_template(call.session, prefix) is not None:
        raise TemplateAlreadyExistsException(
            f"The repository creation template with the prefix '{prefix}' already exists in the registry with id "
            f"'{call.settings.account}'"
        )
    if count_templates(call.session) >= _MOST:
        raise LimitExceededException(f"A registry has {_MOST} repository creation templates at most.")
    template = CreationTemplate(
        prefix=prefix,
        applied_for=[],
        tag_mutability=MUTABLE,
        mutability_filters=[],
        encryption=dict(AES256),
        resource_tags=[],
        created_at=call.now,
    )
    _fill(template, request)
    template.updated_at = call.now
    call.session.add(template)
    return _answer(call, template)


@ecr.operation("UpdateRepositoryCreationTemplate")
def update_repository_creation_template(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Change what is given and leave the rest. Repositories that are there already stay as they are."""
    template = _find(call, request)
    _fill(template, request)
    template.updated_at = call.now
    return _answer(call, template)


@ecr.operation("DeleteRepositoryCreationTemplate")
def delete_repository_creation_template(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Forget the template. Repositories made from it stay."""
    template = _find(call, request)
    call.session.delete(template)
    return _answer(call, template)


@ecr.operation("DescribeRepositoryCreationTemplates")
def describe_repository_creation_templates(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """The templates with the prefixes asked for, as far as there are any, or all of them, a page at a time."""
    prefixes = sorted({bare(prefix) for prefix in request.get("prefixes") or []})
    scope = scope_of("DescribeRepositoryCreationTemplates", prefixes=prefixes)
    limit = request.get("maxResults") or _PAGE
    after = page_start(request.get("nextToken"), scope)
    if prefixes:
        found = sorted(templates_of(call.session, prefixes), key=lambda template: template.prefix)
        found = [template for template in found if after is None or template.prefix > after]
    else:
        found = list(list_templates(call.session, after=after, limit=limit + 1))
    answer: dict[str, Any] = {
        "registryId": call.settings.account,
        "repositoryCreationTemplates": [_render(template) for template in found[:limit]],
    }
    if len(found) > limit:
        answer["nextToken"] = encode_token(found[limit - 1].prefix, scope=scope)
    return answer


def _find(call: Call, request: dict[str, Any]) -> CreationTemplate:
    prefix = bare(request["prefix"])
    template = get_template(call.session, prefix)
    if template is None:
        raise TemplateNotFoundException(
            f"The repository creation template with the prefix '{prefix}' does not exist in the registry with id "
            f"'{call.settings.account}'"
        )
    return template


def _fill(template: CreationTemplate, request: dict[str, Any]) -> None:
    """Write what the request gives into the template; raises InvalidParameterException, ValidationException."""
    if "appliedFor" in request:
        if not request["appliedFor"]:
            raise InvalidParameterException("Invalid parameter at 'appliedFor' failed to satisfy constraint: not empty")
        template.applied_for = list(dict.fromkeys(request["appliedFor"]))
    if "imageTagMutability" in request or "imageTagMutabilityExclusionFilters" in request:
        mutability = request.get("imageTagMutability") or template.tag_mutability
        filters = request.get("imageTagMutabilityExclusionFilters") or []
        template.mutability_filters = checked_filters(mutability, filters)
        template.tag_mutability = mutability
    if "encryptionConfiguration" in request:
        encryption = request["encryptionConfiguration"]
        if encryption["encryptionType"] != "AES256" or encryption.get("kmsKey"):
            raise ValidationException("Berth encrypts no layers with keys of KMS; ask for AES256.")
        template.encryption = dict(AES256)
    if "resourceTags" in request:
        try:
            template.resource_tags = checked_tags(request["resourceTags"])
        except (InvalidTagParameterException, TooManyTagsException) as error:
            raise InvalidParameterException(error.message) from None
    if "lifecyclePolicy" in request:
        template.lifecycle_policy = _checked_lifecycle_policy(request["lifecyclePolicy"])
    if "repositoryPolicy" in request:
        text = request["repositoryPolicy"]
        template.repository_policy = checked_repository_policy(text) if text else None
    if "description" in request:
        template.description = request["description"] or None
    if "customRoleArn" in request:
        template.custom_role_arn = request["customRoleArn"] or None


def _checked_lifecycle_policy(text: str) -> str | None:
    if not text:
        return None
    try:
        read_policy(text)
    except BadPolicy as error:
        raise InvalidParameterException(
            f"Invalid parameter at 'lifecyclePolicy' failed to satisfy constraint: '{error}'"
        ) from None
    return text


def _answer(call: Call, template: CreationTemplate) -> dict[str, Any]:
    return {"registryId": call.settings.account, "repositoryCreationTemplate": _render(template)}


def _render(template: CreationTemplate) -> dict[str, Any]:
    found = {
        "prefix": template.prefix,
        "description": template.description,
        "encryptionConfiguration": template.encryption,
        "resourceTags": template.resource_tags or None,
        "imageTagMutability": template.tag_mutability,
        "imageTagMutabilityExclusionFilters": template.mutability_filters or None,
        "repositoryPolicy": template.repository_policy,
        "lifecyclePolicy": template.lifecycle_policy,
        "appliedFor": template.applied_for,
        "customRoleArn": template.custom_role_arn,
        "createdAt": template.created_at,
        "updatedAt": template.updated_at,
    }
    return {member: value for member, value in found.items() if value is not None}
