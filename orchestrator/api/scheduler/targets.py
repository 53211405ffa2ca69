"""Targets: what a schedule may call, read from its Target into one operation and its request.

Berth calls its own ECS and Batch: ``arn:…:ecs:…:cluster/NAME`` with EcsParameters, and the universal targets
``arn:aws:scheduler:::aws-sdk:ecs:runTask`` and ``…:batch:submitJob``. Every other target is refused when the schedule
is written, not when it fires. Dead letters are kept in Berth's store; there is no SQS.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from kit.aws.constraints import Trouble
from kit.aws.errors import AwsError, SerializationException, ValidationException
from kit.aws.protocols.json import parse
from kit.aws.reading import Readers
from kit.aws.service import Service
from kit.ids import last_part
from orchestrator.api.batch.wire import batch
from orchestrator.api.ecs.wire import ecs
from scheduler.loops.invocation import Invocation

_CLUSTER = re.compile(r"arn:aws[a-z-]*:ecs:[a-z0-9-]+:\d{12}:cluster/[A-Za-z0-9_-]{1,255}", re.ASCII)
_UNIVERSAL = re.compile(r"arn:aws[a-z-]*:scheduler:::aws-sdk:([a-z0-9-]+):([A-Za-z0-9]+)", re.ASCII)
_CALLABLE: Mapping[tuple[str, str], tuple[Service, str]] = {
    ("ecs", "runTask"): (ecs, "RunTask"),
    ("batch", "submitJob"): (batch, "SubmitJob"),
}
# Parameters of targets that Berth does not have.
_OTHERS = (
    "EventBridgeParameters",
    "EventBridgePutEventsV2Parameters",
    "EventBridgePutRawEventsParameters",
    "KinesisParameters",
    "SageMakerPipelineParameters",
    "SqsParameters",
)
_DEEPEST = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """One operation with its request, checked against the operation's model."""

    service: Service
    operation: str
    request: dict[str, Any]

    @property
    def action(self) -> str:
        return f"{self.service.name}:{self.operation}"


def read_aim(invocation: Invocation) -> Aim:
    """What an invocation calls. Raises ValidationException when that is nothing Berth can call."""
    target = invocation.target
    for member in _OTHERS:
        if target.get(member):
            raise ValidationException(f"Berth has no targets that take {member}.")
    arn = target["Arn"]
    universal = _UNIVERSAL.fullmatch(arn)
    if universal is not None:
        found = _CALLABLE.get((universal[1], universal[2]))
        if found is None:
            raise ValidationException(f"Berth cannot call {universal[1]}:{universal[2]} on a schedule. {_OFFER}")
        if target.get("EcsParameters"):
            raise ValidationException("A universal target takes Input, not EcsParameters.")
        service, operation = found
        return _checked(service, operation, _read_input(invocation, required=True))
    if _CLUSTER.fullmatch(arn):
        parameters = target.get("EcsParameters")
        if not parameters:
            raise ValidationException("A target that is an ECS cluster needs EcsParameters.")
        return _checked(ecs, "RunTask", _run_task(invocation, parameters))
    if arn.split(":")[2:3] == ["batch"]:
        raise ValidationException(
            "A Batch job queue is no target by itself: use arn:aws:scheduler:::aws-sdk:batch:submitJob with Input."
        )
    raise ValidationException(f"Berth cannot call the target {arn}. {_OFFER}")


_OFFER = (
    "It calls ECS clusters (with EcsParameters), arn:aws:scheduler:::aws-sdk:ecs:runTask and "
    "arn:aws:scheduler:::aws-sdk:batch:submitJob."
)


def _run_task(invocation: Invocation, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """EcsParameters as a request of RunTask; the input, if any, is its overrides."""
    request: dict[str, Any] = {_lower(name): value for name, value in parameters.items()}
    request["cluster"] = invocation.target["Arn"]
    request["taskDefinition"] = request.pop("taskDefinitionArn")
    request["count"] = request.pop("taskCount", 1)
    # As AWS marks the tasks of its schedules.
    request["startedBy"] = f"chronos-schedule/{last_part(invocation.schedule_arn)}"
    request["clientToken"] = invocation.token
    if "networkConfiguration" in request:
        network = request["networkConfiguration"].get("awsvpcConfiguration") or {}
        request["networkConfiguration"] = {
            "awsvpcConfiguration": {_lower(name): value for name, value in network.items()}
        }
    if "tags" in request:
        request["tags"] = [tag for entry in request["tags"] for tag in _read_tags(entry)]
    overrides = _read_input(invocation, required=False)
    if overrides:
        request["overrides"] = overrides
    return request


def _read_tags(entry: Mapping[str, str]) -> list[dict[str, str]]:
    """One of EcsParameters' tags, written either as key and value or as a map from the one to the other."""
    folded = {name.lower(): value for name, value in entry.items()}
    if folded.keys() == {"key", "value"}:
        return [folded]
    return [{"key": key, "value": value} for key, value in entry.items()]


def _read_input(invocation: Invocation, *, required: bool) -> dict[str, Any]:
    text = invocation.input
    if text is None:
        if required:
            raise ValidationException("A universal target needs Input: the operation's request as JSON.")
        return {}
    try:
        # As strict as a request's own body: no NaN, no halves of characters, no endless nesting.
        value = parse(text.encode())
    except (SerializationException, UnicodeError):
        raise ValidationException("The target's Input is not valid JSON.") from None
    if not isinstance(value, dict):
        raise ValidationException("The target's Input must be a JSON object.")
    return value


def _checked(service: Service, operation: str, tree: dict[str, Any]) -> Aim:
    """The request as the operation's handler takes it. Members may be spelled as in the model or in PascalCase."""
    shape = service.operation_model(operation).input_shape
    trouble = Trouble()
    try:
        spelled = _spell(shape, tree, operation, 0)
        request = _readers(service).reader(shape)(spelled, None, None, trouble)
    except AwsError as error:
        raise ValidationException(f"The target's input is not a request of {operation}: {error.message}") from error
    if trouble.findings:
        raise ValidationException(f"The target's input is not a request of {operation}: {trouble.message()}")
    empty = [name for name in shape.required_members if request.get(name) in (None, "")]
    if empty:
        raise ValidationException(f"The target's input is not a request of {operation}: {empty[0]} must not be empty.")
    return Aim(service=service, operation=operation, request=dict(request))


@cache
def _readers(service: Service) -> Readers:
    return Readers(service.model)


def _spell(shape: Any, value: Any, path: str, depth: int) -> Any:
    """The value with its members spelled as in the model; raises ValidationException for one that is not there."""
    if depth > _DEEPEST:
        raise ValidationException("it is nested too deeply.")
    match shape.type_name, value:
        case "structure", dict():
            spelled = {}
            for name, item in value.items():
                member = name if name in shape.members else _lower(name)
                if member not in shape.members:
                    raise ValidationException(f"{path} has no member {name[:100]!r}.")
                spelled[member] = _spell(shape.members[member], item, f"{path}.{member}", depth + 1)
            return spelled
        case "list", list():
            return [_spell(shape.member, item, path, depth + 1) for item in value]
        case "map", dict():
            return {key: _spell(shape.value, item, path, depth + 1) for key, item in value.items()}
    return value


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]
