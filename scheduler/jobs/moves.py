"""Moves: what the jobs loop decided to do to many jobs at once, and the writing of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from state.jobs import move_jobs
from state.store import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """These jobs go from one status to another, for one reason; ``columns`` are written with it."""

    ids: Sequence[str]
    before: str
    after: str
    because: str
    columns: Mapping[str, Any] = field(default_factory=dict)


def make_moves(session: Session, moves: Iterable[Move], *, now: datetime) -> int:
    """Write the moves of all jobs that are still where the move begins; answer how many moved."""
    moved = 0
    for move in moves:
        columns = dict(move.columns)
        match move.after:
            case "RUNNABLE":
                columns |= {"waits": False, "runnable_at": now, "status_reason": None}
            case "SUCCEEDED" | "FAILED":
                columns |= {"stopped_at": now, "status_reason": move.because}
            case _:
                pass
        moved += len(move_jobs(session, move.ids, move.before, move.after, at=now, because=move.because, **columns))
    return moved
