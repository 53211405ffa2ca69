"""How much room repositories take, and the commands that tell and collect it, on a store that nobody else has open."""

import json
from pathlib import Path

import pytest

from kit.settings import Settings
from orchestrator.app import build_parts
from orchestrator.cli import main
from orchestrator.cli.registry_gc import shown_bytes
from registry.loops.garbage import GarbageLoop
from registry.storage.filesystem import FilesystemStorage
from state.blob_sizes import list_repository_sizes, stored_size
from state.garbage import get_collection
from state.loop import Leases
from tests.support.registry_world import World


def test_sizes_are_exact_and_blobs_are_counted_once(world: World) -> None:
    world.push(b"s" * 100, b"w" * 10, tags=("1", "2"))
    world.push(b"s" * 100, repository="api")
    world.push_blob(b"u" * 7, "api")
    world.collect()
    world.push_blob(b"u" * 7, "api")
    api, web = world.store.read(list_repository_sizes)
    assert (web.name, web.images, web.tags, web.blobs, web.bytes, web.alone, web.shared) == (
        "web",
        1,
        2,
        3,
        112,
        10,
        102,
    )
    assert (api.name, api.images, api.bytes, api.alone, api.shared) == ("api", 1, 109, 7, 102)
    assert world.store.read(lambda session: list_repository_sizes(session, "api")) == [api]
    stored = world.store.read(stored_size)
    assert (stored.blobs, stored.bytes, stored.unlinked) == (4, 119, 0)
    assert stored.bytes == sum(world.storage.size(digest) or 0 for digest, _ in world.storage.blobs())


def test_the_loop_collects_in_its_period(world: World) -> None:
    loop = GarbageLoop(
        world.store,
        world.clock,
        Leases(world.store, world.clock, "one"),
        storage=world.storage,
        settings=Settings(registry_gc_hours=6, registry_grace_hours=1),
    )
    world.push_blob(b"layer")
    loop.step()
    first = world.store.read(get_collection)
    assert first is not None and first.told["waiting"] == 1
    world.clock.tick(hours=5)
    loop.step()
    assert world.kept(b"layer")
    world.clock.tick(hours=2)
    loop.step()
    assert not world.kept(b"layer")
    world.check_clean()


def test_the_commands_work_while_berth_is_down(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    parts = build_parts(Settings(data=data))
    world = World(str(parts.store.url), data, FilesystemStorage(data / "registry"), parts.clock)
    world.push(b"needed", tags=("1",))
    loose = world.push_blob(b"loose")
    given = ["--data", str(data)]
    assert main(["registry", "gc", "--dry-run", "--grace", "0", *given]) == 0
    told = capsys.readouterr().out
    assert loose in told and "Would remove 1 blobs, 5 B" in told and world.kept(b"loose")
    assert main(["registry", "gc", *given]) == 0
    assert "within the grace time" in capsys.readouterr().out and world.kept(b"loose")
    assert main(["registry", "gc", "--grace", "0", "--json", *given]) == 0
    assert json.loads(capsys.readouterr().out)["blobs"] == 1
    assert main(["registry", "du", *given]) == 0
    assert "Stored: 2 blobs, 8 B." in capsys.readouterr().out
    assert main(["registry", "du", "web", "--json", *given]) == 0
    assert json.loads(capsys.readouterr().out)["repositories"][0]["alone"] == 8
    assert main(["registry", "du", "nope", *given]) == 1
    for nonsense in ("soon", "-1h", "1", "99999999d", "٣h", ""):
        assert main(["registry", "gc", f"--grace={nonsense}", *given]) == 1
    world.store.close()
    parts.store.close()


def test_sizes_are_shown_as_people_read_them() -> None:
    assert [shown_bytes(size) for size in (0, 1023, 1536, 5 * 1024**4)] == ["0 B", "1023 B", "1.5 KiB", "5.0 TiB"]
