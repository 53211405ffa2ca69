"""Images on a real Docker Engine of the tests' own, from a registry that falls ill: what is told, and what is left."""

import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.images import CannotPull, Images
from agent.images.cleaner import Cleaner, CleanUp
from agent.images.records import RecordFile
from agent.pause import ensure_pause_image
from agent.runtime import Damaged, Hindered, Hindrance, ImageMissing, Refused
from agent.runtime.docker import DockerRuntime
from agent.tasks.pausing import PAUSE_IMAGE
from agent.tasks.spec import ContainerSpec
from kit.clock import ManualClock, SystemClock
from tests.support.engine import Engine, OwnEngine, start_second_engine
from tests.support.sick_registry import SickRegistry

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def own() -> Iterator[OwnEngine]:
    engine = start_second_engine(Path(tempfile.mkdtemp(prefix="berth-engine-")))
    try:
        engine.stop()
        # The addresses that are set aside for testing: the registry of a test speaks no TLS.
        engine.options = ("--insecure-registry=198.18.0.0/15",)
        engine.start()
        yield engine
    finally:
        engine.close()


@pytest.fixture
def registry() -> Iterator[SickRegistry]:
    registry = SickRegistry()
    yield registry
    registry.close()


@pytest.fixture
def runtime(own: OwnEngine) -> Iterator[DockerRuntime]:
    runtime = DockerRuntime(clock=SystemClock(), host=own.host)
    yield runtime
    runtime.close()


@pytest.fixture
def engine(own: OwnEngine) -> Engine:
    return Engine(client=own._clients[-1], host=own.host, run="own")


@pytest.fixture
def place(own: OwnEngine, registry: SickRegistry) -> str:
    """What images' names begin with."""
    return f"{own.gateway}:{registry.port}"


def pull(runtime: DockerRuntime, image: str) -> str | None:
    return runtime.pull(image, None, lambda: False)


def test_two_agents_that_pull_two_names_of_one_image_at_once_fetch_it_once(
    own: OwnEngine, registry: SickRegistry, place: str
) -> None:
    digest = registry.push("once/one", "1", "the same")
    assert registry.push("once/two", "1", "the same") == digest
    layer = registry.layer_of("once/one", "1")
    registry.ill.gate.clear()
    agents = [DockerRuntime(clock=SystemClock(), host=own.host) for _ in range(4)]
    told: list[str | None] = []
    names = (f"{place}/once/one:1", f"{place}/once/two:1", f"{place}/once/one:1", f"{place}/once/two@{digest}")
    threads = [
        threading.Thread(target=lambda agent=agent, name=name: told.append(pull(agent, name)))
        for agent, name in zip(agents, names, strict=True)
    ]
    for thread in threads:
        thread.start()
    registry.await_asked(layer, 1)
    # Each of the four has asked for its manifest, so none comes late.
    registry.await_asked("manifest", len(names))
    registry.ill.gate.set()
    for thread in threads:
        thread.join(60)
    assert told == [digest] * 4
    assert registry.asked[layer] == 1
    assert len({agents[0].image(name).id for name in names}) == 1
    for agent in agents:
        agent.close()


@pytest.mark.parametrize(
    ("status", "code", "message", "hindrance"),
    [
        (500, "UNKNOWN", "boom", Hindrance.ILL),
        (502, "UNKNOWN", "bad gateway", Hindrance.ILL),
        (503, "UNAVAILABLE", "starting", Hindrance.ILL),
        (429, "TOOMANYREQUESTS", "Rate exceeded", Hindrance.ILL),
        (401, "UNAUTHORIZED", "authentication required", Hindrance.LOGIN),
        (403, "DENIED", "Your authorization token has expired. Reauthenticate and try again.", Hindrance.LOGIN),
        (403, "DENIED", "requested access to the resource is denied", None),
        (404, "MANIFEST_UNKNOWN", "manifest unknown", None),
        (404, "NAME_UNKNOWN", "repository name not known to registry", None),
    ],
)
def test_what_a_registry_says_is_told_as_passing_or_not(
    runtime: DockerRuntime,
    registry: SickRegistry,
    place: str,
    status: int,
    code: str,
    message: str,
    hindrance: Hindrance | None,
) -> None:
    registry.push("said", "1", message)
    registry.say("manifest", status, code, message, times=20)
    with pytest.raises((Hindered, Refused)) as failed:
        pull(runtime, f"{place}/said:1")
    assert str(failed.value).startswith("Error response from daemon: ")
    assert getattr(failed.value, "hindrance", None) is hindrance


def test_a_registry_that_is_not_there_may_come_back_and_a_bad_name_never_gets_better(
    runtime: DockerRuntime, own: OwnEngine
) -> None:
    with pytest.raises(Hindered, match="connection refused"):
        pull(runtime, f"{own.gateway}:9/away:1")
    with pytest.raises(Refused, match="invalid reference format"):
        pull(runtime, "Bad/NAME:1")


def test_a_layer_that_is_corrupt_on_the_wire_leaves_nothing_and_the_next_attempt_mends_it(
    runtime: DockerRuntime, registry: SickRegistry, place: str
) -> None:
    digest = registry.push("wire", "1", "corrupt")
    registry.ill.corrupt.add(registry.layer_of("wire", "1"))
    with pytest.raises(Hindered, match="filesystem layer verification failed for digest") as failed:
        pull(runtime, f"{place}/wire:1")
    assert failed.value.hindrance is Hindrance.ILL
    assert not runtime.has_image(f"{place}/wire:1")
    registry.ill.corrupt.clear()
    assert pull(runtime, f"{place}/wire:1") == digest


def test_a_manifest_of_another_digest_is_refused_and_leaves_nothing(
    runtime: DockerRuntime, registry: SickRegistry, place: str
) -> None:
    asked = registry.push("lie", "1", "asked for")
    told = registry.push("lie", "2", "told instead")
    registry.ill.lying[asked] = told
    with pytest.raises(Refused, match="manifest verification failed for digest"):
        pull(runtime, f"{place}/lie@{asked}")
    for name in (f"{place}/lie@{asked}", f"{place}/lie@{told}"):
        assert not runtime.has_image(name)


def house(runtime: DockerRuntime, data: Path, clock: ManualClock) -> tuple[Images, RecordFile]:
    records = RecordFile(data / "images.json")
    return Images(runtime=runtime, clock=clock, records=records), records


def bring(images: Images, name: str) -> None:
    images.pull(ContainerSpec(name="c", image=name), name, lambda: False)


def test_only_what_the_agent_pulled_and_nobody_uses_is_cleaned_away(
    runtime: DockerRuntime, engine: Engine, registry: SickRegistry, place: str, tmp_path: Path
) -> None:
    clock = ManualClock()
    images, records = house(runtime, tmp_path, clock)
    for number, name in enumerate(("byhand", "running", "made", "named", "unused")):
        registry.push(name, "1", f"content {number}", runnable=name in ("running", "made"))
    registry.push("moved", "1", "before")
    ensure_pause_image(runtime, runtime.info().architecture)
    pull(runtime, f"{place}/byhand:1")
    for name in ("byhand", "running", "made", "named", "unused", "moved"):
        bring(images, f"{place}/{name}:1")
    before = runtime.image(f"{place}/moved:1").id
    registry.push("moved", "1", "after")
    bring(images, f"{place}/moved:1")
    digest = registry.push("digest", "1", "by its digest")
    bring(images, f"{place}/digest@{digest}")
    engine.client.api.tag(f"{place}/named:1", "mine", "kept")
    made = [runtime.create(name, {"Image": f"{place}/{name}:1"}) for name in ("running", "made")]
    runtime.start(made[0])
    full = {"percent": 50.0}
    cleaner = Cleaner(
        runtime=runtime,
        images=images,
        records=records,
        rules=CleanUp(most=50),
        clock=clock,
        steady=clock,
        disk=lambda: full["percent"],
    )
    cleaner.look()
    clock.tick(hours=2)
    cleaner.look()
    for name in ("byhand", "running", "made"):
        assert runtime.has_image(f"{place}/{name}:1")
    for name in (f"{place}/named:1", f"{place}/unused:1", f"{place}/moved:1", f"{place}/digest@{digest}", before):
        with pytest.raises(ImageMissing):
            runtime.image(name)
    assert runtime.has_image("mine:kept")
    assert runtime.has_image(PAUSE_IMAGE)
    for container in made:
        runtime.remove(container)
    full["percent"] = 99.0
    clock.tick(minutes=2)
    cleaner.look()
    assert not runtime.has_image(f"{place}/running:1")
    assert not runtime.has_image(f"{place}/made:1")
    assert runtime.has_image(f"{place}/byhand:1")
    assert records.list() == []


def test_a_copy_that_is_damaged_on_the_disk_is_told_so_and_an_agents_own_is_pulled_anew(
    runtime: DockerRuntime, engine: Engine, registry: SickRegistry, place: str, tmp_path: Path
) -> None:
    images, _ = house(runtime, tmp_path, ManualClock())
    image = f"{place}/damaged:1"
    registry.push("damaged", "1", "on the disk", runnable=True)
    bring(images, image)
    layers = engine.client.api.inspect_image(image)["GraphDriver"]["Data"]
    shutil.rmtree(Path(layers["UpperDir"]).parent)
    with pytest.raises(Damaged):
        runtime.create("damaged", {"Image": image, "Cmd": ["sleep", "60"]})
    # As far as the engine knows it has all of it: a pull alone would mend nothing.
    pull(runtime, image)
    with pytest.raises(Damaged):
        runtime.image(image)
    bring(images, image)
    runtime.start(runtime.create("damaged", {"Image": image, "Cmd": ["sleep", "60"]}))
    runtime.remove("damaged")
    runtime.remove_image(image)


def test_a_damaged_copy_that_somebody_else_brought_stays(
    runtime: DockerRuntime, engine: Engine, registry: SickRegistry, place: str, tmp_path: Path
) -> None:
    images, records = house(runtime, tmp_path, ManualClock())
    image = f"{place}/theirs:1"
    registry.push("theirs", "1", "of somebody else")
    pull(runtime, image)
    shutil.rmtree(Path(engine.client.api.inspect_image(image)["GraphDriver"]["Data"]["UpperDir"]).parent)
    bring(images, image)
    assert not images.discard(image)
    assert records.list() == []
    with pytest.raises(Damaged):
        runtime.create("theirs", {"Image": image})
    runtime.remove_image(image)


def test_a_mount_that_fails_is_no_damage_of_the_image(
    runtime: DockerRuntime, registry: SickRegistry, place: str, tmp_path: Path
) -> None:
    registry.push("mount", "1", "mount", runnable=True)
    pull(runtime, f"{place}/mount:1")
    (tmp_path / "file").write_text("")
    binds = [f"{tmp_path / 'file'}:/bin"]
    made = runtime.create("mount", {"Image": f"{place}/mount:1", "HostConfig": {"Binds": binds}})
    with pytest.raises(Refused) as failed:
        runtime.start(made)
    assert not isinstance(failed.value, Damaged)
    runtime.remove(made)


def test_a_reason_counts_the_attempts(runtime: DockerRuntime, registry: SickRegistry, place: str) -> None:
    clock = ManualClock()
    clock.wait = lambda event, timeout: event.is_set()  # type: ignore[method-assign]
    registry.push("ill", "1", "ill")
    registry.say("manifest", 503, "UNAVAILABLE", "starting", times=40)
    with pytest.raises(CannotPull) as failed:
        bring(Images(runtime=runtime, clock=clock), f"{place}/ill:1")
    assert str(failed.value) == (
        "image pull has been retried 5 time(s): Error response from daemon: "
        "received unexpected HTTP status: 503 Service Unavailable"
    )
