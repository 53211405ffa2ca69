"""Associations of a task: which of the host's GPUs are whose, as the ECS agent protocol says it."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from agent.gpus import is_gpu_id
from agent.tasks.reading import BadPayload, objects, text, texts


def read_gpus(raw: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The ids of GPUs by container name: each device is one container's alone."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    seen = set()
    for association, where in objects(raw, "associations", "task"):
        kind = text(association, "type", where)
        if kind != "gpu":
            raise BadPayload(f"{where}.type: this agent knows only gpu, not {kind!r}")
        gpu = text(association, "name", where)
        containers = texts(association, "containers", where)
        if not is_gpu_id(gpu):
            raise BadPayload(f"{where}.name: {gpu!r} is not the id of a GPU")
        if len(containers) != 1 or gpu in seen:
            raise BadPayload(f"{where}.containers: GPU {gpu} must be of exactly one container")
        seen.add(gpu)
        found[containers[0]].append(gpu)
    return {name: tuple(gpus) for name, gpus in found.items()}
