"""Scans of several processes, claims and bundles side by side, and what goes with an image, on both databases."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, func, select

from kit.clock import ManualClock
from kit.settings import Settings
from registry.images import Push, put_image
from registry.lifecycle.sight import look
from registry.loops.scans import HELD_FOR, ScansLoop
from registry.manifests import read_manifest
from registry.scanning.findings import Knowledge
from registry.storage import Storage
from registry.storage.memory import MemoryStorage
from registry.uploads import Uploads
from state.base import Base
from state.images import Image, tags_of
from state.registry_events import list_registry_events
from state.repositories import Repository
from state.scans import ImageScan, ask_for_scan, get_scan, list_findings
from state.store import Store
from tests.support.interrupted import Killed, kill
from tests.support.registry import OCI_MANIFEST, image_of, sha256
from tests.support.scanning import advisory, import_advisories
from tests.unit.registry.scanning.archives import DEBIAN, dpkg, layer

ACCOUNT = "123456789012"
BASH = layer({"etc/os-release": DEBIAN, "var/lib/dpkg/status": dpkg("bash=5.2.15-2")})


class World:
    """A registry without a door whose images are scanned by any number of processes."""

    def __init__(self, url: str, folder: Path) -> None:
        self.folder = folder
        self.store = Store(url)
        Base.metadata.create_all(self.store.engine)
        self.clock = ManualClock()
        self.storage: Storage = MemoryStorage(clock=self.clock)
        self.uploads = Uploads(self.store, self.storage, clock=self.clock, account=ACCOUNT)
        row = {"name": "web", "scanning": {"scanOnPush": True}, "created_at": self.clock.now()}
        self.store.transact(lambda session: session.add(Repository(**row)))

    def push(self, tag: str = "1", blob: bytes = BASH) -> str:
        for data in (b"{}", blob):
            upload = self.uploads.begin("web")
            incoming = self.uploads.write("web", upload)
            incoming.write(data)
            incoming.finish(sha256(data))
            incoming.close()
        body = json.dumps(image_of(blob)).encode()
        push = Push(digest=sha256(body), body=body, manifest=read_manifest(body, OCI_MANIFEST), tags=[tag])
        now = self.clock.now()
        self.store.transact(lambda session: put_image(session, "web", push, account=ACCOUNT, now=now))
        return push.digest

    def learn(self, *advisories: Any, name: str = "osv") -> None:
        import_advisories(self.store, self.clock, self.folder, *advisories, name=name)

    def loop(self, **given: Any) -> ScansLoop:
        settings = Settings(account=ACCOUNT, registry_scanner="trivy" if "ask" in given else "")
        return ScansLoop(self.store, self.clock, storage=self.storage, settings=settings, **given)

    def scan_to_the_end(self, **given: Any) -> None:
        """Step, and let time pass while something is still to come."""
        loop = self.loop(**given)
        for _ in range(200):
            due = loop.step()
            if due is None:
                return
            self.clock.tick(seconds=max(0.0, (due - self.clock.now()).total_seconds()))
        raise AssertionError("there is always more to scan")

    def scan(self, digest: str) -> ImageScan:
        found = self.store.read(lambda session: get_scan(session, "web", digest))
        assert found is not None
        return found

    def names(self, digest: str) -> list[str]:
        return [row.name for row in self.store.read(lambda session: list_findings(session, "web", digest))]

    def events(self) -> int:
        told = self.store.read(lambda session: list_registry_events(session))
        return sum(event.detail_type == "ECR Image Scan" for event in told)

    def count(self, table: type[Base]) -> int:
        return self.store.read(lambda session: session.scalar(select(func.count()).select_from(table))) or 0


@pytest.fixture
def world(store_url: str, tmp_path: Path) -> Iterator[World]:
    world = World(store_url, tmp_path)
    yield world
    world.store.close()


def test_a_claim_runs_out_a_minute_after_its_holder_was_heard_of(world: World) -> None:
    digest = world.push()
    with pytest.raises(Killed):
        world.loop(ask=lambda *given, **named: kill()).step()
    assert world.loop().step() == world.clock.now() + HELD_FOR
    assert world.scan(digest).status == "PENDING"
    world.clock.tick(seconds=HELD_FOR.total_seconds())
    world.scan_to_the_end()
    assert world.scan(digest).status == "FINDINGS_UNAVAILABLE"


def test_a_long_scan_keeps_its_claim(world: World) -> None:
    world.push()
    others = []

    def slow(*given: Any, alive: Any, **named: Any) -> Knowledge:
        for _ in range(10):
            world.clock.tick(seconds=30)
            alive()
            others.append(world.loop().step())
        return Knowledge(findings=(), source="trivy", fresh_at=world.clock.now())

    world.loop(ask=slow).step()
    # All that others found was when to look again.
    assert all(other is not None and other > world.clock.now() - timedelta(minutes=5) for other in others)
    assert world.events() == 1


def test_many_processes_scan_every_image_once(world: World) -> None:
    world.learn(advisory("CVE-2026-1", "bash", fixed="6"))
    digests = [
        world.push(str(number), layer({"etc/os-release": DEBIAN, "var/lib/dpkg/status": dpkg(f"bash=5.{number}")}))
        for number in range(12)
    ]

    def work(_: int) -> None:
        loop = world.loop()
        while loop.step() is not None:
            pass

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert {world.scan(digest).status for digest in digests} == {"COMPLETE"}
    assert world.events() == len(digests)


def test_a_scan_asked_for_while_one_goes_on_is_done_after_it(world: World) -> None:
    digest = world.push()

    def again(*given: Any, **named: Any) -> Knowledge:
        world.clock.tick(seconds=1)
        now = world.clock.now()
        world.store.transact(lambda session: ask_for_scan(session, "web", digest, "BASIC", now=now))
        return Knowledge(findings=(), source="trivy", fresh_at=now)

    world.loop(ask=again).step()
    assert world.scan(digest).due_at is not None
    world.scan_to_the_end()
    assert world.scan(digest).due_at is None
    assert world.events() == 2


def test_bundles_of_several_names_are_used_together(world: World) -> None:
    world.learn(advisory("CVE-2026-1", "bash", fixed="6"), name="one")
    world.learn(advisory("CVE-2026-2", "bash", fixed="6"), name="two")
    digest = world.push()
    world.scan_to_the_end()
    assert world.names(digest) == ["CVE-2026-1", "CVE-2026-2"]


def test_a_bill_of_materials_is_no_image_to_a_lifecycle_policy(world: World) -> None:
    digests = {world.push(str(number), layer({"etc/os-release": DEBIAN, str(number): b""})) for number in range(3)}
    world.scan_to_the_end()
    assert world.count(Image) == 6
    seen = world.store.read(lambda session: look(session, "web", uses={}))
    assert {image.digest for image in seen} == digests


def test_a_repository_that_goes_takes_its_scans_along(world: World) -> None:
    digest = world.push()
    assert world.store.read(partial(tags_of, repository="web", digests=[digest])) == {digest: ["1"]}
    world.scan_to_the_end()
    world.store.transact(lambda session: session.execute(delete(Repository)))
    assert world.count(ImageScan) == 0
    assert world.loop().step() is None
