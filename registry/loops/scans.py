"""The scans loop: takes the scan that has waited longest, does it, and looks again.

Scans take minutes, and several processes may scan at the same time, so each is held by a claim of its own and not by
the loop's lease. A claim is counted before the work begins: an image that ends the process is tried three times and
then given up. Claims run out a minute after whoever held them last was heard of, and another then takes the scan.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from kit.clock import Clock, backoff
from kit.ids import new_id
from kit.settings import Settings
from registry.errors import NotAtHome, RegistryError
from registry.events import note_scan
from registry.home import Home
from registry.scanning.findings import Knowledge, match_inventory
from registry.scanning.images import put_sbom, put_sbom_blobs, read_layers, sbom_of
from registry.scanning.limits import LIMITS, Limits, Unscannable, Unsupported
from registry.scanning.packages import Inventory, read_inventory
from registry.scanning.scanners import ScannerFailed, ask_scanner, scanner_of
from registry.scanning.severities import count
from registry.storage import Storage, StorageError
from registry.uploads import Uploads
from state.images import Image, get_image, tags_of
from state.repositories import lock_repository
from state.scans import (
    ImageScan,
    claim_scan,
    get_claimed,
    hold_scan,
    list_findings,
    next_claim_end,
    next_scan,
    put_findings,
)
from state.store import Session, Store
from state.vulnerabilities import forget_bundles, unused_bundle

log = logging.getLogger(__name__)
MOST_ATTEMPTS = 3
HELD_FOR = timedelta(seconds=60)
_HELD_AGAIN_AFTER = timedelta(seconds=20)
_AGAIN_AFTER = timedelta(seconds=30)
_AGAIN_AT_MOST = timedelta(minutes=10)
# Nobody imports for so long without writing anything.
_ABANDONED_AFTER = timedelta(hours=6)
_BITE = 2000
_LONGEST_DESCRIPTION = 1000


class ClaimLost(Exception):
    """Somebody else has the scan, or the image is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """A scan under a claim, as it was when it was claimed."""

    claim: str
    scan: ImageScan
    due_at: datetime


class ScansLoop:
    """Matches against the bundles that operators import or, where the settings name one, asks another scanner."""

    name: ClassVar[str] = "scans"
    every = timedelta(seconds=10)

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        storage: Storage,
        settings: Settings,
        limits: Limits = LIMITS,
        ask: Callable[..., Knowledge] = ask_scanner,
    ) -> None:
        self._store = store
        self._clock = clock
        self._storage = storage
        self._account = settings.account
        # Another process may be the one with the registry's storage.
        self._home = Home(store, storage, founds=False)
        self._uploads = Uploads(store, storage, clock=clock, account=settings.account, home=self._home)
        self._scanner = scanner_of(settings.registry_scanner)
        self._limits = limits
        self._ask = ask

    def step(self) -> datetime | None:
        """Do at most one scan, and delete a bite of what bundles left."""
        now = self._clock.now()
        long_ago = now - _ABANDONED_AFTER

        def look(session: Session) -> tuple[ImageScan | None, datetime | None, bool]:
            unused = unused_bundle(session, abandoned_before=long_ago) is not None
            return next_scan(session, now=now), next_claim_end(session), unused

        scan, claim_end, unused = self._store.read(look)
        held = self._claim(scan) if scan is not None and self._is_at_home() else None
        if held is not None:
            self._do(held)
            return self._clock.now()
        if unused:
            self._store.transact(lambda session: forget_bundles(session, abandoned_before=long_ago, limit=_BITE))
            return now
        return claim_end

    def _is_at_home(self) -> bool:
        try:
            self._home.check()
        except NotAtHome:
            return False
        return True

    def _claim(self, scan: ImageScan) -> _Held | None:
        claim, now = new_id(), self._clock.now()

        def take(session: Session) -> ImageScan | None:
            return claim_scan(session, scan.repository, scan.digest, claim, now=now, until=now + HELD_FOR)

        held = self._store.transact(take)
        if held is None or held.due_at is None:
            return None
        return _Held(claim=claim, scan=held, due_at=held.due_at)

    def _do(self, held: _Held) -> None:
        scan = held.scan
        if scan.attempts > MOST_ATTEMPTS:
            self._end(held, "FAILED", f"The scan was given up: it did not end in {MOST_ATTEMPTS} attempts.")
            return
        try:
            inventory = self._inventory(held)
            knowledge = self._know(held, inventory)
        except ClaimLost:
            return
        except Unscannable as refused:
            self._end(held, refused.status, str(refused))
        except (RegistryError, StorageError, ScannerFailed, OSError) as trouble:
            self._put_off(held, str(trouble) or type(trouble).__name__)
        else:
            self._complete(held, inventory, knowledge)

    def _inventory(self, held: _Held) -> Inventory:
        """What is kept of an earlier scan or, after the layers have been read, will be kept."""
        scan = held.scan
        image = self._store.read(lambda session: get_image(session, scan.repository, scan.digest, body=True))
        if image is None:
            raise ClaimLost
        if image.status != "ACTIVE":
            raise _Archived("The image is archived; restore it to have it scanned.")
        known = read_inventory(scan.inventory)
        if known is not None and scan.sbom is not None:
            return known
        inventory = known or read_layers(self._storage, image, self._limits, self._holder(held))
        body = sbom_of(inventory, image)
        put_sbom_blobs(self._uploads, image.repository, body)
        self._store.transact(lambda session: self._keep(session, held, image, inventory, body))
        return inventory

    def _keep(self, session: Session, held: _Held, image: Image, inventory: Inventory, body: bytes) -> None:
        # In the order in which a push takes them.
        lock_repository(session, image.repository)
        scan = get_claimed(session, image.repository, image.digest, held.claim)
        if scan is None:
            raise ClaimLost
        scan.sbom = put_sbom(session, image, body, account=self._account, now=self._clock.now())
        scan.inventory = inventory.document()

    def _know(self, held: _Held, inventory: Inventory) -> Knowledge:
        if self._scanner is None:
            return self._store.read(lambda session: match_inventory(session, inventory))
        image = self._store.read(lambda session: get_image(session, held.scan.repository, held.scan.digest))
        if image is None:
            raise ClaimLost
        return self._ask(self._scanner, sbom_of(inventory, image), now=self._clock.now(), alive=self._holder(held))

    def _holder(self, held: _Held) -> Callable[[], None]:
        """What keeps the claim, called while the work goes on; raises ClaimLost."""
        renewed_at = self._clock.now()

        def hold() -> None:
            nonlocal renewed_at
            now = self._clock.now()
            if now - renewed_at < _HELD_AGAIN_AFTER:
                return
            renewed_at, scan = now, held.scan

            def renew(session: Session) -> bool:
                return hold_scan(session, scan.repository, scan.digest, held.claim, until=now + HELD_FOR)

            if not self._store.transact(renew):
                raise ClaimLost

        return hold

    def _complete(self, held: _Held, inventory: Inventory, knowledge: Knowledge) -> None:
        told = []
        if knowledge.lacking:
            lacking = ", ".join(f"{world} ({number})" for world, number in sorted(knowledge.lacking.items()))
            told.append(f"Nothing is known of the packages of: {lacking}.")
        if inventory.notes:
            told.append(f"Not read: {'; '.join(inventory.notes)}.")
        if not knowledge.told:
            told.append("Import advisories with: berth registry osv import FILE")
        self._end(held, "COMPLETE" if knowledge.told else "FINDINGS_UNAVAILABLE", " ".join(told), knowledge)

    def _end(self, held: _Held, status: str, description: str, knowledge: Knowledge | None = None) -> None:
        """Record how the scan ended, with its findings and its event, unless the claim was lost."""

        def write(session: Session) -> None:
            scan = get_claimed(session, held.scan.repository, held.scan.digest, held.claim)
            if scan is None:
                return
            now = self._clock.now()
            findings = knowledge.findings if knowledge is not None else ()
            counts = count(finding.severity for finding in findings)
            put_findings(session, scan, self._rows(session, scan, findings, now))
            scan.status, scan.description, scan.counts = status, description[:_LONGEST_DESCRIPTION], counts
            scan.completed_at = now
            scan.knowledge = knowledge.source if knowledge is not None else ""
            scan.knowledge_at = knowledge.fresh_at if knowledge is not None else None
            scan.claim, scan.claimed_until, scan.attempts = None, None, 0
            if scan.due_at == held.due_at:
                scan.due_at = None
            tags = tags_of(session, scan.repository, [scan.digest]).get(scan.digest, [])
            note_scan(session, scan.repository, scan.digest, tags, status=status, counts=counts, now=now)

        self._store.transact(write)
        log.info(
            "image scanned",
            extra={
                "repository": held.scan.repository,
                "digest": held.scan.digest,
                "status": status,
                "because": description[:300],
                "findings": len(knowledge.findings) if knowledge is not None else 0,
            },
        )

    @staticmethod
    def _rows(session: Session, scan: ImageScan, findings: Any, now: datetime) -> list[dict[str, Any]]:
        """The findings as rows; one that was there before keeps the instant at which it was first seen."""
        before = {
            (row.name, row.document["package"], row.document["version"]): row.first_seen_at
            for row in list_findings(session, scan.repository, scan.digest)
        }
        return [
            {
                "name": finding.name,
                "severity": finding.severity,
                "document": finding.document(),
                "first_seen_at": before.get((finding.name, finding.package, finding.version), now),
            }
            for finding in findings
        ]

    def _put_off(self, held: _Held, because: str) -> None:
        """Try again later, or give up after the last attempt."""
        attempts = held.scan.attempts
        log.warning(
            "scan failed",
            extra={
                "repository": held.scan.repository,
                "digest": held.scan.digest,
                "because": because,
                "attempt": attempts,
            },
        )
        if attempts >= MOST_ATTEMPTS:
            self._end(held, "FAILED", f"The scan failed {attempts} times: {because}.")
            return

        def let_go(session: Session) -> None:
            scan = get_claimed(session, held.scan.repository, held.scan.digest, held.claim)
            if scan is not None:
                pause = backoff(attempts, first=_AGAIN_AFTER, most=_AGAIN_AT_MOST)
                scan.claim, scan.claimed_until = None, self._clock.now() + pause

        self._store.transact(let_go)


class _Archived(Unsupported):
    """The image is archived."""

    status = "IMAGE_ARCHIVED"
