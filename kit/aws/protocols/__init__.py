"""The protocols AWS services speak, by the name botocore's models give them."""

from botocore.model import ServiceModel

from kit.aws.protocols.base import Wire
from kit.aws.protocols.json import JsonWire
from kit.aws.protocols.query import QueryWire
from kit.aws.protocols.rest_json import RestJsonWire

WIRES: dict[str, type[Wire]] = {"json": JsonWire, "rest-json": RestJsonWire, "query": QueryWire}


def wire_of(model: ServiceModel, *, strict: bool = False) -> Wire:
    """The wire of a service, in the first protocol of its model that Berth speaks."""
    offered = model.metadata.get("protocols") or [model.metadata["protocol"]]
    for protocol in offered:
        if protocol in WIRES:
            return WIRES[protocol](model, strict=strict)
    raise ValueError(f"{model.service_name} speaks {', '.join(offered)}, of which Berth speaks none")
