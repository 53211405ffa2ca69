"""Records: which images agents pulled here, kept in one file so that nothing else is ever cleaned away.

The file may be shared by all agents of one engine; each change is one locked reading and replacing of it. A pull is
noted before it begins: when the agent is killed in its midst, what it has brought is known for its own all the same.
An image that was there before under its name, whoever brought it, never gets a record.
"""

import fcntl
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar

from agent.log import facts
from kit.files import append_private, write_private

log = facts(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An image by its id; ``names`` are those that it was pulled under and still has."""

    id: str
    names: tuple[str, ...]
    pulled_at: datetime
    used_at: datetime


class Records(Protocol):
    """What is known of this host's pulls."""

    def begun(self, name: str, before: str) -> None:
        """A pull begins; ``before`` is the id that the name has on the engine, or empty."""
        ...

    def pulled(self, name: str, before: str, after: str, now: datetime) -> None:
        """The pull is over, and the name has the id ``after``."""
        ...

    def failed(self, name: str) -> None:
        """The pull is over, and has brought nothing: who brings the image after this is somebody else."""
        ...

    def used(self, name: str, now: datetime) -> None:
        """A container was made of it, or tried to be."""
        ...

    def has(self, name: str) -> bool: ...

    def find(self, name: str) -> Record | None: ...

    def forget(self, image_id: str) -> None: ...


class _Nothing:
    """Records of an agent that keeps none, and so never removes an image."""

    def begun(self, name: str, before: str) -> None: ...

    def pulled(self, name: str, before: str, after: str, now: datetime) -> None: ...

    def failed(self, name: str) -> None: ...

    def used(self, name: str, now: datetime) -> None: ...

    def has(self, name: str) -> bool:
        return False

    def find(self, name: str) -> Record | None:
        return None

    def forget(self, image_id: str) -> None: ...


NOTHING_KEPT: Records = _Nothing()


@dataclass(slots=True)
class _Kept:
    images: dict[str, Record] = field(default_factory=dict)
    pulling: dict[str, str] = field(default_factory=dict)
    swept_at: datetime | None = None


class RecordFile:
    """Records in a file of mode 0600. What can't be written is logged: it costs a clean-up, not a task."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._used: dict[str, datetime] = {}

    def begun(self, name: str, before: str) -> None:
        self._change(lambda kept: kept.pulling.update({name: before}))

    def pulled(self, name: str, before: str, after: str, now: datetime) -> None:
        def settle(kept: _Kept) -> None:
            kept.pulling.pop(name, None)
            _settle(kept, name, before, after, now)

        self._change(settle)

    def failed(self, name: str) -> None:
        self._change(lambda kept: kept.pulling.pop(name, None))

    def used(self, name: str, now: datetime) -> None:
        """Kept in memory until something is written anyway."""
        with self._lock:
            self._used[name] = now

    def has(self, name: str) -> bool:
        return self.find(name) is not None

    def find(self, name: str) -> Record | None:
        return next((record for record in self._read().images.values() if name in record.names), None)

    def forget(self, image_id: str) -> None:
        self._change(lambda kept: kept.images.pop(image_id, None))

    def list(self) -> Sequence[Record]:
        """Every record, the one longest unused first."""
        self.flush()
        return sorted(self._read().images.values(), key=lambda record: (record.used_at, record.id))

    def flush(self) -> None:
        """Write down when images were used."""
        if self._used:
            self._change(lambda kept: None)

    def recover(self, id_of: Callable[[str], str], now: datetime) -> None:
        """Settle the pulls that an earlier run began and did not see the end of."""
        begun = self._read().pulling
        found = {name: id_of(name) for name in begun}

        def settle(kept: _Kept) -> None:
            for name, before in begun.items():
                if kept.pulling.get(name) == before:
                    del kept.pulling[name]
                    _settle(kept, name, before, found[name], now)

        if begun:
            self._change(settle)

    def claim_sweep(self, now: datetime, interval: timedelta) -> bool:
        """Whether a sweep is due now; of all who share the file only one is told so.

        The first look of all begins the first interval, and so does the first after a clock was put back.
        """
        swept_at = self._read().swept_at
        if swept_at is not None and swept_at <= now < swept_at + interval:
            return False

        def claim(kept: _Kept) -> bool:
            mine = kept.swept_at == swept_at
            kept.swept_at = now if mine else kept.swept_at
            return mine

        return bool(self._change(claim)) and swept_at is not None and swept_at <= now

    def _change(self, work: Callable[[_Kept], T]) -> T | None:
        """Read, change and replace the file while nobody else does."""
        try:
            with self._lock, append_private(self._path.with_name(f"{self._path.name}.lock")) as gate:
                fcntl.flock(gate, fcntl.LOCK_EX)
                kept = self._read()
                answer = work(kept)
                _take_in(kept, self._used)
                self._used.clear()
                write_private(self._path, json.dumps(_rendered(kept)), sync=False)
                return answer
        except OSError as error:
            log.error("image records not saved", path=str(self._path), because=str(error))
            return None

    def _read(self) -> _Kept:
        """Without records nothing is removed: what can't be read is set aside, and the images stay."""
        try:
            return _parsed(json.loads(self._path.read_text()))
        except FileNotFoundError:
            return _Kept()
        except OSError as error:
            log.error("image records unreadable", path=str(self._path), because=str(error))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            log.error("image records unreadable", path=str(self._path), because=str(error))
            with suppress(OSError):
                self._path.replace(self._path.with_suffix(".unreadable"))
        return _Kept()


def _take_in(kept: _Kept, used: Mapping[str, datetime]) -> None:
    for record in tuple(kept.images.values()):
        newest = max((used[name] for name in record.names if name in used), default=record.used_at)
        if newest > record.used_at:
            kept.images[record.id] = replace(record, used_at=newest)


def _settle(kept: _Kept, name: str, before: str, after: str, now: datetime) -> None:
    """Whose the image is that the name has after a pull: this host's agents' if it was not there under it before."""
    known = kept.images.get(after)
    if after and (after != before or (known and name in known.names)):
        names = (*(known.names if known else ()), name)
        kept.images[after] = Record(
            id=after,
            names=tuple(dict.fromkeys(names)),
            pulled_at=known.pulled_at if known and after == before else now,
            used_at=now,
        )
    for record in list(kept.images.values()):
        # The name has moved on; the image that had it is kept in mind, to be removed in its turn.
        if record.id != after and name in record.names:
            kept.images[record.id] = replace(record, names=tuple(one for one in record.names if one != name))


def _rendered(kept: _Kept) -> dict[str, Any]:
    return {
        "images": [
            {
                "id": record.id,
                "names": list(record.names),
                "pulledAt": record.pulled_at.isoformat(),
                "usedAt": record.used_at.isoformat(),
            }
            for record in kept.images.values()
        ],
        "pulling": kept.pulling,
        "sweptAt": kept.swept_at.isoformat() if kept.swept_at else None,
    }


def _parsed(raw: Any) -> _Kept:
    records = [
        Record(
            id=str(one["id"]),
            names=tuple(str(name) for name in one["names"]),
            pulled_at=_moment(one["pulledAt"]),
            used_at=_moment(one["usedAt"]),
        )
        for one in raw["images"]
    ]
    return _Kept(
        images={record.id: record for record in records},
        pulling={str(name): str(before) for name, before in raw["pulling"].items()},
        swept_at=_moment(raw["sweptAt"]) if raw["sweptAt"] else None,
    )


def _moment(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text} is in no time zone")
    return at
