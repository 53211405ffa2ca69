"""Images of the simulated engine: names for what containers do, with ids, digests and the rules of removing them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from agent.runtime import ImageMissing, ImageState, Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What a container does: run ``lasts`` (for ever by default), write ``output``, exit with ``exit_code``; and
    ``writes`` bytes to its own layer."""

    lasts: timedelta | None = None
    exit_code: int = 0
    output: tuple[str, ...] = ()
    start_error: str = ""
    out_of_memory: bool = False
    heeds_term: bool = True
    healthy_after: timedelta | None = None
    writes: int = 0


class SimulatedImages:
    """``programs`` is shared with whoever puts images there by hand: such an image has an id of its own."""

    def __init__(self, programs: dict[str, Program]) -> None:
        self._programs = programs
        self._ids: dict[str, str] = {}

    def pulled(self, name: str, digest: str, program: Program) -> None:
        """The name means this image from now on; what it meant before keeps its other names, or none."""
        before = self._ids.get(name)
        self._ids[name] = f"image-{digest}"
        self._programs[name] = program
        self._ids[f"{_repository(name)}@{digest}"] = f"image-{digest}"
        if before and before != f"image-{digest}":
            self._ids.setdefault(f"<none>@{before}", before)

    def find(self, name: str) -> ImageState:
        """Raises ImageMissing."""
        found = self._id(name)
        if not found:
            raise ImageMissing(f"No such image: {name}")
        return ImageState(id=found, names=tuple(one for one in self._names(found) if not one.startswith("<none>")))

    def remove(self, name: str, in_use: Collection[str]) -> None:
        """Raises Refused."""
        found = self._id(name)
        if not found:
            return
        names = self._names(found) if name == found else [name]
        if name == found and len({_repository(one) for one in names if not one.startswith("<none>")}) > 1:
            raise Refused(f"conflict: unable to delete {name}: image is referenced in multiple repositories")
        left = [one for one in self._names(found) if one not in names]
        if all("@" in one and _repository(one) in {_repository(name), "<none>"} for one in left):
            names, left = [*names, *left], []
        if not left and found in in_use:
            raise Refused(f"conflict: unable to remove {name}: container is using its image {found}")
        for one in names:
            self._ids.pop(one, None)
            self._programs.pop(one, None)

    def _id(self, name: str) -> str:
        if name in self._ids:
            return self._ids[name]
        if name in self._programs:
            return f"image-{name}"
        known = {*self._ids.values(), *(f"image-{one}" for one in self._programs if one not in self._ids)}
        return name if name in known else ""

    def _names(self, found: str) -> list[str]:
        by_hand = [one for one in self._programs if one not in self._ids and f"image-{one}" == found]
        return by_hand + [one for one, its in self._ids.items() if its == found]


def _repository(name: str) -> str:
    repository, at, _ = name.partition("@")
    if at:
        return repository
    head, colon, tag = name.rpartition(":")
    return head if colon and "/" not in tag else name
