"""What a host registers: CPU and memory, ports it keeps, GPUs, and resources of its own names.

Source: the ECS agent's RegisterContainerInstance. What can be asked for is an amount (INTEGER or LONG) or GPUs.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.api.ecs.errors import ClientException
from state.devices import registered_resources

LARGEST = {"INTEGER": 2**31 - 1, "LONG": 2**63 - 1}
VALUES = {"INTEGER": "integerValue", "LONG": "longValue"}
MOST_RESOURCES = 100
MOST_GPUS = 1000
LAST_PORT = 65_535
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./:-]{0,254}")
# Ids end up in one variable of a container, with commas between.
_DEVICE = re.compile(r"[A-Za-z0-9_./:-]{1,255}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """CPU units, MiB, and amounts of other resources by name."""

    cpu: int
    memory: int
    named: Mapping[str, int]


def read_resources(resources: Sequence[Mapping[str, Any]]) -> Offered:
    """What ``totalResources`` offers; raises ClientException for the first that means nothing."""
    if len(resources) > MOST_RESOURCES:
        raise ClientException(f"totalResources can hold at most {MOST_RESOURCES} resources.")
    sizes: dict[str, int] = {}
    for resource in resources:
        name = resource.get("name") or ""
        if _NAME.fullmatch(name) is None:
            raise ClientException(f"totalResources: '{name[:80]}' is not a name for a resource.")
        if name in sizes:
            raise ClientException(f"totalResources: {name} is given twice.")
        match name:
            case "PORTS" | "PORTS_UDP":
                sizes[name] = _ports(name, resource)
            case "GPU":
                sizes[name] = _gpus(resource)
            case _:
                sizes[name] = _amount(name, resource)
    if sizes.get("CPU", 0) <= 0 or sizes.get("MEMORY", 0) <= 0:
        raise ClientException("totalResources must hold CPU (in units) and MEMORY (in MiB), each greater than 0.")
    return Offered(cpu=sizes["CPU"], memory=sizes["MEMORY"], named=registered_resources(resources))


def _amount(name: str, resource: Mapping[str, Any]) -> int:
    kind = resource.get("type") or ""
    kinds = ["INTEGER"] if name in ("CPU", "MEMORY") else ["INTEGER", "LONG"]
    if kind not in kinds:
        raise ClientException(f"totalResources: {name} must be of type {' or '.join(kinds)}, not '{kind[:40]}'.")
    amount = resource.get(VALUES[kind]) or 0
    if not 0 <= amount <= LARGEST[kind]:
        raise ClientException(f"totalResources: {name} must be between 0 and {LARGEST[kind]}.")
    return int(amount)


def _ports(name: str, resource: Mapping[str, Any]) -> int:
    ports = resource.get("stringSetValue") or ()
    for port in ports:
        if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > LAST_PORT:
            raise ClientException(f"totalResources: {name} holds '{port[:40]}', which is not a port.")
    return len(ports)


def _gpus(resource: Mapping[str, Any]) -> int:
    gpus = resource.get("stringSetValue") or ()
    if len(gpus) > MOST_GPUS:
        raise ClientException(f"totalResources: a host can have at most {MOST_GPUS} GPUs.")
    for gpu in gpus:
        if _DEVICE.fullmatch(gpu) is None:
            raise ClientException(f"totalResources: '{gpu[:80]}' is not the id of a GPU.")
    if len(set(gpus)) != len(gpus):
        raise ClientException("totalResources: the same GPU is given twice.")
    return len(gpus)
