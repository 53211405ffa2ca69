"""Access to ECR's operations: the same judgement as at the registry's ``/v2``, in the handler's transaction."""

from collections.abc import Sequence
from typing import Any

from kit.aws.errors import AccessDeniedException
from kit.ids import resource_of
from orchestrator.call import Call
from registry.policies import EVERY, Asker, refusal


def authorize(call: Call, operation: str, request: dict[str, Any]) -> None:
    """Raise AccessDeniedException unless the caller may run the operation on every repository it names."""
    asker = asker_of(call)
    for repository in _named(operation, request):
        trouble = refusal(call.session, asker, f"ecr:{operation}", repository, arns=call.arns, now=call.now)
        if trouble is not None:
            raise AccessDeniedException(trouble)


def asker_of(call: Call) -> Asker:
    """The caller, as policies see it."""
    return Asker(
        principal_arn=call.caller.principal_arn,
        actions=call.caller.actions,
        source_ip=call.source_ip,
        secure=call.secure,
    )


def _named(operation: str, request: dict[str, Any]) -> Sequence[str | None]:
    """The repositories that the request is about; None stands for the registry as a whole."""
    if "repositoryName" in request:
        return (request["repositoryName"],)
    if request.get("repositoryNames"):
        return tuple(dict.fromkeys(request["repositoryNames"]))
    if operation == "DescribeRepositories":
        return (EVERY,)
    kind, _, name = resource_of(request.get("resourceArn") or "").partition("/")
    return (name,) if kind == "repository" else (None,)
