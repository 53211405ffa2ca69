"""Wakes reach every listener of their name, also of thousands of names at once and in other processes."""

import threading

from state.store import Session, Store
from state.wakes import MOST_BYTES, WakeListener, Wakes, payloads


def test_payloads_carry_every_name_once_and_fit() -> None:
    names = {f"agent:{number:032x}" for number in range(6100)} | {"services", "ü" * 300}
    packed = payloads(names)
    assert sorted(name for payload in packed for name in payload.split("\n")) == sorted(names)
    assert all(len(payload.encode()) <= MOST_BYTES for payload in packed)
    assert len(packed) < 40
    assert payloads([]) == []


def test_a_wake_is_heard_by_those_who_listen_to_its_name() -> None:
    wakes, heard = Wakes(), []
    stop = wakes.listen("a", lambda: heard.append("a"))
    wakes.listen("b", lambda: heard.append("b"))
    wakes.send(f"{number}" for number in range(5000))
    wakes.send(["a", "b"])
    stop()
    wakes.send(["a", "b"])
    assert heard == ["a", "b", "b"]


def test_thousands_of_wakes_reach_another_process(postgresql_url: str) -> None:
    store, heard, listening = Store(postgresql_url), threading.Event(), threading.Event()
    wakes = Wakes()
    # A listener that has connected wakes everybody, since it may have missed something.
    wakes.listen("ready", listening.set)
    listener = WakeListener(store.url.set(drivername="postgresql").render_as_string(hide_password=False), wakes)
    listener.start()
    assert listening.wait(30)
    wakes.listen("the last", heard.set)

    def write(session: Session) -> None:
        session.wake(*(f"agent:{number:032x}" for number in range(6000)), "the last")

    store.transact(write)
    assert heard.wait(30)
    listener.stop()
    store.close()
