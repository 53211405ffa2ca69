"""A host whose key was revoked: it is said once, asked about ever more slowly, and over when the key is taken again."""

import logging
import threading
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from agent.control.aws import Aws, KeyRefused, Unreachable
from agent.control.refusal import PAUSE_FIRST, PAUSE_MOST, Refusal
from agent.control.registration import discover
from agent.control.reporter import Reporter
from agent.control.session import RETRY_MOST, Session
from agent.identity import Identity
from agent.keys import Keys
from agent.tasks.model import Phase
from agent.tasks.reports import Report
from kit.clock import ManualClock
from tests.support.fake_control_plane import ACCESS_KEY, INSTANCE, REGION, SECRET_KEY, FakeControlPlane
from tests.unit.agent.calls import FakeCalls
from tests.unit.agent.test_session import Listener

IDENTITY = Identity(id="a", cluster="default", token="t", container_instance=INSTANCE)
KNOWN = Keys(access_key=ACCESS_KEY, secret_key=SECRET_KEY)
REVOKED = Keys(access_key="AKIAREVOKED", secret_key="s")


@pytest.fixture
def plane() -> Iterator[FakeControlPlane]:
    with FakeControlPlane() as plane:
        yield plane


@pytest.fixture
def aws(plane: FakeControlPlane) -> Iterator[Aws]:
    # Signatures must be fresh.
    aws = Aws(endpoint=plane.endpoint, region=REGION, keys=REVOKED, clock=ManualClock(datetime.now(UTC)))
    yield aws
    aws.close()


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_it_is_said_once_and_asked_about_ever_more_slowly(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = ManualClock()
    refusal = Refusal(clock)
    assert not refusal.rest
    rests = []
    for _ in range(20):
        refusal.happened("UnrecognizedClientException")
        rests.append(refusal.rest)
        clock.tick(seconds=refusal.rest.total_seconds())
        assert not refusal.rest
    assert rests[0] == PAUSE_FIRST
    assert rests == sorted(rests)
    assert rests[-1] == PAUSE_MOST
    assert said(caplog) == ["host key refused"]
    refusal.over()
    refusal.over()
    assert said(caplog) == ["host key refused", "host key taken again"]


def test_a_clock_that_is_put_back_keeps_nobody_waiting() -> None:
    clock = ManualClock()
    refusal = Refusal(clock)
    refusal.happened("no")
    clock.tick(hours=-1)
    assert not refusal.rest


def test_nobody_is_asked_again_at_once_but_with_other_keys(plane: FakeControlPlane, aws: Aws) -> None:
    with pytest.raises(KeyRefused, match="UnrecognizedClientException"):
        discover(aws, IDENTITY)
    plane.stop()
    aws.close()
    with pytest.raises(KeyRefused):
        discover(aws, IDENTITY)
    with pytest.raises(Unreachable):
        aws.call("ecs", "DiscoverPollEndpoint", {}, keys=REVOKED)
    plane.start()
    aws.use(KNOWN)
    discover(aws, IDENTITY)


class Pauses(ManualClock):
    """Passes by itself while somebody waits, ten times."""

    def __init__(self) -> None:
        super().__init__(datetime.now(UTC))
        self.lengths: list[timedelta] = []

    def wait(self, event: threading.Event, timeout: timedelta) -> bool:
        self.lengths.append(timeout)
        self.tick(seconds=timeout.total_seconds())
        if len(self.lengths) == 10:
            event.set()
        return event.is_set()


@pytest.mark.parametrize("asks_before_it_dials", [True, False])
def test_a_socket_is_dialled_ever_more_slowly_and_quietly(
    plane: FakeControlPlane, caplog: pytest.LogCaptureFixture, asks_before_it_dials: bool
) -> None:
    clock = Pauses()
    aws = Aws(endpoint=plane.endpoint, region=REGION, keys=REVOKED, clock=clock)
    known = Aws(endpoint=plane.endpoint, region=REGION, keys=KNOWN, clock=clock)
    there = discover(known, IDENTITY).agent
    known.close()
    door = (lambda: discover(aws, IDENTITY).agent) if asks_before_it_dials else (lambda: there)
    session = Session(name="payloads", door=door, aws=aws, clock=clock, seed=1)
    session.run(Listener())
    aws.close()
    assert clock.lengths[-1] > 1.2 * RETRY_MOST
    assert said(caplog) == ["host key refused"]


def test_what_there_is_to_report_is_kept_and_nothing_is_said_of_it(caplog: pytest.LogCaptureFixture) -> None:
    calls = FakeCalls()
    acknowledged: list[object] = []
    reporter = Reporter(aws=calls, clock=ManualClock(), post=acknowledged.append)
    reporter.open()
    reporter.offer(Report(task="t", cluster="c", status=Phase.STOPPED))
    calls.trouble["SubmitTaskStateChange"] = deque([KeyRefused("UnrecognizedClientException", "no", 403)])
    assert not reporter.step()
    assert said(caplog) == []
    assert reporter.step()
    assert len(acknowledged) == 1
