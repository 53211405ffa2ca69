"""Claims at work: one process at a time fetches a thing, and whoever waits for it looks again and again.

Nobody waits in a transaction. A process that dies leaves claims that run out within seconds.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

from kit.clock import Clock, backoff, monotonic
from kit.ids import new_uuid
from registry.errors import Unavailable
from state.store import Session, Store, StoreBusy, StoreUnavailable
from state.upstream_claims import claim_upstream, is_claimed, release_claims, renew_claims

log = logging.getLogger(__name__)
LASTS = timedelta(seconds=15)
_RENEWED_EVERY = 4.0
_FIRST_PAUSE = timedelta(milliseconds=20)
_LONGEST_PAUSE = timedelta(milliseconds=500)
# Longer than the largest layer may take.
_PATIENCE = 2 * 3600.0


class Claims:
    """The claims of one process. Any thread may hold some; a key is held once, here as elsewhere."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._holder = new_uuid()
        self._held: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self._keeper: threading.Thread | None = None

    @contextmanager
    def hold(self, repository: str, reference: str) -> Iterator[None]:
        """Have the claim while the block runs, after waiting for whoever has it; raises Unavailable."""
        self._wait(repository, reference)
        try:
            yield
        finally:
            try:
                self._store.transact(lambda session: release_claims(session, repository, [reference], self._holder))
            except (StoreBusy, StoreUnavailable) as trouble:
                # It runs out by itself.
                log.warning("claim not given back", extra={"repository": repository, "because": str(trouble)})
            finally:
                with self._lock:
                    self._held.discard((repository, reference))

    def _wait(self, repository: str, reference: str) -> None:
        ends_at, attempt = monotonic() + _PATIENCE, 0
        while not self._take(repository, reference):
            attempt += 1
            if monotonic() > ends_at:
                raise Unavailable(f"'{reference}' of {repository} is being fetched for too long")
            pause = backoff(attempt, first=_FIRST_PAUSE, most=_LONGEST_PAUSE)
            threading.Event().wait(pause.total_seconds())

    def _take(self, repository: str, reference: str) -> bool:
        key, now = (repository, reference), self._clock.now()

        def claim(session: Session) -> bool:
            return claim_upstream(session, repository, reference, self._holder, now=now, until=now + LASTS)

        with self._lock:
            if key in self._held:
                return False
            self._held.add(key)
        taken = False
        try:
            # Looking is cheaper than trying to write.
            if not self._store.read(lambda session: is_claimed(session, repository, reference, now=now)):
                taken = self._store.transact(claim)
        finally:
            with self._lock:
                if not taken:
                    self._held.discard(key)
                elif self._keeper is None:
                    self._keeper = threading.Thread(target=self._keep, name="upstream-claims", daemon=True)
                    self._keeper.start()
        return taken

    def _keep(self) -> None:
        """Renew what is held, until nothing is."""
        while True:
            threading.Event().wait(_RENEWED_EVERY)
            with self._lock:
                if not self._held:
                    self._keeper = None
                    return
            try:
                self._store.transact(partial(renew_claims, holder=self._holder, until=self._clock.now() + LASTS))
            except Exception as trouble:
                log.warning("claims not renewed", extra={"because": str(trouble)})
