"""How far a container's log has been shipped, for its two streams apart.

The engine stamps each stream in order, but a line of one may be stamped before and kept after a line of the
other. So every stream has its own position: the instant of its last line, and how many lines had that instant.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from kit.files import write_private
from kit.folders import make_folder

# How far apart the stamps of two streams can be from their order in the log.
SKEW = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Position:
    """``seen`` lines of exactly the instant ``at`` are behind, and all before it."""

    at: str
    seen: int


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position per stream; a stream without one has not written yet."""

    positions: Mapping[int, Position] = field(default_factory=dict)

    def after(self, stream: int, at: str) -> "Cursor":
        """The cursor once one more line has been passed."""
        before = self.positions.get(stream)
        seen = before.seen + 1 if before and before.at == at else 1
        return Cursor({**self.positions, stream: Position(at, seen)})

    def since(self) -> str:
        """Where to begin to read so that nothing is missed: a little before the newest line; empty for everything."""
        newest = max((position.at for position in self.positions.values()), default="")
        if not newest:
            return ""
        whole, _, fraction = newest.rstrip("Z").partition(".")
        earlier = datetime.fromisoformat(whole) - SKEW
        return f"{earlier.isoformat()}.{fraction or '0'}Z"


class Skipping:
    """Tells the lines that are behind a cursor from those that are not, when a log is read again."""

    def __init__(self, cursor: Cursor) -> None:
        self._positions = cursor.positions
        self._left = {stream: position.seen for stream, position in cursor.positions.items()}

    def behind(self, stream: int, at: str) -> bool:
        """Whether this line, the next one read, has been passed before."""
        position = self._positions.get(stream)
        if position is None or at > position.at:
            return False
        if at < position.at:
            return True
        self._left[stream] -= 1
        return self._left[stream] >= 0


class CursorFiles:
    """One small file per container in the directory ``logs`` of the agent's data."""

    def __init__(self, data: Path) -> None:
        self._directory = data / "logs"
        make_folder(self._directory)

    def load(self, runtime_id: str) -> Cursor:
        """The cursor kept, or the beginning when there is none that can be read."""
        with suppress(FileNotFoundError, ValueError, TypeError, AttributeError):
            kept = json.loads(self._path(runtime_id).read_text())
            cursor = Cursor({int(s): Position(str(at), int(seen)) for s, (at, seen) in kept.items()})
            cursor.since()
            return cursor
        return Cursor()

    def save(self, runtime_id: str, cursor: Cursor) -> None:
        kept = {str(stream): [p.at, p.seen] for stream, p in cursor.positions.items()}
        write_private(self._path(runtime_id), json.dumps(kept), sync=False)

    def forget(self, runtime_id: str) -> None:
        self._path(runtime_id).unlink(missing_ok=True)

    def _path(self, runtime_id: str) -> Path:
        return self._directory / f"{runtime_id}.json"
