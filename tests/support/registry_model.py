"""What clients of a registry were told, and so may count on; and what may happen to them meanwhile."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hypothesis import strategies as st

from registry.names import digest_of

NAMES = ("a", "b")
DATA = (b"", b"first layer", b"second layer, a little longer")
GRACE = timedelta(hours=24)

names, contents = st.sampled_from(NAMES), st.sampled_from(DATA)
algorithms = st.sampled_from(("sha256", "sha256", "sha512"))
tags = st.sampled_from((None, "v1", "v2"))
picks = st.integers(0, 20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens before one of the steps of an operation: the process ends, or another one comes in between."""

    step: int
    what: str
    name: str
    digest: str
    # Of another process that is killed in its turn, its own step.
    killed_at: int


def digests() -> st.SearchStrategy[str]:
    return st.builds(digest_of, contents, algorithms)


faults = st.none() | st.builds(
    Fault,
    step=st.integers(0, 16),
    what=st.sampled_from(("crash", "collect", "collect later", "killed collect", "unlink", "push", "mount")),
    name=names,
    digest=digests(),
    killed_at=st.integers(0, 12),
)


@dataclass(slots=True)
class Sent:
    """An upload as its client knows it."""

    name: str
    touched_at: datetime
    data: bytes = b""


@dataclass(slots=True)
class Model:
    """What clients were told, and so may count on."""

    # By repository and digest, when somebody was told that the blob is there.
    told: dict[tuple[str, str], datetime] = field(default_factory=dict)
    # What each image needs that nobody has taken from it on purpose.
    images: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    bodies: dict[tuple[str, str], bytes] = field(default_factory=dict)
    tags: dict[tuple[str, str], str] = field(default_factory=dict)
    uploads: dict[str, Sent] = field(default_factory=dict)

    def needs(self, name: str, digest: str) -> bool:
        return any(digest in parts for (home, _), parts in self.images.items() if home == name)

    def take_away(self, name: str, digest: str) -> None:
        """Somebody has deleted a blob or an image on purpose: nobody can count on it any more."""
        self.told.pop((name, digest), None)
        for (home, _), parts in self.images.items():
            if home == name:
                parts.discard(digest)

    def forget_image(self, name: str, digest: str) -> None:
        self.images.pop((name, digest), None)
        self.bodies.pop((name, digest), None)
        self.take_away(name, digest)
        for key in [key for key, value in self.tags.items() if key[0] == name and value == digest]:
            del self.tags[key]


def is_late(fault: Fault | None) -> bool:
    """Whether so much time goes by in the middle that what was told or sent before has expired."""
    return fault is not None and fault.what in ("collect later", "killed collect")
