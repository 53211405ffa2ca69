"""Cleaning up images: what goes, in which order and when, and what never goes."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from agent.images import CannotPull, Images, PullBehavior
from agent.images.cleaner import Cleaner, CleanUp
from agent.images.records import RecordFile
from agent.pause import ensure_pause_image
from agent.runtime import Hindered, Hindrance, Refused, Temporary
from agent.runtime.simulated import Program, SimulatedRuntime
from agent.settings import BadSettings, build_parser, read_settings
from agent.tasks.pausing import PAUSE_IMAGE
from agent.tasks.spec import ContainerSpec
from kit.clock import ManualClock


class House:
    """A host with a registry, an agent's images and their cleaner. Each image takes a tenth of the disk."""

    def __init__(self, data: Path, behavior: PullBehavior = PullBehavior.DEFAULT) -> None:
        self.data = data
        self.clock = ManualClock()
        self.runtime = SimulatedRuntime(clock=self.clock)
        self.behavior = behavior
        self.filled = 0.0
        self.wanted: set[str] = set()
        self.boot()

    def boot(self) -> None:
        self.records = RecordFile(self.data / "images.json")
        self.images = Images(runtime=self.runtime, clock=self.clock, behavior=self.behavior, records=self.records)
        self.cleaner = Cleaner(
            runtime=self.runtime,
            images=self.images,
            records=self.records,
            rules=CleanUp(),
            clock=self.clock,
            steady=self.clock,
            disk=lambda: self.filled + 10 * len(self.here()),
            wanted=lambda: self.wanted,
        )
        self.cleaner.recover()
        self.cleaner.look()

    def here(self) -> list[str]:
        return sorted(name for name in self.runtime.programs if "@" not in name)

    def push(self, name: str, digest: str = "") -> None:
        self.runtime.registry[name] = (digest or f"sha256:{name}", Program())

    def pull(self, *names: str) -> None:
        for name in names:
            if name not in self.runtime.registry:
                self.push(name)
            self.images.pull(ContainerSpec(name="c", image=name), name, lambda: False)
            self.clock.tick(seconds=1)

    def use(self, name: str) -> None:
        with self.images.held(name):
            self.clock.tick(seconds=1)

    def create(self, name: str) -> str:
        return self.runtime.create(f"c-{name}", {"Image": name})

    def pass_time(self, **length: float) -> None:
        self.clock.tick(**length)
        self.cleaner.look()


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_five_at_a_time_go_that_are_longest_unused_and_old_enough(house: House) -> None:
    house.pull("a", "b", "c", "d", "e", "f", "g")
    house.use("b")
    house.pass_time(minutes=31)
    assert len(house.here()) == 7, "an hour has not passed"
    house.pass_time(minutes=31)
    assert house.here() == ["b", "g"]
    house.pass_time(minutes=29)
    assert house.here() == ["b", "g"], "the next half hour has not passed"
    house.pass_time(minutes=2)
    assert house.here() == []


def test_what_somebody_else_brought_stays_for_ever(house: House) -> None:
    house.runtime.programs["theirs"] = Program()
    house.push("pulled-by-hand")
    house.runtime.pull("pulled-by-hand", None, lambda: False)
    ensure_pause_image(house.runtime, "x86_64")
    house.pull("pulled-by-hand", "ours")
    house.pass_time(hours=2)
    house.filled = 90
    house.pass_time(hours=2)
    assert house.here() == sorted(["theirs", "pulled-by-hand", PAUSE_IMAGE])


def test_a_name_that_others_have_for_it_keeps_an_image(house: House) -> None:
    house.pull("ours")
    house.runtime._images._ids["theirs:1"] = house.runtime.image("ours").id
    house.runtime.programs["theirs:1"] = Program()
    house.pass_time(hours=2)
    assert house.here() == ["theirs:1"]
    assert house.records.list() == []


def test_an_image_that_a_container_has_stays_whether_it_runs_or_not(house: House) -> None:
    house.pull("running", "made", "over", "free")
    house.runtime.start(house.create("running"))
    house.create("made")
    over = house.create("over")
    house.runtime.start(over)
    house.runtime.exit(over, 0)
    house.pass_time(hours=2)
    house.filled = 95
    house.pass_time(hours=2)
    assert house.here() == ["made", "over", "running"]
    house.runtime.remove(over)
    house.pass_time(hours=2)
    assert house.here() == ["made", "running"]


def test_an_image_of_a_task_that_is_being_launched_stays(house: House) -> None:
    house.pull("launching", "waiting", "free")
    house.wanted = {"waiting"}
    with house.images.held("launching"):
        house.pass_time(hours=2)
        house.filled = 95
        house.pass_time(hours=2)
        assert house.here() == ["launching", "waiting"]
    house.wanted = set()
    house.pass_time(hours=2)
    assert house.here() == []


def test_a_launch_waits_for_the_removal_of_its_image_and_pulls_it_again(house: House) -> None:
    launched = threading.Event()

    def launch() -> None:
        with house.images.held("a"):
            launched.set()

    with house.images.removing(("a",)) as free:
        assert free
        thread = threading.Thread(target=launch)
        thread.start()
        assert not launched.wait(0.1)
    thread.join(20)
    assert launched.is_set()


def test_a_disk_that_is_too_full_is_emptied_at_once_oldest_first_until_it_is_not(house: House) -> None:
    house.pull("a", "b", "c", "d")
    house.use("a")
    house.filled = 65
    house.pass_time(minutes=2)
    assert house.here() == ["a", "d"]


def test_what_was_used_a_moment_ago_stays_on_the_fullest_disk(house: House) -> None:
    house.pull("a")
    house.filled = 95
    house.pass_time(seconds=10)
    assert house.here() == ["a"]


def test_a_clock_that_was_put_back_keeps_no_image_on_a_full_disk(house: House) -> None:
    house.pull("a", "b")
    house.clock.tick(hours=-2)
    house.filled = 70
    house.pass_time(minutes=2)
    assert house.here() == ["b"]


def test_a_disk_that_images_do_not_fill_is_told_once(house: House, caplog: pytest.LogCaptureFixture) -> None:
    def told() -> int:
        return sum("disk too full" in record.message for record in caplog.records)

    house.filled = 95
    for _ in range(3):
        house.pass_time(minutes=2)
    assert told() == 1
    house.filled = 10
    house.pass_time(minutes=2)
    house.filled = 95
    house.pass_time(minutes=2)
    assert told() == 2


def test_a_disk_that_cannot_be_seen_is_not_emptied(house: House) -> None:
    house.pull("a")
    house.cleaner._disk = lambda: None
    house.pass_time(minutes=5)
    assert house.here() == ["a"]


def test_a_pull_that_finds_the_disk_full_makes_room_and_succeeds(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.pull("old")
    house.clock.tick(minutes=5)
    house.filled = 80
    house.push("new")
    house.clock.wait = lambda event, timeout: event.is_set()  # type: ignore[method-assign]
    house.runtime.fail_next("pull", Hindered("write /x: no space left on device", Hindrance.FULL))
    house.pull("new")
    assert house.here() == ["new"]


def test_a_tag_that_moved_on_leaves_its_old_image_to_be_removed(house: House) -> None:
    house.push("web:1", "sha256:one")
    house.pull("web:1")
    old = house.runtime.image("web:1").id
    house.push("web:1", "sha256:two")
    house.pull("web:1")
    house.create("web:1")
    assert house.runtime.image(old).id == old
    house.pass_time(hours=2)
    assert house.here() == ["web:1"]
    assert [record.names for record in house.records.list()] == [("web:1",)]
    assert not house.runtime._images._id(old)


def test_records_outlive_the_agent_and_its_being_killed_in_the_midst_of_a_pull(house: House) -> None:
    house.pull("a")
    house.records.begun("b", "")
    house.push("b")
    house.runtime.pull("b", None, lambda: False)
    house.runtime.programs["theirs"] = Program()
    house.records.begun("theirs", house.runtime.image("theirs").id)
    house.boot()
    house.pass_time(hours=2)
    assert house.here() == ["theirs"]


def test_what_somebody_brings_after_a_pull_has_failed_is_not_the_agents(house: House) -> None:
    for trouble in (Hindered("connection refused", Hindrance.ILL), Refused("manifest unknown")):
        house.runtime.fail_next("pull", trouble)
        with pytest.raises((Hindered, CannotPull)):
            house.images._pull_once(ContainerSpec(name="c", image="late"), "late", lambda: False)
    house.runtime.programs["late"] = Program()
    house.boot()
    house.pass_time(hours=2)
    assert house.here() == ["late"]


def test_a_file_that_nobody_can_read_is_set_aside_and_its_images_stay(house: House, tmp_path: Path) -> None:
    house.pull("a")
    (tmp_path / "images.json").write_text('{"images": [7]}')
    house.boot()
    house.pull("b")
    house.pass_time(hours=2)
    assert house.here() == ["a"]
    assert (tmp_path / "images.unreadable").read_text() == '{"images": [7]}'


def test_the_file_is_its_owners_alone_and_a_full_disk_keeps_nothing_from_being_pulled(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.pull("a")
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("agent.images.records.write_private", full)
    house.pull("b")
    assert house.here() == ["a", "b"]


def test_of_agents_that_share_the_file_one_sweeps(tmp_path: Path) -> None:
    clock = ManualClock()
    files = [RecordFile(tmp_path / "images.json") for _ in range(2)]
    half_an_hour = timedelta(minutes=30)
    assert [file.claim_sweep(clock.now(), half_an_hour) for file in files] == [False, False]
    clock.tick(minutes=31)
    assert [file.claim_sweep(clock.now(), half_an_hour) for file in files] == [True, False]
    clock.tick(hours=-5)
    assert [file.claim_sweep(clock.now(), half_an_hour) for file in files] == [False, False]
    clock.tick(minutes=31)
    assert [file.claim_sweep(clock.now(), half_an_hour) for file in files] == [True, False]


def test_what_one_agent_pulled_another_that_shares_the_file_cleans_up(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.push("fargate")
    ended = Images(runtime=house.runtime, clock=house.clock, records=RecordFile(tmp_path / "images.json"))
    ended.pull(ContainerSpec(name="c", image="fargate"), "fargate", lambda: False)
    house.pass_time(hours=2)
    assert house.here() == []


def test_an_engine_that_is_away_keeps_its_images(house: House) -> None:
    house.pull("a")
    house.runtime.fail_next("images_in_use", Temporary("away"))
    house.pass_time(hours=2)
    assert house.here() == ["a"]
    house.runtime.fail_next("remove_image", Temporary("away"))
    house.pass_time(minutes=31)
    assert house.here() == ["a"]
    house.pass_time(minutes=31)
    assert house.here() == []


def test_once_pulls_again_what_was_cleaned_away_and_not_what_a_restart_forgot(tmp_path: Path) -> None:
    house = House(tmp_path, PullBehavior.ONCE)
    spec = ContainerSpec(name="c", image="a")
    house.pull("a")
    house.boot()
    assert not house.images.pull_first(spec, "a")
    house.pass_time(hours=2)
    assert house.here() == []
    assert house.images.pull_first(spec, "a")


@pytest.fixture
def words(tmp_path: Path) -> Iterator[list[str]]:
    yield ["--endpoint", "http://127.0.0.1:1", "--data", str(tmp_path)]


KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s"}


def test_the_options_are_lengths_of_time_as_the_ecs_agent_writes_them(words: list[str]) -> None:
    def rules(*more: str) -> CleanUp | None:
        return read_settings(build_parser().parse_args([*words, *more]), KEYS).clean_up

    assert rules() == CleanUp()
    assert rules("--image-cleanup-interval", "1h30m", "--image-minimum-age", "90s", "--image-cleanup-count", "2") == (
        CleanUp(interval=timedelta(minutes=90), minimum_age=timedelta(seconds=90), most=2)
    )
    assert rules("--image-cleanup", "off") is None
    assert rules("--image-pull-behavior", "prefer-cached") is None
    for option, value in [
        ("--image-cleanup-interval", "soon"),
        ("--image-cleanup-interval", "0s"),
        ("--image-minimum-age", ""),
        ("--image-cleanup-count", "0"),
        ("--image-disk-percent", "101"),
        ("--image-disk-percent", "-1"),
    ]:
        with pytest.raises(BadSettings, match=option):
            rules(f"{option}={value}")
