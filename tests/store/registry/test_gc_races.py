"""Collecting garbage while others push, in orders that chance makes and truly at once, on both databases."""

import random
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from kit.clock import SystemClock
from registry.collected import Wish
from registry.errors import ManifestBlobUnknown, ManifestUnknown, RegistryError
from registry.storage.filesystem import FilesystemStorage
from tests.support.interrupted import Interruption, Killed, kill
from tests.support.registry import sha256
from tests.support.registry_world import AT_ONCE, World


@pytest.mark.parametrize("seed", range(4))
def test_any_order_of_pushes_mounts_deletes_collections_and_crashes_keeps_what_is_needed(
    world: World, seed: int
) -> None:
    chance = random.Random(seed)
    layers = [bytes([65 + number]) * (number + 1) for number in range(4)]
    expected: dict[tuple[str, str], bytes] = {}

    def push() -> None:
        data, repository = chance.choice(layers), chance.choice(("web", "api"))
        digest = world.push(data, repository=repository)
        expected[repository, digest] = data

    def mount() -> None:
        world.uploads().mount(
            chance.choice(("web", "api")), sha256(chance.choice(layers)), may_read=lambda session, names: True
        )

    def remove() -> None:
        if expected:
            (repository, digest), _ = key = chance.choice(sorted(expected.items()))
            world.remove(digest, repository)
            del expected[key[0]]

    def collect() -> None:
        world.collect(Wish(grace=chance.choice((timedelta(0), timedelta(minutes=1)))))

    def push_blob() -> None:
        world.push_blob(chance.choice(layers), interruption=Interruption(chance.randrange(16), chance.choice(others)))

    def collect_interrupted() -> None:
        world.collect(interruption=Interruption(chance.randrange(40), chance.choice(others)))

    def wait() -> None:
        world.clock.tick(minutes=chance.choice((1, 30)))

    others: list[Callable[[], None]] = [push, mount, remove, collect, kill, wait]
    for _ in range(60):
        try:
            chance.choice([*others, push_blob, collect_interrupted])()
        except (Killed, ManifestBlobUnknown, ManifestUnknown):
            pass
        except RegistryError as error:
            assert "is being removed" in str(error)
        world.check()
        for (repository, _), data in expected.items():
            assert world.kept(data, repository)
    world.collect_at_last()


def test_pushers_and_collectors_at_the_same_time_part_no_row_from_its_bytes(store_url: str, tmp_path: Path) -> None:
    world = World(store_url, tmp_path, FilesystemStorage(tmp_path / "registry"), SystemClock())
    layers = [f"layer {number}".encode() for number in range(3)]
    world.push(b"kept", tags=("kept",))
    troubles: list[BaseException] = []
    images: list[int] = []
    ended = threading.Event()

    def push(seed: int) -> None:
        chance = random.Random(seed)
        for number in range(25):
            repository, data = chance.choice(("web", "api")), chance.choice(layers)
            try:
                digest = world.push(data, repository=repository, annotations={"by": f"{seed} {number}"})
            except ManifestBlobUnknown:
                # Without any grace time a layer may be gone before its manifest comes.
                continue
            images.append(1)
            if chance.random() < 0.8:
                world.remove(digest, repository)

    def collect() -> None:
        while not ended.is_set():
            world.collector().collect(AT_ONCE)

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as trouble:
            troubles.append(trouble)

    pushers = [threading.Thread(target=guarded, args=(partial(push, seed),)) for seed in range(4)]
    collectors = [threading.Thread(target=guarded, args=(collect,)) for _ in range(2)]
    for thread in (*pushers, *collectors):
        thread.start()
    for thread in pushers:
        thread.join()
    ended.set()
    for thread in collectors:
        thread.join()
    assert troubles == []
    world.check()
    assert world.kept(b"kept") and images
    world.collect()
    world.check()
    world.store.close()
