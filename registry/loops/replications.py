"""The replications loop: sends what pushes and backfills asked for, a few at a time, until it is there."""

import logging
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar

from kit.clock import Clock, backoff
from kit.secrets import SecretBox, Undecipherable
from registry.replication.enqueue import LOOP, enqueue_backfill
from registry.replication.rules import Destination
from registry.replication.sending import CannotSend, Peer, connect, send_image
from registry.storage import Storage
from registry.upstream import RegistryConnection
from state.loop import Leases, Loop
from state.replications import (
    COMPLETE,
    FAILED,
    PENDING,
    RUNNING,
    ReplicationPeer,
    count_results,
    drop_pending,
    get_peer,
    list_backfills,
    list_due_replications,
    next_due_replication,
    settle,
)
from state.store import Session, Store

log = logging.getLogger(__name__)
# Images looked at together, and sent side by side.
MOST = 64
SIDE_BY_SIDE = 4
FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(hours=1)
# With these pauses, about a day of trying.
MOST_ATTEMPTS = 32
# Tokens are good for twelve hours; their keys may end before.
_CONNECTED_FOR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One image for one destination, with all the tags that go there together."""

    ids: tuple[int, ...]
    repository: str
    digest: str
    tags: tuple[str, ...]
    to: Destination
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is due, and the peers for it; ``moving`` tells that a backfill is under way."""

    items: tuple[Item, ...]
    peers: Mapping[Destination, ReplicationPeer]
    moving: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How sending an item went."""

    item: Item
    trouble: CannotSend | None


class ReplicationsLoop(Loop):
    """One process at a time sends; what it was sending when it died is sent again."""

    name: ClassVar[str] = LOOP
    every = timedelta(minutes=1)

    def __init__(
        self,
        store: Store,
        clock: Clock,
        leases: Leases,
        *,
        storage: Storage,
        secrets: SecretBox,
        reach: Callable[[Peer], RegistryConnection] = connect,
    ) -> None:
        super().__init__(store, clock, leases)
        self._reach = reach
        self._storage = storage
        self._secrets = secrets
        self._connections: dict[Destination, tuple[RegistryConnection, datetime]] = {}

    def observe(self, session: Session, now: datetime) -> Seen:
        grouped: dict[tuple[str, str, Destination], list[tuple[int, str | None, int]]] = {}
        for row in list_due_replications(session, now=now, limit=MOST):
            to = Destination(region=row.region, account=row.account)
            grouped.setdefault((row.repository, row.digest, to), []).append((row.id, row.tag, row.attempts))
        items = tuple(
            Item(
                ids=tuple(each[0] for each in found),
                repository=repository,
                digest=digest,
                tags=tuple(each[1] for each in found if each[1] is not None),
                to=to,
                attempts=max(each[2] for each in found),
            )
            for (repository, digest, to), found in grouped.items()
        )
        peers = {item.to: peer for item in items if (peer := get_peer(session, item.to.region, item.to.account))}
        return Seen(items=items, peers=peers, moving=bool(list_backfills(session, statuses=RUNNING)))

    def decide(self, seen: Seen, now: datetime) -> Seen | None:
        return seen if seen.items or seen.moving else None

    def act(self, plan: Seen) -> list[Outcome]:
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            return list(pool.map(lambda item: self._send(item, plan.peers.get(item.to)), plan.items))

    def record(self, session: Session, outcome: list[Outcome], now: datetime) -> None:
        for each in outcome:
            item, trouble = each.item, each.trouble
            attempts, due_at, status = item.attempts + 1, now, COMPLETE
            if trouble is not None:
                ended = trouble.for_ever or attempts >= MOST_ATTEMPTS
                status = FAILED if ended else PENDING
                due_at = now + backoff(attempts, first=FIRST_PAUSE, most=LONGEST_PAUSE)
            failure = trouble.code if trouble is not None else None
            settle(session, item.ids, status=status, failure=failure, attempts=attempts, due_at=due_at)
        self._move_backfills(session, now)

    def next_look(self, seen: Seen, now: datetime) -> datetime | None:
        return self.store.read(next_due_replication)

    def _send(self, item: Item, peer: ReplicationPeer | None) -> Outcome:
        trouble: CannotSend | None = None
        try:
            connection = self._connect(item.to, peer)
            send_image(self.store, self._storage, connection, item.repository, item.digest, item.tags)
        except CannotSend as told:
            trouble = told
            self._connections.pop(item.to, None)
            log.warning(
                "image not replicated",
                extra={
                    "repository": item.repository,
                    "digest": item.digest,
                    "to": f"{item.to.region}/{item.to.account}",
                    "code": told.code,
                    "because": str(told),
                },
            )
        return Outcome(item=item, trouble=trouble)

    def _connect(self, to: Destination, peer: ReplicationPeer | None) -> RegistryConnection:
        if peer is None:
            raise CannotSend("DestinationNotFound", "no peer is known for it", for_ever=False)
        now = self.clock.now()
        kept = self._connections.get(to)
        if kept is not None and now - kept[1] < _CONNECTED_FOR:
            return kept[0]
        try:
            secret = self._secrets.decrypt(peer.secret)
        except Undecipherable:
            raise CannotSend("AccessDenied", "its key was sealed with another master key", for_ever=True) from None
        with tempfile.TemporaryDirectory() as folder:
            ca_file: str | None = None
            if peer.authority is not None:
                (Path(folder) / "ca.pem").write_text(peer.authority)
                ca_file = str(Path(folder) / "ca.pem")
            connection = self._reach(
                Peer(
                    endpoint=peer.endpoint,
                    region=peer.region,
                    access_key_id=peer.access_key_id,
                    secret=secret,
                    ca_file=ca_file,
                )
            )
        self._connections[to] = (connection, now)
        return connection

    def _move_backfills(self, session: Session, now: datetime) -> None:
        backfills = list_backfills(session, statuses=RUNNING)
        counts = count_results(session, [backfill.id for backfill in backfills])
        for backfill in backfills:
            match backfill.status:
                case "PREPARING":
                    backfill.total = enqueue_backfill(session, backfill, now=now)
                    backfill.status = "IN_PROGRESS" if backfill.total else "COMPLETE"
                    backfill.ended_at = None if backfill.total else now
                case "STOPPING":
                    drop_pending(session, backfill.id)
                    backfill.status, backfill.ended_at = "STOPPED", now
                case _ if not counts.get(backfill.id, {}).get(PENDING):
                    failed = counts.get(backfill.id, {}).get(FAILED, 0)
                    backfill.status, backfill.ended_at = ("FAILED" if failed else "COMPLETE"), now
                    backfill.failure = "ReplicationsFailed" if failed else None
