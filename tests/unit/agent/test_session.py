"""The socket that is kept open: signed, dialled again after every end, hung up when nothing is heard."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from agent.control.aws import ApiError, Aws, Unreachable
from agent.control.registration import discover
from agent.control.session import INACTIVE_PAUSE, SILENCE, Session
from agent.identity import Identity
from agent.keys import Keys
from kit.clock import ManualClock, SystemClock
from tests.support.fake_control_plane import ACCESS_KEY, INSTANCE, REGION, SECRET_KEY, FakeControlPlane

IDENTITY = Identity(id="a", cluster="default", token="t", container_instance=INSTANCE)


class Listener:
    """Keeps the frames; asks for a new socket on ``CloseMessage``, and fails on ``Trap``."""

    def __init__(self) -> None:
        self.opened_times = 0
        self.frames: list[tuple[str, Mapping[str, Any]]] = []

    def query(self) -> Mapping[str, str]:
        return {"clusterArn": "arn:aws:ecs:us-east-1:1:cluster/a b", "seqNum": "1"}

    def opened(self) -> None:
        self.opened_times += 1

    def received(self, kind: str, message: Mapping[str, Any]) -> bool:
        if kind == "Trap":
            raise RuntimeError("a bug in a handler")
        self.frames.append((kind, message))
        return kind != "CloseMessage"


@pytest.fixture
def plane() -> Iterator[FakeControlPlane]:
    with FakeControlPlane() as plane:
        yield plane


def aws_of(plane: FakeControlPlane, secret: str = SECRET_KEY) -> Aws:
    keys = Keys(access_key=ACCESS_KEY, secret_key=secret)
    return Aws(endpoint=plane.endpoint, region=REGION, keys=keys, clock=SystemClock())


@contextmanager
def listening(
    plane: FakeControlPlane, listener: Listener, *, silence: timedelta = SILENCE, clock: Any = None
) -> Iterator[Session]:
    aws = aws_of(plane)
    session = Session(
        name="payloads",
        door=lambda: discover(aws, IDENTITY).agent,
        aws=aws,
        clock=clock or SystemClock(),
        seed=1,
        silence=silence,
    )
    thread = threading.Thread(target=session.run, args=(listener,), daemon=True)
    thread.start()
    try:
        yield session
    finally:
        session.stop()
        if isinstance(clock, ManualClock):
            clock.tick(hours=2)
        thread.join(10)
        aws.close()
        assert not thread.is_alive()


def test_frames_pass_both_ways_on_a_signed_socket(plane: FakeControlPlane) -> None:
    listener = Listener()
    with listening(plane, listener) as session:
        plane.send("HeartbeatMessage", {"messageId": "h"})
        plane.wait_for(lambda: listener.frames == [("HeartbeatMessage", {"messageId": "h"})])
        assert session.send("HeartbeatAckRequest", {"messageId": "h"})
        plane.wait_for(lambda: plane.frames("HeartbeatAckRequest"))


def test_a_socket_that_was_asked_to_close_or_just_closed_is_dialled_again(plane: FakeControlPlane) -> None:
    listener = Listener()
    with listening(plane, listener):
        plane.send("CloseMessage", {})
        plane.wait_for(lambda: listener.opened_times == 2)
        plane.wait_for(plane.connected)
        plane.hang_up("acs")
        plane.wait_for(lambda: listener.opened_times == 3)


def test_a_silent_socket_is_taken_for_dead(plane: FakeControlPlane) -> None:
    listener = Listener()
    with listening(plane, listener, silence=timedelta(milliseconds=20)):
        plane.wait_for(lambda: listener.opened_times >= 3)


def test_nonsense_and_a_failing_handler_do_not_end_the_socket(plane: FakeControlPlane) -> None:
    listener = Listener()
    with listening(plane, listener):
        plane.send_raw("}{")
        plane.send("Trap", {})
        plane.send("After", {})
        plane.wait_for(lambda: listener.frames == [("After", {})])
        assert listener.opened_times == 1


def test_an_inactive_instance_waits_an_hour(plane: FakeControlPlane) -> None:
    listener = Listener()
    clock = ManualClock()
    plane.handshake_refusal = "InactiveInstanceException"
    with listening(plane, listener, clock=clock):
        plane.wait_for(lambda: len(plane.heard.handshakes) == 1)
        plane.handshake_refusal = ""
        clock.tick(seconds=INACTIVE_PAUSE.total_seconds() - 60)
        assert listener.opened_times == 0
        plane.wait_for(lambda: clock.tick(seconds=60) and listener.opened_times == 1)


class Pauses(ManualClock):
    """Passes by itself while somebody waits, and keeps how long that was."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def wait(self, event: threading.Event, timeout: timedelta) -> bool:
        self.seconds.append(timeout.total_seconds())
        self.tick(seconds=timeout.total_seconds())
        if len(self.seconds) == 8:
            event.set()
        return event.is_set()


class Breaking:
    """A listener whose sockets break, some time after they were opened."""

    def __init__(self, clock: ManualClock, lasts: list[float]) -> None:
        self._clock, self._lasts = clock, lasts

    def query(self) -> Mapping[str, str]:
        return {}

    def opened(self) -> None:
        self._clock.tick(seconds=self._lasts.pop(0))
        raise OSError("cable pulled")

    def received(self, kind: str, message: Mapping[str, Any]) -> bool:
        return True


def test_only_sockets_that_break_at_once_are_dialled_again_more_and_more_slowly(plane: FakeControlPlane) -> None:
    clock = Pauses()
    aws = aws_of(plane)
    session = Session(name="payloads", door=lambda: discover(aws, IDENTITY).agent, aws=aws, clock=clock, seed=1)

    session.run(Breaking(clock, [0, 0, 0, 60, 0, 3600, 0, 0]))

    aws.close()
    firsts = [clock.seconds[index] for index in (0, 3, 5)]
    assert all(0.25 <= pause <= 0.3 for pause in firsts)
    assert clock.seconds[1] >= 0.5 and clock.seconds[2] >= 1 and clock.seconds[4] >= 0.5
    assert clock.seconds[7] >= 1


def test_without_a_socket_nothing_is_sent() -> None:
    aws = Aws(
        endpoint="http://127.0.0.1:9",
        region=REGION,
        keys=Keys(access_key="a", secret_key="s"),
        clock=SystemClock(),
    )
    assert not Session(name="x", door=lambda: "http://127.0.0.1:9", aws=aws, clock=SystemClock()).send("A", {})
    with pytest.raises(Unreachable):
        aws.call("ecs", "DiscoverPollEndpoint", {})


def test_a_wrong_key_is_an_error_that_may_pass(plane: FakeControlPlane) -> None:
    aws = aws_of(plane, secret="wrong")
    with pytest.raises(ApiError) as refused:
        discover(aws, IDENTITY)
    assert refused.value.code in ("InvalidSignatureException", "SignatureDoesNotMatch")
    assert refused.value.retriable
    aws.close()


def test_a_kept_connection_that_was_closed_meanwhile_is_not_noticed(plane: FakeControlPlane) -> None:
    aws = aws_of(plane)
    discover(aws, IDENTITY)
    plane.stop()
    plane.start()
    discover(aws, IDENTITY)
    aws.close()
