"""Events of several lines, and logs that rather lose lines than time."""

import random
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.logs.batches import Entry, entry_of
from agent.logs.cursor import Cursor
from agent.logs.follower import Follower
from agent.logs.joining import LARGEST_EVENT, Joiner
from agent.logs.manner import BadManner, Manner, pattern_of_format, read_manner, read_size
from agent.logs.pattern import REMEMBERED, BadPattern, Pattern
from agent.logs.places import LogPlace
from agent.runtime import LogLine, LogStream
from agent.runtime.simulated import Program, SimulatedRuntime
from agent.tasks.launch import Unprepared
from kit.clock import ManualClock
from tests.unit.agent.test_log_shipping import Shipping

NOW = datetime(2030, 1, 1, tzinfo=UTC)
TRACE = ("INFO begin", "ERROR oh no", "  at line 1", "  at line 2", "INFO end")


class Talking(Shipping):
    """A container that prints ``TRACE``, shipped as the options say."""

    def __init__(self, data: Path, lines: tuple[str, ...] = TRACE, **options: str) -> None:
        super().__init__(data, **options)
        program = Program(output=lines, lasts=timedelta(seconds=1))
        self.runtime = SimulatedRuntime(clock=self.clock, images={"talker": program})
        self.id = self.runtime.create("talker", {"Image": "talker"})
        self.runtime.start(self.id)
        self.clock.tick(seconds=2)
        self.runtime.settle()
        self.boot()


def entry(text: str, at: int = 0) -> Entry:
    return entry_of(LogLine(at=f"2030-01-01T00:00:00.{at:09d}Z", text=text.encode()), 0)


def follower(manner: Manner, lines: int, clock: ManualClock) -> Follower:
    program = Program(output=tuple(f"line {n:03d}" for n in range(lines)))
    runtime = SimulatedRuntime(clock=clock, images={"talker": program})
    runtime.start(runtime.create("talker", {"Image": "talker"}))
    return Follower(
        runtime=runtime,
        runtime_id="talker",
        task="t",
        container="c",
        place=LogPlace(group="g", stream="s"),
        tty=False,
        cursor=Cursor(),
        manner=manner,
        clock=clock,
        woken=lambda hurry: None,
    )


def _begun(reading: Follower) -> bool:
    """Whether an event waits for its end."""
    return reading._joiner is not None and reading._joiner.due is not None


def test_lines_that_belong_together_are_one_event(tmp_path: Path) -> None:
    talking = Talking(tmp_path, multiline_pattern="^(INFO|ERROR)")
    talking.finish()
    talking.shipper.ship()
    assert talking.shipped() == ["INFO begin", "ERROR oh no\n  at line 1\n  at line 2", "INFO end"]
    assert talking.told()
    talking.boot()
    talking.finish()
    talking.shipper.ship()
    assert len(talking.shipped()) == 3


def test_an_event_that_was_not_whole_when_the_agent_was_killed_comes_whole(tmp_path: Path) -> None:
    talking = Talking(tmp_path, TRACE[:4], multiline_pattern="^(INFO|ERROR)")
    talking.shipper.follow(talking.task, talking.spec, talking.id)
    reading = talking.shipper._followers[talking.id]
    while len(reading.peek()) < 1 or not _begun(reading):
        pass
    talking.shipper.ship()
    reading.close()
    talking.boot()
    talking.finish()
    talking.shipper.ship()
    assert talking.shipped() == ["INFO begin", "ERROR oh no\n  at line 1\n  at line 2"]


def test_a_date_begins_an_event(tmp_path: Path) -> None:
    lines = ("[Mar 01, 2030 10:11:12] a", "b", "[Mar 02, 2030 10:11:12] c")
    talking = Talking(tmp_path, lines, datetime_format=r"\[%b %d, %Y %H:%M:%S\]")
    talking.finish()
    talking.shipper.ship()
    assert talking.shipped() == [f"{lines[0]}\nb", lines[2]]


def test_an_event_that_waits_for_its_end_is_shipped_after_a_while() -> None:
    clock = ManualClock()
    reading = follower(Manner(begins="^line 00[05]"), 8, clock)
    thread = threading.Thread(target=reading.run)
    thread.start()
    while not _begun(reading) or len(reading.peek()) < 1:
        pass
    assert [len(e.more) for e in reading.peek()] == [4]
    clock.tick(seconds=6)
    assert [len(e.more) for e in reading.peek()] == [4, 2]
    reading.close()
    thread.join()


def test_a_joined_event_fits_the_logs_api() -> None:
    joiner = Joiner(lambda line: False, timedelta(seconds=5))
    events = [event for n in range(40) if (event := joiner.add(entry("x" * 20_000, n), NOW))]
    assert events
    assert all(event.size <= LARGEST_EVENT for event in events)
    rest = joiner.rest()
    assert rest
    assert sum(1 + len(event.more) for event in [*events, rest]) == 40


def test_a_non_blocking_log_drops_the_oldest_and_counts_them(caplog: pytest.LogCaptureFixture) -> None:
    reading = follower(Manner(dropping=True, buffer_bytes=10 * 34), 30, ManualClock())
    reading.end()
    reading.run()
    assert [e.message for e in reading.peek()] == [f"line {n:03d}" for n in range(20, 30)]
    [told] = [record for record in caplog.records if record.message == "log events dropped"]
    assert "20" in str(vars(told))


def test_what_is_dropped_while_it_is_sent_is_not_taken_twice() -> None:
    reading = follower(Manner(dropping=True, buffer_bytes=4 * 34), 0, ManualClock())
    for n in range(4):
        reading._append(entry(f"line {n:03d}", n))
    sending = reading.peek()
    for n in range(4, 7):
        reading._append(entry(f"line {n:03d}", n))
    cursor = reading.cursor
    for one in sending:
        cursor = one.passed(cursor)
    reading.taken(len(sending), cursor)
    assert [e.message for e in reading.peek()] == ["line 004", "line 005", "line 006"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"mode": "sometimes"}, "mode"),
        ({"max-buffer-size": "1m"}, "non-blocking mode only"),
        ({"mode": "non-blocking", "max-buffer-size": "big"}, "not a size"),
        ({"awslogs-multiline-pattern": "("}, "could not parse awslogs-multiline-pattern"),
        ({"awslogs-multiline-pattern": "a", "awslogs-datetime-format": "b"}, "at the same time"),
        ({"awslogs-datetime-format": "%Q"}, "%Q is not known"),
        ({"awslogs-force-flush-interval-seconds": "soon"}, "not a number"),
    ],
)
def test_options_that_make_no_sense_are_named(options: dict[str, str], complaint: str) -> None:
    with pytest.raises(BadManner, match=re.escape(complaint)):
        read_manner(options)


def test_a_container_with_such_options_is_not_started(tmp_path: Path) -> None:
    talking = Talking(tmp_path, multiline_pattern="(?=x)")
    with pytest.raises(Unprepared, match="failed to validate logger args"):
        talking.shipper.ensure(talking.task, talking.spec)


def test_sizes_are_dockers() -> None:
    assert [read_size(s) for s in ("7", "25k", "4m", "1MB", "2GiB")] == [7, 25600, 4 << 20, 1 << 20, 2 << 30]


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("%Y-%m-%dT%H:%M:%S%L%z", "2030-12-31T23:59:59.123+0100"),
        ("%a %d %b %y %I:%M %p", "Mon 01 Jan 30 11:59 PM"),
        ("%A %B %j %w %f %Z 100%%", "Friday March 365 6 123456 CEST 100%"),
    ],
)
def test_dates_are_found_by_their_format(form: str, line: str) -> None:
    pattern = Pattern(pattern_of_format(form))
    assert pattern.found_in(f"x {line} y")
    assert not pattern.found_in("no date at all")


PIECES = st.sampled_from(
    [
        "a",
        "b",
        ".",
        "[ab]",
        "[^a]",
        r"\d",
        r"\w",
        r"\s",
        "(a|b)",
        "(?:ab|c)",
        "(?:(a*b)*)",
        "(?:x?)",
        "^",
        "$",
        r"\b",
        r"\B",
    ]
)
PATTERNS = st.lists(st.tuples(PIECES, st.sampled_from(["", "", "+", "*", "?", "{2}", "{1,3}", "{2,}"])), max_size=5)


@example([("[^a]", "")], "a", True)
@given(PATTERNS, st.text(alphabet="abcx1 _-", min_size=1, max_size=12), st.booleans())
def test_patterns_find_what_the_usual_engine_finds(parts: list[tuple[str, str]], line: str, ignore: bool) -> None:
    simple = [piece + (how if piece not in ("^", "$", r"\b", r"\B") else "") for piece, how in parts]
    text = ("(?i)" if ignore else "") + "".join(simple)
    assert Pattern(text).found_in(line) is (re.search(text, line) is not None)


def test_little_is_remembered_of_a_pattern_with_a_great_many_ways() -> None:
    pattern, chance = Pattern(".*a.{600}z"), random.Random(1)
    for _ in range(2):
        assert not pattern.found_in("".join(chance.choices("abc", k=8192)))
        assert sum(1 + len(steps or ()) for steps in pattern._known.values()) <= REMEMBERED


def test_a_pattern_that_backtracks_for_ever_does_not_here() -> None:
    assert not Pattern(r"^(a+)+$").found_in("a" * 5000 + "b")
    assert not Pattern(r"(.*)*(.*)*(.*)*x$").found_in("y" * 5000)


@pytest.mark.parametrize("text", [r"(a)\1", "(?=a)", "(?<!a)b", "a{5000}", "(a{100}){100}", "[", "*"])
def test_what_can_not_be_run_so_is_refused(text: str) -> None:
    with pytest.raises(BadPattern):
        Pattern(text)


class Stuck:
    """A stream that says nothing and never ends by itself."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[LogLine]:
        self.closed.wait(10)
        return iter(())

    def close(self) -> None:
        self.closed.set()


@pytest.mark.parametrize("how", ["end", "resume"])
def test_a_stream_that_hangs_is_given_up_when_the_container_ends_or_starts_again(how: str) -> None:
    reading = follower(Manner(), 3, ManualClock())
    stuck = Stuck()
    logs = reading._runtime.logs
    opened: list[bool] = []

    def first_stuck(container: str, *, since: str, follow: bool, tty: bool) -> LogStream:
        opened.append(follow)
        return stuck if len(opened) == 1 else logs(container, since=since, follow=follow, tty=tty)

    reading._runtime.logs = first_stuck  # type: ignore[method-assign]
    reading.start()
    while reading._following is None:
        pass
    getattr(reading, how)()
    while len(reading.peek()) < 3:
        pass
    assert opened[:2] == [True, how == "resume"]
    reading.close()
    assert reading.ended_reading.wait(10)


@pytest.mark.parametrize("how", ["end", "resume"])
def test_a_stream_that_is_being_opened_meanwhile_is_given_up_too(how: str) -> None:
    reading = follower(Manner(), 3, ManualClock())
    logs = reading._runtime.logs
    opened: list[bool] = []

    def late(container: str, *, since: str, follow: bool, tty: bool) -> LogStream:
        opened.append(follow)
        if len(opened) == 1:
            getattr(reading, how)()
            return Stuck()
        return logs(container, since=since, follow=follow, tty=tty)

    reading._runtime.logs = late  # type: ignore[method-assign]
    reading.start()
    while len(reading.peek()) < 3:
        pass
    assert opened[:2] == [True, how == "resume"]
    reading.close()
    assert reading.ended_reading.wait(10)


def test_a_bug_in_the_reading_leaves_no_line_behind() -> None:
    clock = ManualClock()
    reading = follower(Manner(), 3, clock)
    logs = reading._runtime.logs
    opened: list[bool] = []

    def first_broken(container: str, *, since: str, follow: bool, tty: bool) -> LogStream:
        opened.append(follow)
        if len(opened) == 1:
            raise AttributeError("no such thing")
        return logs(container, since=since, follow=follow, tty=tty)

    reading._runtime.logs = first_broken  # type: ignore[method-assign]
    reading.end()
    reading.start()
    while len(opened) < 2:
        clock.tick(seconds=1)
    assert reading.ended_reading.wait(10)
    assert len(reading.peek()) == 3
