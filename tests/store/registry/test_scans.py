"""Scans meet imports, deletions, broken disks and storages that are not the registry's, on both databases."""

import json
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import func, select

from kit.clock import ManualClock
from kit.settings import BadSetting
from registry.images import Push, put_image, remove_image
from registry.loops.scans import MOST_ATTEMPTS, ScansLoop
from registry.manifests import read_manifest
from registry.scanning.importing import remove_osv
from registry.storage.memory import MemoryStorage
from registry.uploads import Uploads
from state.base import Base
from state.repositories import Repository
from state.scans import ImageScan, ScanFinding
from state.store import Session, Store
from tests.support.interrupted import InterruptedStorage, InterruptedStore, Interruption
from tests.support.registry import OCI_MANIFEST, image_of, sha256
from tests.support.scanning import advisory, import_advisories, scan_all, scans_loop
from tests.unit.registry.scanning.archives import DEBIAN, dpkg, layer

ACCOUNT = "123456789012"
BASH = advisory("CVE-2026-1", "bash", fixed="6")


class World:
    """A registry without a door, and what scans it."""

    def __init__(self, url: str, folder: Path) -> None:
        self.store, self.clock, self.folder = Store(url), ManualClock(), folder
        Base.metadata.create_all(self.store.engine)
        self.storage = MemoryStorage(clock=self.clock)
        row = Repository(name="web", created_at=self.clock.now(), scanning={"scanOnPush": True})
        self.store.transact(lambda session: session.add(row))
        self.digest = self.push("bash=5", "curl=8")

    def push(self, *packages: str) -> str:
        uploads = Uploads(self.store, self.storage, clock=self.clock, account=ACCOUNT)
        body = layer({"etc/os-release": DEBIAN, "var/lib/dpkg/status": dpkg(*packages)})
        for data in (b"{}", body):
            incoming = uploads.write("web", uploads.begin("web"))
            incoming.write(data)
            incoming.finish(sha256(data))
            incoming.close()
        return self.put(image_of(body))

    def put(self, manifest: dict[str, Any]) -> str:
        body = json.dumps(manifest).encode()
        push = Push(digest=sha256(body), body=body, manifest=read_manifest(body, OCI_MANIFEST), tags=["v1"])
        now = self.clock.now()
        self.store.transact(lambda session: put_image(session, "web", push, account=ACCOUNT, now=now))
        return push.digest

    def loop(self, interruption: Interruption | None = None, **given: Any) -> ScansLoop:
        if interruption is None:
            return scans_loop(self.store, self.clock, self.storage, **given)
        store = cast(Store, InterruptedStore(self.store, interruption))
        return scans_loop(store, self.clock, cast(Any, InterruptedStorage(self.storage, interruption)), **given)

    def learn(self, *advisories: Any) -> None:
        import_advisories(self.store, self.clock, self.folder, *advisories)

    def scan(self) -> None:
        scan_all(self.loop(), self.clock)

    def row(self) -> ImageScan:
        found = self.store.read(lambda session: session.get(ImageScan, ("web", self.digest)))
        assert found is not None
        return found

    def findings(self) -> list[str]:
        query = select(ScanFinding.name).order_by(ScanFinding.number)
        return list(self.store.read(lambda session: session.scalars(query).all()))

    def count(self, entity: Any) -> int:
        return int(self.store.read(lambda session: session.scalar(select(func.count()).select_from(entity))) or 0)


@pytest.fixture
def world(store_url: str, tmp_path: Path) -> Iterator[World]:
    world = World(store_url, tmp_path)
    yield world
    world.store.close()


def _from_the_beginning(session: Session, now: Any) -> None:
    for row in session.scalars(select(ImageScan)):
        row.due_at, row.inventory, row.sbom, row.completed_at, row.status = now, None, None, None, "PENDING"


def test_what_fails_is_tried_again_later_and_then_told(world: World) -> None:
    class Broken(MemoryStorage):
        def open(self, digest: str) -> Any:
            raise OSError("the disk does not answer")

    broken = Broken(clock=world.clock)
    broken.identity(world.storage.identity())
    loop = scans_loop(world.store, world.clock, broken)
    for attempt in range(1, MOST_ATTEMPTS + 1):
        loop.step()
        assert world.row().status == ("FAILED" if attempt == MOST_ATTEMPTS else "PENDING")
        loop.step()
        assert world.row().attempts in (attempt, 0)
        world.clock.tick(seconds=timedelta(minutes=10).total_seconds())
    assert "the disk does not answer" in world.row().description


def test_a_process_without_the_registrys_storage_leaves_scans_alone(world: World) -> None:
    other = MemoryStorage(clock=world.clock)
    other.identity("another")
    scan_all(scans_loop(world.store, world.clock, other), world.clock)
    assert (world.row().status, world.row().attempts) == ("PENDING", 0)


@pytest.mark.parametrize("steps", [1, 5, 8, 15, 30])
def test_an_image_deleted_meanwhile_takes_its_scan_along(world: World, steps: int) -> None:
    def remove() -> None:
        now = world.clock.now()
        world.store.transact(lambda session: remove_image(session, "web", world.digest, now=now))

    interruption = Interruption(steps, remove)
    scan_all(world.loop(interruption), world.clock)
    assert interruption.happened
    assert world.count(ImageScan) == world.count(ScanFinding) == 0


def test_an_import_during_a_scan_is_not_missed(world: World) -> None:
    # Whenever the import comes, the scan ends with what it brought.
    for steps in range(300):
        interruption = Interruption(steps, partial(world.learn, BASH))
        scan_all(world.loop(interruption), world.clock)
        # It may come after the last look, and wakes the loop.
        world.scan()
        if not interruption.happened:
            assert steps > 20
            return
        assert (world.row().status, world.findings()) == ("COMPLETE", ["CVE-2026-1"])
        remove_osv(world.store, world.clock, "osv")
        now = world.clock.now()
        world.store.transact(partial(_from_the_beginning, now=now))
        if steps:
            world.clock.tick(seconds=1)
    raise AssertionError("a scan has ever more steps")


def test_a_scanner_that_is_none_is_a_bad_setting(world: World) -> None:
    with pytest.raises(BadSetting, match="BERTH_REGISTRY_SCANNER"):
        world.loop(registry_scanner="clair")
