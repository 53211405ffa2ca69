"""Log shipping: in order, in batches, resumed where it stopped, told when it is out."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.logs.batches import Entry, batches, entry_of, milliseconds, render_batch
from agent.logs.cursor import Cursor, CursorFiles, Position, Skipping
from agent.logs.follower import Follower
from agent.logs.manner import FLUSH_AFTER_S
from agent.logs.places import place_of
from agent.logs.shipper import IDLE, PATIENCE, RETRY_FIRST, RETRY_MOST, LogShipper
from agent.runtime import LogLine
from agent.runtime.simulated import Program, SimulatedRuntime
from agent.tasks import messages as m
from agent.tasks.launch import Unprepared
from agent.tasks.payload import read_task
from agent.tasks.spec import TaskSpec
from kit.clock import ManualClock, backoff
from tests.support.agent_process import awslogs, container, task
from tests.support.fake_control_plane import CLUSTER, task_arn
from tests.unit.agent.calls import FakeCalls

LINES = tuple(f"line {n}" for n in range(5))


class Shipping:
    """A shipper on a simulated runtime, stepped by hand; its followers are run to their end on this thread."""

    def __init__(self, data: Path, **options: str) -> None:
        self.clock = ManualClock()
        self.calls = FakeCalls()
        program = Program(output=LINES, lasts=timedelta(seconds=1))
        self.runtime = SimulatedRuntime(clock=self.clock, images={"talker": program, "server": Program()})
        self.posted: list[m.Message] = []
        raw = task("t1", container("talker", "talker", hostConfig=awslogs(group="g", stream_prefix="p", **options)))
        self.task = read_task(raw, seq=1, cluster=CLUSTER)
        [self.spec] = self.task.containers
        self.id = self.runtime.create("talker", {"Image": "talker"})
        self.runtime.start(self.id)
        self.clock.tick(seconds=2)
        self.runtime.settle()
        self.data = data
        self.boot()

    def boot(self) -> None:
        self.shipper = LogShipper(
            aws=self.calls,
            runtime=self.runtime,
            cursors=CursorFiles(self.data),
            clock=self.clock,
            post=self.posted.append,
        )

    def finish(self) -> None:
        """The container has ended and its follower has read everything."""
        self.shipper.finish(self.task, self.spec, self.id)
        follower = self.shipper._followers[self.id]
        follower.ended_reading.wait(10)

    def follow(self, task: TaskSpec, runtime_id: str) -> Follower:
        """Its follower has read what there is, and waits for more."""
        self.shipper.follow(task, self.spec, runtime_id)
        follower = self.shipper._followers[runtime_id]
        while follower._position.positions.get(1) is None or follower._position.positions[1].at[-2] != "4":
            follower.ended_reading.wait(0.01)
        return follower

    def shipped(self) -> list[str]:
        return [e["message"] for body in self.calls.bodies("PutLogEvents") for e in body["logEvents"]]

    def told(self) -> bool:
        return m.Logged(task=task_arn("t1"), container="talker") in self.posted


@pytest.fixture
def shipping(tmp_path: Path) -> Shipping:
    return Shipping(tmp_path)


def test_everything_is_shipped_before_it_is_told(shipping: Shipping) -> None:
    shipping.finish()
    assert not shipping.told()
    shipping.shipper.ship()
    assert shipping.shipped() == list(LINES)
    assert shipping.told()
    [stream] = shipping.calls.bodies("CreateLogStream")
    assert stream == {"logGroupName": "g", "logStreamName": "p/talker/t1"}
    assert shipping.calls.bodies("CreateLogGroup") == []


def test_a_log_that_stays_empty_has_its_stream_too(shipping: Shipping) -> None:
    silent = shipping.runtime.create("silent", {"Image": "server"})
    shipping.runtime.start(silent)
    shipping.shipper.follow(shipping.task, shipping.spec, silent)
    assert shipping.shipper.until_next() == timedelta(0)
    shipping.calls.away = True
    shipping.shipper.ship()
    assert shipping.shipper.until_next() == RETRY_FIRST
    shipping.calls.away = False
    for _ in range(2):
        shipping.shipper.ship()
    assert shipping.calls.bodies("CreateLogStream") == [{"logGroupName": "g", "logStreamName": "p/talker/t1"}]
    assert shipping.shipper.until_next() == IDLE
    shipping.shipper.forget(silent)


def test_an_empty_log_without_its_stream_is_not_told_to_be_out(shipping: Shipping) -> None:
    silent = shipping.runtime.create("silent", {"Image": "server"})
    shipping.runtime.start(silent)
    shipping.runtime.exit("silent", 0)
    shipping.calls.away = True
    shipping.shipper.finish(shipping.task, shipping.spec, silent)
    shipping.shipper._followers[silent].ended_reading.wait(10)
    shipping.shipper.ship()
    assert not shipping.told()
    shipping.calls.away = False
    shipping.shipper.ship()
    assert shipping.told()
    assert len(shipping.calls.bodies("CreateLogStream")) == 1


def test_the_group_is_made_when_asked(tmp_path: Path) -> None:
    shipping = Shipping(tmp_path, create_group="true")
    shipping.finish()
    shipping.shipper.ship()
    assert shipping.calls.bodies("CreateLogGroup") == [{"logGroupName": "g"}]


def test_a_batch_that_was_not_taken_is_shipped_again(shipping: Shipping) -> None:
    shipping.finish()
    shipping.calls.away = True
    shipping.shipper.ship()
    assert not shipping.told()
    shipping.calls.away = False
    shipping.shipper.ship()
    assert shipping.shipped() == list(LINES)
    assert shipping.told()


def test_what_is_written_while_a_batch_is_on_its_way_is_sent_next(shipping: Shipping) -> None:
    follower = shipping.follow(shipping.task, shipping.id)
    later = [LogLine(at="2030-01-01T00:00:09.000000000Z", text=b"meanwhile")]

    def put(body: object) -> None:
        while later:
            follower._add(later.pop())

    shipping.calls.answers["PutLogEvents"] = put
    shipping.shipper.ship()
    assert shipping.shipper.until_next() == timedelta(0)
    shipping.shipper.ship()
    assert shipping.shipped() == [*LINES, "meanwhile"]
    assert shipping.shipper.until_next() == IDLE
    shipping.shipper.forget(shipping.id)


def test_a_log_that_is_refused_is_tried_again_soon_though_others_are_taken(shipping: Shipping) -> None:
    other = shipping.runtime.create("other", {"Image": "talker"})
    shipping.runtime.start(other)
    shipping.follow(shipping.task, shipping.id)
    shipping.follow(replace(shipping.task, arn=task_arn("t2")), other)
    for attempt in range(1, 4):
        shipping.calls.refuse("PutLogEvents", "ThrottlingException")
        shipping.shipper.ship()
        assert shipping.shipper.until_next() == backoff(attempt, first=RETRY_FIRST, most=RETRY_MOST)
    shipping.shipper.ship()
    assert shipping.shipped() == [*LINES, *LINES]
    for runtime_id in (shipping.id, other):
        shipping.shipper.forget(runtime_id)


def test_an_event_that_is_over_waits_for_an_api_that_is_away_like_any_other(tmp_path: Path) -> None:
    shipping = Shipping(tmp_path, multiline_pattern="^line 0")
    follower = shipping.follow(shipping.task, shipping.id)
    shipping.shipper.ship()
    assert shipping.shipper.until_next() == timedelta(seconds=FLUSH_AFTER_S)
    shipping.clock.tick(seconds=FLUSH_AFTER_S)
    shipping.calls.away = True
    shipping.shipper.ship()
    assert shipping.shipper.until_next() == RETRY_FIRST
    assert follower.peek()
    shipping.shipper.forget(shipping.id)


def test_patience_ends_when_the_api_stays_away(shipping: Shipping) -> None:
    shipping.finish()
    shipping.calls.away = True
    shipping.shipper.ship()
    shipping.clock.tick(seconds=PATIENCE.total_seconds() + 1)
    shipping.shipper.ship()
    assert shipping.told()


def test_a_restarted_agent_ships_only_what_was_not_taken(shipping: Shipping) -> None:
    shipping.finish()
    shipping.shipper.ship()
    shipping.boot()
    shipping.finish()
    shipping.shipper.ship()
    assert shipping.shipped() == list(LINES)
    assert shipping.told()


def test_a_stream_that_was_deleted_is_made_again(shipping: Shipping) -> None:
    shipping.finish()
    shipping.calls.refuse("PutLogEvents", "ResourceNotFoundException")
    shipping.shipper.ship()
    assert shipping.shipped() == list(LINES)
    assert len(shipping.calls.bodies("CreateLogStream")) == 2


def test_a_group_that_was_deleted_is_made_again_where_it_may_be(tmp_path: Path) -> None:
    shipping = Shipping(tmp_path, create_group="true")
    shipping.shipper.ensure(shipping.task, shipping.spec)
    shipping.finish()
    shipping.calls.refuse("PutLogEvents", "ResourceNotFoundException")
    shipping.shipper.ship()
    assert shipping.shipped() == list(LINES)
    assert len(shipping.calls.bodies("CreateLogGroup")) == 2


def test_a_group_that_does_not_exist_keeps_the_container_from_starting(shipping: Shipping) -> None:
    shipping.calls.refuse("CreateLogStream", "ResourceNotFoundException", "The specified log group does not exist.")
    with pytest.raises(Unprepared, match=r"The specified log group does not exist\."):
        shipping.shipper.ensure(shipping.task, shipping.spec)
    shipping.shipper.ensure(shipping.task, shipping.spec)
    shipping.shipper.ensure(shipping.task, shipping.spec)
    assert len(shipping.calls.bodies("CreateLogStream")) == 1


def test_an_api_that_is_away_does_not_keep_a_container_from_starting(shipping: Shipping) -> None:
    shipping.calls.away = True
    shipping.shipper.ensure(shipping.task, shipping.spec)


def test_a_container_that_is_gone_has_nothing_to_ship(shipping: Shipping) -> None:
    shipping.runtime.remove(shipping.id)
    shipping.finish()
    shipping.shipper.ship()
    assert shipping.told()


def test_a_removed_container_leaves_no_cursor(shipping: Shipping, tmp_path: Path) -> None:
    shipping.finish()
    shipping.shipper.ship()
    assert list((tmp_path / "logs").iterdir())
    shipping.shipper.forget(shipping.id)
    assert not list((tmp_path / "logs").iterdir())


def test_batches_keep_the_limits_of_the_logs_api() -> None:
    day = 24 * 3600 * 1000
    many = [Entry(1, "a", 1, "x", 27)] * 10_001
    assert [len(batch) for batch in batches(many)] == [10_000, 1]
    large = [Entry(1, "a", 1, "x", 600_000)] * 3
    assert [len(batch) for batch in batches(large)] == [1, 1, 1]
    apart = [Entry(1, "a", 0, "x", 27), Entry(1, "b", day - 1, "x", 27), Entry(1, "c", day, "x", 27)]
    assert [len(batch) for batch in batches(apart)] == [2, 1]


def test_time_never_goes_back_within_a_stream_and_empty_lines_are_no_events() -> None:
    later = entry_of(LogLine(at="2030-01-01T00:00:02.500000000Z", text=b"b"), 0)
    earlier = entry_of(LogLine(at="2030-01-01T00:00:01.000000000Z", text=b"", stream=2), later.timestamp_ms)
    assert earlier.timestamp_ms == later.timestamp_ms == milliseconds("2030-01-01T00:00:02.5Z")
    assert [e["message"] for e in render_batch("g", "s", [later, earlier])["logEvents"]] == ["b"]


AT = "2030-01-01T00:00:0{}.000000000Z"


def test_the_cursor_counts_lines_of_one_instant() -> None:
    cursor = Cursor().after(1, AT.format(1)).after(1, AT.format(1)).after(1, AT.format(2)).after(2, AT.format(3))
    assert cursor == Cursor({1: Position(AT.format(2), 1), 2: Position(AT.format(3), 1)})
    assert Cursor().after(1, AT.format(1)).after(1, AT.format(1)) == Cursor({1: Position(AT.format(1), 2)})
    assert cursor.since() == AT.format(1)


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.integers(0, 4)), max_size=20), st.data())
def test_reading_again_from_a_cursor_gives_exactly_what_is_after_it(
    written: list[tuple[int, int]], data: st.DataObject
) -> None:
    # Each stream is stamped in order; how the two interleave is anybody's guess.
    stamps = {stream: iter(sorted(at for s, at in written if s == stream)) for stream in (1, 2)}
    lines = [(stream, AT.format(next(stamps[stream]))) for stream, _ in written]
    passed = data.draw(st.integers(0, len(lines)))
    cursor = Cursor()
    for stream, at in lines[:passed]:
        cursor = cursor.after(stream, at)
    skipping = Skipping(cursor)
    assert [line for line in lines if not skipping.behind(*line)] == lines[passed:]


def test_a_cursor_file_nobody_can_read_is_the_beginning(tmp_path: Path) -> None:
    files = CursorFiles(tmp_path)
    cursor = Cursor().after(2, AT.format(1))
    files.save("c", cursor)
    assert files.load("c") == cursor
    for nonsense in ("[", "[1]", '{"1": 2}', '{"1": ["x", 1]}', '{"a": ["x", 1]}'):
        (tmp_path / "logs" / "c.json").write_text(nonsense)
        assert files.load("c") == Cursor()


def test_a_stream_may_be_named_outright(shipping: Shipping) -> None:
    raw = task("t1", container("c", "i", hostConfig=awslogs(group="/aws/batch/job", stream="def/default/t1")))
    spec = read_task(raw, seq=1, cluster=CLUSTER)
    assert place_of(spec, spec.containers[0]).stream == "def/default/t1"


def test_a_stream_without_a_name_is_named_after_the_container(shipping: Shipping) -> None:
    raw = task("t1", container("c", "i", hostConfig=awslogs(group="g")))
    spec = read_task(raw, seq=1, cluster=CLUSTER)
    assert place_of(spec, spec.containers[0], "r1").stream == "r1"
    shipping.shipper.ensure(spec, spec.containers[0])
    assert shipping.calls.heard == []
