"""Collecting garbage with processes killed and interrupted at every step, on both databases."""

from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import select

from kit.settings import Settings
from registry.collected import Wish
from registry.collector import BEGINS, HELD, SETTLES
from registry.errors import RegistryError
from registry.loops.garbage import GarbageLoop
from state.blobs import Blob, unlink_blob
from state.images import Image
from state.loop import Leases
from tests.support.interrupted import Interruption, Killed, kill
from tests.support.registry import sha256
from tests.support.registry_world import GRACE, World


def fill(world: World) -> set[str]:
    """Something of everything that can be garbage; the digests of images that stay."""
    stays = {world.push(b"base", b"one", tags=("1",)), world.push(b"base", repository="api", tags=("1",))}
    world.remove(world.push(b"base", b"gone"))
    world.push_blob(b"loose", "api")
    world.push_blob(b"left")
    world.store.transact(lambda session: unlink_blob(session, "web", sha256(b"left")))
    uploads = world.uploads()
    # Two pushes that were killed: one after its bytes were kept, one while they came.
    for data in (b"orphan", b"abandoned"):
        upload = uploads.begin("web")
        with world.storage.append(upload) as spool:
            spool.write(data)
        if data == b"orphan":
            world.storage.keep(upload, sha256(data))
    world.clock.tick(hours=25)
    return stays


def test_a_collector_killed_at_any_step_loses_nothing_and_leaves_nothing_for_ever(world: World) -> None:
    stays, steps = fill(world), 0
    filled = world.remember()
    while True:
        world.restore(filled)
        interruption = Interruption(steps, kill)
        with suppress(Killed):
            world.collect(interruption=interruption)
        world.check()
        left = set(world.store.read(lambda session: session.scalars(select(Image.digest)).all()))
        assert left == stays
        world.collect_at_last()
        if not interruption.happened:
            break
        steps += 1
    assert steps > 30


def test_a_push_killed_at_any_step_leaves_nothing_for_ever(world: World) -> None:
    world.push(b"base", tags=("1",))
    base, steps = world.remember(), 0
    while True:
        world.restore(base)
        interruption = Interruption(steps, kill)
        with suppress(Killed):
            world.push_blob(b"layer", interruption=interruption)
        world.check()
        world.collect_at_last()
        if not interruption.happened:
            break
        steps += 1
    assert steps > 8


@pytest.mark.parametrize(("data", "killed"), [(b"left", False), (b"left", True), (b"orphan", False), (b"gone", True)])
def test_a_push_at_any_step_of_a_collection_ends_with_its_bytes(world: World, data: bytes, killed: bool) -> None:
    """Pushed in whole between two steps of the collector, and the collector killed afterwards or not."""
    fill(world)
    filled, steps, happened = world.remember(), 0, True
    while happened:
        world.restore(filled)
        pushed: list[str] = []

        def push(pushed: list[str] = pushed) -> None:
            pushed.append(world.push(data, tags=("pushed",)))
            if killed:
                raise Killed

        interruption = Interruption(steps, push)
        # Refused where the collector stands still at a step for as long as the push is willing to wait.
        with suppress(Killed, RegistryError):
            world.collect(interruption=interruption)
        world.check()
        happened = interruption.happened
        assert not pushed or world.kept(data)
        steps += 1
    assert steps > 30


@pytest.mark.parametrize("grace", [timedelta(0), GRACE])
def test_a_collection_at_any_step_of_a_push_takes_nothing_from_it(world: World, grace: timedelta) -> None:
    fill(world)
    filled = world.remember()
    for data in (b"left", b"orphan", b"gone"):
        steps, happened = 0, True
        while happened:
            world.restore(filled)
            interruption = Interruption(steps, partial(world.collect, Wish(grace=grace)))
            world.push_blob(data, interruption=interruption)
            world.check()
            # Without any grace time the link may be gone again, but never the bytes alone.
            assert grace == timedelta(0) or world.kept(data)
            happened = interruption.happened
            steps += 1
        assert steps > 8


def test_two_collectors_in_one_another_end_as_one_alone(world: World) -> None:
    fill(world)
    filled, steps, happened = world.remember(), 0, True
    while happened:
        world.restore(filled)
        interruption = Interruption(steps, world.collect)
        world.collect(interruption=interruption)
        world.check()
        world.check_clean()
        happened = interruption.happened
        steps += 1


def condemned(world: World) -> set[str]:
    return set(
        world.store.read(lambda session: session.scalars(select(Blob.digest).where(Blob.condemned_until.is_not(None))))
    )


def die_condemning(world: World, data: bytes) -> None:
    """Kill a collector between having condemned the data and deleting them."""
    world.push_blob(data)
    world.store.transact(lambda session: unlink_blob(session, "web", sha256(data)))
    steps = 0
    while sha256(data) not in condemned(world):
        with pytest.raises(Killed):
            world.collect(interruption=Interruption(steps, kill))
        steps += 1


def test_a_push_of_what_a_dead_collector_was_removing_waits_until_nothing_of_it_is_on_its_way(world: World) -> None:
    world.push(b"base", tags=("1",))
    die_condemning(world, b"layer")
    with pytest.raises(RegistryError, match="is being removed"):
        world.push_blob(b"layer")
    world.collector().take_over()
    assert condemned(world) == {sha256(b"layer")}
    world.clock.tick(seconds=SETTLES.total_seconds() + 1)
    assert world.collector().take_over().blobs == 1
    world.push_blob(b"layer")
    world.check()
    assert world.kept(b"layer")


def test_the_loop_takes_over_from_a_dead_collector_long_before_its_next_collection(world: World) -> None:
    leases = Leases(world.store, world.clock, "one")
    settings = Settings(data=world.data)
    loop = GarbageLoop(world.store, world.clock, leases, storage=world.storage, settings=settings)
    world.push_blob(b"other")
    loop.step()
    die_condemning(world, b"layer")
    world.clock.tick(seconds=SETTLES.total_seconds() + loop.every.total_seconds())
    loop.step()
    world.push_blob(b"layer")
    assert world.kept(b"layer")


@pytest.mark.parametrize("known", [True, False])
def test_a_collector_that_may_live_is_waited_for_until_its_time_is_over(
    world: World, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.push_blob(b"layer")
    world.store.transact(lambda session: unlink_blob(session, "web", sha256(b"layer")))
    taken: list[int] = []
    if not known:
        # As of another machine.
        monkeypatch.setattr("registry.roll.Roll.is_dead", lambda roll, name: False)

    def others() -> None:
        if condemned(world):
            for wait in (SETTLES + BEGINS, HELD - SETTLES - 2 * BEGINS, BEGINS + SETTLES):
                world.clock.tick(seconds=wait.total_seconds())
                taken.append(world.collector().take_over().blobs)
        raise Killed

    steps = 0
    while not taken:
        with suppress(Killed):
            world.collect(interruption=Interruption(steps, others))
        steps += 1
    assert taken == [0, 0, 1]
    world.check()


def test_a_slow_collector_condemns_again_what_it_could_not_begin_in_time(world: World) -> None:
    for number in range(4):
        world.push_blob(bytes([number]))
        world.store.transact(partial(unlink_blob, repository="web", digest=sha256(bytes([number]))))
    delete = world.storage.delete
    until: list[set[datetime | None]] = []

    def slowly(digest: str) -> None:
        until.append(set(world.store.read(lambda session: session.scalars(select(Blob.condemned_until)).all())))
        world.clock.tick(seconds=BEGINS.total_seconds() - 1)
        delete(digest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.storage, "delete", slowly)
        assert world.collect().blobs == 4
    assert until[0] == until[1] != until[2] == until[3]
    world.check_clean()
