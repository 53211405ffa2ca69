"""Reading blobs again: damage is found, named with what it hurts, remembered, and forgotten once it is healed."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from kit.settings import Settings
from orchestrator.cli.status import count_damaged
from registry.loops.scrub import ScrubLoop
from registry.scrub import scrub
from registry.storage.filesystem import FilesystemStorage
from registry.storage.memory import MemoryStorage
from state.loop import Leases
from state.scrubs import count_faults, get_scrub_place, list_hurt, note_faults
from tests.support.registry import sha256
from tests.support.registry_world import World


class Rotting(MemoryStorage):
    """Keeps blobs, of which those in ``rotten`` are read differently from how they came."""

    rotten: dict[str, bytes] = {}

    def open(self, digest: str) -> BytesIO:
        return BytesIO(self.rotten.get(digest, super().open(digest).read()))


@pytest.fixture
def world(store_url: str, tmp_path: Path) -> Iterator[World]:
    world = World(store_url, tmp_path, Rotting())
    world.storage.rotten = {}  # type: ignore[attr-defined]
    yield world
    world.store.close()


def damage(world: World, data: bytes) -> None:
    world.storage.rotten[sha256(data)] = b"?" * len(data)  # type: ignore[attr-defined]


def test_a_scrub_names_corrupt_and_missing_blobs_and_the_images_they_hurt(world: World) -> None:
    first = world.push(b"bad", tags=("1", "2"))
    world.push(b"well", repository="api")
    world.push_blob(b"lost")
    damage(world, b"bad")
    world.storage.delete(sha256(b"lost"))
    checked = list(scrub(world.store, world.storage, world.clock))
    assert {each.digest: each.fault for each in checked if each.fault} == {
        sha256(b"bad"): "corrupt",
        sha256(b"lost"): "missing",
    }
    assert len(checked) == 4
    hurt = {each.digest: each for each in world.store.read(list_hurt)}
    assert (hurt[sha256(b"bad")].image, hurt[sha256(b"bad")].tags) == (first, ("1", "2"))
    assert hurt[sha256(b"lost")].repository is None


def test_what_is_healed_or_collected_is_no_longer_damaged(world: World) -> None:
    world.push(b"bad", tags=("1",))
    world.push_blob(b"loose")
    for data in (b"bad", b"loose"):
        damage(world, data)
    list(scrub(world.store, world.storage, world.clock))
    assert world.store.read(count_faults) == 2
    world.collect()
    assert world.store.read(count_faults) == 1
    world.storage.rotten.clear()  # type: ignore[attr-defined]
    list(scrub(world.store, world.storage, world.clock))
    assert world.store.read(count_faults) == 0


def test_a_damaged_layer_is_healed_by_pushing_it_again(store_url: str, tmp_path: Path) -> None:
    world = World(store_url, tmp_path, FilesystemStorage(tmp_path / "registry"))
    digest = sha256(b"bad")
    world.push(b"bad", tags=("1",))
    for path in (tmp_path / "registry").rglob(digest.removeprefix("sha256:")):
        path.write_bytes(b"???")
    assert [each.fault for each in scrub(world.store, world.storage, world.clock)].count("corrupt") == 1
    world.push_blob(b"bad")
    assert world.store.read(count_faults) == 0
    with world.storage.open(digest) as file:
        assert file.read() == b"bad"
    world.check()
    world.store.close()


def make_loop(world: World, rate: int = 1) -> ScrubLoop:
    leases = Leases(world.store, world.clock, "one")
    return ScrubLoop(
        world.store, world.clock, leases, storage=world.storage, settings=Settings(registry_scrub_rate=rate)
    )


def test_the_loop_reads_a_bounded_share_at_a_time_and_a_new_process_carries_on(world: World) -> None:
    layers = [bytes([number]) * (4 * 1024 * 1024) for number in range(4)]
    world.push(*layers, tags=("1",))
    damage(world, layers[3])
    places, steps = [], 0
    loop = make_loop(world)
    while (place := world.store.read(get_scrub_place)) is None or place.ended_at is None:
        loop.step()
        steps += 1
        if steps == 2:
            loop = make_loop(world)
        found = world.store.read(get_scrub_place)
        places.append(found.after if found is not None else "")
        assert steps < 20
    # Sixteen MiB at five in a step.
    assert steps >= 4 and sorted(places[:-1]) == places[:-1]
    assert world.store.read(count_faults) == 1
    due = loop.step()
    assert due is not None and (due - world.clock.now()).days >= 6


def test_a_rate_of_nothing_reads_nothing(world: World) -> None:
    world.push(b"layer", tags=("1",))
    assert make_loop(world, 0).step() is None
    assert world.store.read(get_scrub_place) is None


def test_the_status_knows_of_damaged_blobs(world: World, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, store_url=world.store.url.render_as_string(hide_password=False))
    assert count_damaged(settings) == 0
    kept = world.push_blob(b"layer")
    world.store.transact(lambda session: note_faults(session, {kept: "missing"}, now=world.clock.now()))
    assert count_damaged(settings) == 1
    assert count_damaged(Settings(data=tmp_path / "elsewhere")) == 0
    assert not (tmp_path / "elsewhere").exists()
