"""What a collection of garbage is to do, and what it did."""

from dataclasses import asdict, dataclass
from datetime import timedelta

from kit.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a collection removed or, of a dry run, would remove now; and what it left for its time to come."""

    # Images without a tag.
    images: int = 0
    # Layers hidden from a repository, and the blobs removed, with bytes.
    links: int = 0
    blobs: int = 0
    bytes: int = 0
    # Of the blobs, those of which no row told: left by a crash.
    orphans: int = 0
    uploads: int = 0
    # Layers that no image needs, still within the grace time, and their bytes.
    waiting: int = 0
    waiting_bytes: int = 0

    def __add__(self, other: "Collected") -> "Collected":
        mine, others = asdict(self), asdict(other)
        return Collected(**{name: mine[name] + others[name] for name in mine})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How to collect."""

    grace: timedelta
    untagged: bool = False
    dry: bool = False


def wish_of(settings: Settings) -> Wish:
    """How the settings want it."""
    return Wish(grace=timedelta(hours=settings.registry_grace_hours), untagged=settings.registry_delete_untagged)
