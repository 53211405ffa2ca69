"""How far a container's log has been shipped: the engine's instant of the last line, and how many lines had it."""

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent.tasks.files import write_private


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """``at`` is empty before the first line. ``seen`` lines of exactly that instant are already shipped."""

    at: str = ""
    seen: int = 0

    def after(self, at: str) -> "Cursor":
        """The cursor once one more line, of the instant ``at``, has been shipped."""
        return Cursor(at=at, seen=self.seen + 1) if at == self.at else Cursor(at=at, seen=1)


class CursorFiles:
    """One small file per container in the directory ``logs`` of the agent's data."""

    def __init__(self, data: Path) -> None:
        self._directory = data / "logs"
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def load(self, runtime_id: str) -> Cursor:
        """The cursor kept, or the beginning when there is none that can be read."""
        with suppress(FileNotFoundError, ValueError, KeyError, TypeError):
            kept = json.loads(self._path(runtime_id).read_text())
            return Cursor(at=str(kept["at"]), seen=int(kept["seen"]))
        return Cursor()

    def save(self, runtime_id: str, cursor: Cursor) -> None:
        write_private(self._path(runtime_id), json.dumps({"at": cursor.at, "seen": cursor.seen}), sync=False)

    def forget(self, runtime_id: str) -> None:
        self._path(runtime_id).unlink(missing_ok=True)

    def _path(self, runtime_id: str) -> Path:
        return self._directory / f"{runtime_id}.json"
