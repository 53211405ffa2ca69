"""Pulls: when an image was pulled last, as lifecycle policies and people want to know.

Many pulls at once are one transaction, and an image that is pulled all the time is written once an hour. A pull does
not fail because it cannot be recorded.
"""

import logging
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

from sqlalchemy.orm import Session

from state.images import get_image
from state.pull_exclusions import get_pull_exclusion
from state.store import Store, StoreBusy, StoreUnavailable

log = logging.getLogger(__name__)
# How exact "last pulled" is: a pull by many at once must not be a queue of writers.
NOTED_EVERY = timedelta(hours=1)
# How long a principal whose pulls are not to be recorded is not asked about again.
EXCLUDED_FOR = timedelta(minutes=1)
_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Pull:
    """Who pulled what."""

    repository: str
    digest: str
    principal_arn: str


class Pulls:
    """Records pulls in one store. Safe to use from many threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._excluded: OrderedDict[str, datetime] = OrderedDict()
        self._waiting: dict[Pull, datetime] = {}
        self._lock = Lock()
        self._writing = Lock()

    def is_due(self, principal_arn: str, pulled_at: datetime | None, *, now: datetime) -> bool:
        """Whether the principal's pull of an image that was ``pulled_at`` last is to be recorded."""
        if pulled_at is not None and now - pulled_at < NOTED_EVERY:
            return False
        found_at = self._excluded.get(principal_arn)
        return found_at is None or now - found_at >= EXCLUDED_FOR

    def note(self, pull: Pull, *, now: datetime) -> None:
        """Record the pull, together with all that wait; it is recorded when this returns. May block."""
        with self._lock:
            self._waiting[pull] = now
        with self._writing:
            with self._lock:
                pulls, self._waiting = self._waiting, {}
            # Another thread may have taken it along.
            if pulls:
                self._write(pulls)

    def _write(self, pulls: dict[Pull, datetime]) -> None:
        def write(session: Session) -> set[str]:
            # In one order everywhere, so that two processes never wait for each other.
            ordered = sorted(pulls, key=lambda pull: (pull.repository, pull.digest))
            return {
                pull.principal_arn
                for pull in ordered
                if not note_pull(
                    session, pull.repository, pull.digest, principal_arn=pull.principal_arn, now=pulls[pull]
                )
            }

        try:
            excluded = self._store.transact(write)
        except (StoreBusy, StoreUnavailable) as trouble:
            log.warning("pulls not recorded", extra={"pulls": len(pulls), "because": str(trouble)})
            return
        now = max(pulls.values())
        with self._lock:
            self._excluded.update(dict.fromkeys(excluded, now))
            while len(self._excluded) > _REMEMBERED:
                self._excluded.popitem(last=False)


def note_pull(session: Session, repository: str, digest: str, *, principal_arn: str, now: datetime) -> bool:
    """Record that the image was pulled, unless the principal's pulls are not to be recorded: False then."""
    if get_pull_exclusion(session, principal_arn) is not None:
        return False
    image = get_image(session, repository, digest)
    if image is not None and (image.pulled_at is None or image.pulled_at < now):
        image.pulled_at = now
        # In the order in which they are noted, and not in one of the session's own.
        session.flush()
    return True
