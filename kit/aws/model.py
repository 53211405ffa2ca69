"""botocore's service models, loaded once each and without their documentation, and facts derived from them.

Only this package reads them: nothing about a service is typed in by hand, so what the model says is what is served,
but for members that clients of a private model are known to send.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel, Shape, StructureShape


@cache
def load_model(name: str, *unlisted: tuple[str, str, str]) -> ServiceModel:
    """The model of a service by its botocore name; raises botocore's UnknownServiceError for a wrong name.

    ``unlisted`` are a structure, a member that it has beside those of the public model, and that member's shape.
    """
    # Only botocore's own data: what happens to lie in a home directory must not change the wire.
    loader = Loader(extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    raw = loader.load_service_model(name, "service-2")
    for structure, member, shape in unlisted:
        raw["shapes"][structure]["members"][member] = {"shape": shape}
    return ServiceModel(_without_documentation(raw), name)


def _without_documentation(raw: dict[str, Any]) -> dict[str, Any]:
    for operation in raw.get("operations", {}).values():
        operation.pop("documentation", None)
    for shape in raw.get("shapes", {}).values():
        shape.pop("documentation", None)
        references = [*shape.get("members", {}).values()]
        references += [shape[part] for part in ("member", "key", "value") if part in shape]
        for reference in references:
            reference.pop("documentation", None)
    return raw


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorFacts:
    """How a modelled error goes out: its status, its shape, and the name its message member has."""

    code: str
    status: int
    shape: StructureShape
    message_member: str


def error_facts(shape: StructureShape) -> ErrorFacts:
    """What the model says of an error shape; 400 unless it says otherwise, 500 when it calls it the server's fault."""
    traits = shape.metadata.get("error") or {}
    default = 500 if shape.metadata.get("fault") else 400
    message = next((name for name in shape.members if name.lower() == "message"), "message")
    return ErrorFacts(
        code=shape.error_code,
        status=int(traits.get("httpStatusCode", default)),
        shape=shape,
        message_member=message,
    )


def operation_errors(operation: OperationModel) -> dict[str, ErrorFacts]:
    """The errors an operation declares, by code."""
    return {shape.error_code: error_facts(shape) for shape in operation.error_shapes}


def service_errors(model: ServiceModel) -> dict[str, ErrorFacts]:
    """Every error shape of a service, by code."""
    return {shape.error_code: error_facts(shape) for shape in model.error_shapes}


def idempotency_member(operation: OperationModel) -> str | None:
    """The input member that makes a call repeatable: the one with the trait, else one called ``clientToken``."""
    if operation.input_shape is None:
        return None
    marked = operation.idempotent_members
    if marked:
        return str(marked[0])
    return next((name for name in operation.input_shape.members if name.lower() == "clienttoken"), None)


def wire_name(shape: Shape, member: str) -> str:
    """The name under which a member travels."""
    return str(shape.serialization.get("name", member))


def is_document(shape: Shape) -> bool:
    """Whether a shape takes any JSON value at all."""
    return bool(getattr(shape, "is_document_type", False))
