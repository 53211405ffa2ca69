"""What garbage is, when it goes, and what a dry run tells of it, on both databases."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from registry.collected import Wish
from state.blobs import unlink_blob
from state.garbage import mark_links
from state.images import Image
from state.repositories import delete_repository
from tests.support.registry import OCI_INDEX, OCI_MANIFEST, descriptor, image_of, sha256
from tests.support.registry_world import GRACE, World


def test_a_layer_that_no_image_needs_goes_after_the_grace_time(world: World) -> None:
    world.push(b"needed", tags=("1",))
    world.push_blob(b"never used")
    wish = Wish(grace=GRACE)
    assert (world.collect(wish).waiting, world.collect(wish).blobs) == (1, 0)
    world.clock.tick(hours=23)
    assert world.collect(wish).blobs == 0
    world.clock.tick(hours=2)
    done = world.collect(wish)
    assert (done.links, done.blobs, done.bytes) == (1, 1, len(b"never used"))
    assert world.kept(b"needed") and not world.kept(b"never used")
    world.check_clean()


def test_layers_of_a_deleted_image_go_and_shared_ones_stay(world: World) -> None:
    gone = world.push(b"base", b"old")
    world.push(b"base", b"new")
    world.remove(gone)
    assert world.collect().blobs == 1
    assert [world.kept(data) for data in (b"base", b"old", b"new")] == [True, False, True]


def test_blobs_of_a_deleted_repository_go_unless_another_one_shows_them(world: World) -> None:
    world.push(b"shared", b"own", repository="api")
    world.push(b"shared")
    world.store.transact(lambda session: delete_repository(session, "api"))
    assert world.collect().blobs == 1
    world.check_clean()


def test_a_layer_found_anew_is_waited_for_anew(world: World) -> None:
    wish = Wish(grace=GRACE)
    world.push_blob(b"layer")
    world.collect(wish)
    world.clock.tick(hours=25)
    world.push_blob(b"layer")
    assert world.collect(wish).blobs == 0
    world.clock.tick(hours=20)
    assert world.collect(wish).blobs == 0
    world.put(json.dumps(image_of(b"layer", config=b"layer")).encode())
    world.clock.tick(hours=20)
    assert world.collect(wish).blobs == 0
    world.check_clean()


def test_a_dry_run_tells_what_the_collector_then_does_and_changes_nothing(world: World) -> None:
    world.push(b"needed", tags=("1",))
    world.remove(world.push(b"old", b"older"))
    world.push_blob(b"loose", "api")
    world.push_blob(b"left")
    world.store.transact(lambda session: unlink_blob(session, "web", sha256(b"left")))
    for grace in (GRACE, timedelta(0)):
        foreseen = world.collect(Wish(grace=grace, dry=True))
        told = sorted(world.told)
        assert world.kept(b"old") and world.kept(b"loose", "api")
        assert world.collect(Wish(grace=grace)) == foreseen
        assert sorted(world.told) == told
    world.check_clean()


def test_untagged_images_go_only_when_asked_and_never_what_something_here_needs(world: World) -> None:
    part = world.push(b"part")
    world.put(index_of(part), tags=("list",), media=OCI_INDEX)
    tagged = world.push(b"tagged", tags=("1",))
    about = world.push(b"about", subject={**descriptor(b"x", OCI_MANIFEST), "digest": tagged})
    untagged = world.push(b"untagged")
    world.clock.tick(hours=25)
    assert world.collect(Wish(grace=GRACE)).images == 0
    assert world.collect(Wish(grace=GRACE, untagged=True, dry=True)).images == 1
    assert world.collect(Wish(grace=GRACE, untagged=True)).images == 1
    left = set(world.store.read(lambda session: session.scalars(select(Image.digest)).all()))
    assert left >= {part, tagged, about} and untagged not in left


@pytest.mark.parametrize("grace", [timedelta(0), GRACE])
def test_a_dry_run_foresees_the_layers_of_images_without_a_tag(world: World, grace: timedelta) -> None:
    world.push(b"base", b"kept", tags=("1",))
    gone = world.push(b"base", b"gone")
    world.push(b"about", subject={**descriptor(b"x", OCI_MANIFEST), "digest": gone})
    world.push(b"base", b"gone", b"also gone")
    parts = [world.push(b"part", bytes([number])) for number in range(3)]
    world.put(index_of(*parts), media=OCI_INDEX)
    # What another repository still shows, or would be freed there as well.
    world.push(b"gone", repository="api", tags=("1",))
    world.push(b"also gone", repository="api")
    stays = world.push(b"stays", b"part")
    world.put(index_of(stays), tags=("list",), media=OCI_INDEX)
    world.clock.tick(hours=25)
    young = world.push(b"young", b"part")
    # Found unused a day ago, and needed by no image since.
    world.push_blob(b"marked")
    world.store.transact(lambda session: mark_links(session, "web", [sha256(b"marked")], now=world.clock.now() - GRACE))
    foreseen = world.collect(Wish(grace=grace, untagged=True, dry=True))
    told = sorted(world.told)
    assert world.collect(Wish(grace=grace, untagged=True)) == foreseen
    assert sorted(world.told) == told
    assert foreseen.images == 8 and (foreseen.blobs if grace == timedelta(0) else foreseen.waiting) > 3
    left = set(world.store.read(lambda session: session.scalars(select(Image.digest)).all()))
    assert {stays, young} <= left and gone not in left and not left & set(parts)
    world.check()


def test_a_tagged_list_keeps_its_parts_and_what_is_about_them(world: World) -> None:
    part = world.push(b"part")
    about = world.push(b"about", subject={**descriptor(b"x", OCI_MANIFEST), "digest": part})
    held = world.put(index_of(part), media=OCI_INDEX)
    tagged = world.put(index_of(held), tags=("outer",), media=OCI_INDEX)
    world.clock.tick(hours=25)
    wish = Wish(grace=GRACE, untagged=True)
    assert world.collect(replace(wish, dry=True)).images == world.collect(wish).images == 0
    world.remove(tagged)
    assert world.collect(replace(wish, dry=True)).images == world.collect(wish).images == 3
    left = world.store.read(lambda session: session.scalars(select(Image.digest)).all())
    assert not {part, about, held} & set(left)


def index_of(*digests: str) -> bytes:
    children = [{"mediaType": OCI_MANIFEST, "digest": digest, "size": 1} for digest in digests]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children}).encode()
