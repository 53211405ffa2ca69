"""GPUs and accelerators of a task definition and of a run: ``resourceRequirements``, ``inferenceAccelerators``.

Source: ECS API, ResourceRequirement, InferenceAccelerator and ContainerOverride; developer guide, "Task definitions
for GPU workloads".
"""

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.api.ecs.errors import ClientException, InvalidParameterException
from scheduler.placement import BadSize, gpu_count
from state.devices import STANDARD

LONGEST_NAME = 255


def check_devices(body: Mapping[str, Any]) -> None:
    """Raise ClientException for accelerators without a name or a use, and for requirements no host could meet."""
    names = _accelerators(body.get("inferenceAccelerators") or ())
    used = set()
    for container in body["containerDefinitions"]:
        used |= _requirements(container["name"], container.get("resourceRequirements") or (), names)
    for name in names:
        if name not in used:
            raise ClientException(f"Inference accelerator '{name}' is not a resource requirement of any container.")


def check_device_overrides(body: Mapping[str, Any], overrides: Mapping[str, Any]) -> None:
    """Raise on a run's requirements and accelerators that do not go with its task definition."""
    names = [accelerator["deviceName"] for accelerator in body.get("inferenceAccelerators") or ()]
    for override in overrides.get("containerOverrides") or ():
        _requirements(str(override.get("name")), override.get("resourceRequirements") or (), names)
    for accelerator in overrides.get("inferenceAcceleratorOverrides") or ():
        if accelerator.get("deviceName") not in names:
            raise InvalidParameterException(
                f"Override for inference accelerator named {accelerator.get('deviceName')} is not an inference "
                "accelerator in the TaskDefinition."
            )
        _check_type(accelerator)


def needs_devices(body: Mapping[str, Any], overrides: Mapping[str, Any]) -> bool:
    """Whether a run asks for a GPU or an accelerator, which Fargate has none of."""
    holders: Sequence[Mapping[str, Any]] = [
        *body["containerDefinitions"],
        *(overrides.get("containerOverrides") or ()),
    ]
    return any(holder.get("resourceRequirements") for holder in holders)


def _accelerators(accelerators: Sequence[Mapping[str, Any]]) -> list[str]:
    names: list[str] = []
    for accelerator in accelerators:
        name = accelerator.get("deviceName")
        if not name or len(name) > LONGEST_NAME:
            raise ClientException(f"InferenceAccelerator.deviceName must have from 1 to {LONGEST_NAME} characters.")
        if name in names:
            raise ClientException(f"Duplicate inference accelerator name '{name}'.")
        _check_type(accelerator)
        names.append(name)
    return names


def _check_type(accelerator: Mapping[str, Any]) -> None:
    """The type is the name of the host resource that the accelerator takes one of."""
    kind = accelerator.get("deviceType")
    if not kind or len(kind) > LONGEST_NAME:
        raise ClientException(f"InferenceAccelerator.deviceType must have from 1 to {LONGEST_NAME} characters.")
    if kind in STANDARD:
        raise ClientException(f"InferenceAccelerator.deviceType cannot be {kind}, which every host counts by itself.")


def _requirements(name: str, requirements: Sequence[Mapping[str, Any]], accelerators: Sequence[str]) -> set[str]:
    """Check one container's requirements; answers the accelerators it names."""
    named: set[str] = set()
    gpus = 0
    for requirement in requirements:
        kind, value = requirement.get("type"), str(requirement.get("value") or "")
        if requirement.get("sharingStrategy"):
            raise ClientException(f"Container '{name}': sharing of GPUs is not supported by Berth yet.")
        match kind:
            case "GPU":
                gpus += 1
                _check_gpus(name, value)
            case "InferenceAccelerator":
                if value not in accelerators:
                    raise ClientException(
                        f"Container '{name}' requires inference accelerator '{value}', which is not in the task "
                        "definition."
                    )
                if value in named:
                    raise ClientException(f"Container '{name}' requires inference accelerator '{value}' twice.")
                named.add(value)
            case _:
                raise ClientException(
                    f"Container '{name}': resource requirements of type {kind} are not supported by Berth."
                )
    if gpus > 1:
        raise ClientException(f"Container '{name}' can have only one resource requirement of type GPU.")
    return named


def _check_gpus(name: str, value: str) -> None:
    if value == "ALL":
        raise ClientException(f"Container '{name}': ALL GPUs of a host are not supported by Berth yet: name a number.")
    try:
        gpu_count(value[:40])
    except BadSize as error:
        raise ClientException(f"Invalid setting for container '{name}'. {error}") from error
