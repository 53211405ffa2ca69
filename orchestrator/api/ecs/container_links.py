"""How the containers of a task lean on each other: dependsOn, links and volumesFrom, which must form no circle."""

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.api.ecs.errors import ClientException


def check_links(containers: Sequence[Mapping[str, Any]], network_mode: str) -> None:
    """Raise ClientException for a name that is no container of the task, a rule broken, or a circle."""
    by_name = {container["name"]: container for container in containers}
    needs: dict[str, list[str]] = {}
    for container in containers:
        name = container["name"]
        needs[name] = [
            *_depends_on(container, by_name),
            *_links(container, by_name, network_mode),
            *_volumes_from(container, by_name),
        ]
    circle = _find_circle(needs)
    if circle:
        raise ClientException(
            f"Containers depend on each other in a circle (dependsOn, links, volumesFrom): {' -> '.join(circle)}."
        )


def _depends_on(container: Mapping[str, Any], by_name: Mapping[str, Mapping[str, Any]]) -> list[str]:
    targets = []
    for dependency in container.get("dependsOn") or ():
        target, condition = dependency["containerName"], dependency["condition"]
        if target not in by_name:
            raise ClientException(f"Cannot depend on container '{target}' because it does not exist.")
        if condition == "HEALTHY" and not by_name[target].get("healthCheck"):
            raise ClientException("A dependency container with HEALTHY condition must have health check configured.")
        if condition in ("COMPLETE", "SUCCESS") and by_name[target]["essential"]:
            raise ClientException(
                "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container."
            )
        targets.append(target)
    return targets


def _links(container: Mapping[str, Any], by_name: Mapping[str, Any], network_mode: str) -> list[str]:
    targets = []
    for link in container.get("links") or ():
        if network_mode != "bridge":
            raise ClientException(f"Links are not supported when networkMode={network_mode}.")
        target, colon, alias = link.partition(":")
        if colon and not alias:
            raise ClientException(f"Container '{container['name']}' has an invalid link '{link}': name or name:alias.")
        if target not in by_name:
            raise ClientException(f"Container '{container['name']}' links to unknown container '{target}'.")
        targets.append(target)
    return targets


def _volumes_from(container: Mapping[str, Any], by_name: Mapping[str, Any]) -> list[str]:
    targets = []
    for source in container["volumesFrom"]:
        target = source.get("sourceContainer")
        if target not in by_name:
            raise ClientException(f"Invalid 'volumesFrom' setting. Unknown container: '{target}'")
        targets.append(target)
    return targets


def _find_circle(needs: Mapping[str, Sequence[str]]) -> list[str] | None:
    """The names along one circle, the first repeated at the end, or None."""
    done: set[str] = set()
    for start in needs:
        trail: list[str] = []
        if circle := _walk(start, needs, trail, done):
            return circle
    return None


def _walk(name: str, needs: Mapping[str, Sequence[str]], trail: list[str], done: set[str]) -> list[str] | None:
    if name in trail:
        return [*trail[trail.index(name) :], name]
    if name in done:
        return None
    trail.append(name)
    for target in needs[name]:
        if circle := _walk(target, needs, trail, done):
            return circle
    trail.pop()
    done.add(name)
    return None
