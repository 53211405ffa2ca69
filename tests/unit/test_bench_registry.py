"""The registry's benchmark: its arithmetic, its layers, and a client that believes nothing but whole answers."""

import hashlib
import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench.registry.clients import ClientFailed, apart, get_again, side_by_side
from bench.registry.layers import Layer, digest_of
from bench.registry.outcome import Outcome, cpu_per_gb, percentile
from bench.registry.wire import BadAnswer, Connection
from bench.registry.zb import mixed

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"


@contextmanager
def answering(*answers: bytes) -> Iterator[int]:
    """A server that sends these to one client, a piece at a time, whatever it is asked; its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        line, _ = listener.accept()
        with line:
            for answer in answers:
                asked = b""
                while b"\r\n\r\n" not in asked:
                    asked += line.recv(65536)
                for piece in (answer[:20], answer[20:]):
                    line.sendall(piece)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        thread.join(timeout=10)
        listener.close()


def test_a_percentile_is_the_nearest_rank() -> None:
    values = [float(number) for number in range(100, 0, -1)]
    assert [percentile(values, percent) for percent in (50, 99, 100)] == [50, 99, 100]
    assert percentile([7.0], 99) == 7
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 50)


def test_costs_are_told_for_a_gigabyte_and_rates_for_a_second() -> None:
    assert cpu_per_gb(0.5, 2_000_000_000) == 0.25
    assert Outcome(seconds=[1.0] * 10, wall=4.0).rate == 2.5


@pytest.mark.parametrize("size", [16, 17, 1_000_000, 1_000_016, 2_500_000])
def test_a_layer_has_its_size_and_its_digest_in_either_form(size: int) -> None:
    layer = Layer(size=size, number=3)
    whole = b"".join(layer.pieces())
    assert len(whole) == size
    assert layer.digest == digest_of(whole)
    assert layer.digest != Layer(size=size, number=4).digest
    assert decoded(b"".join(layer.chunks())) == whole
    assert layer.part(size // 2, 4) == whole[size // 2 : size // 2 + 4]


def test_a_manifest_names_what_is_pushed_with_it() -> None:
    layer = Layer(size=1000, number=1)
    said = json.loads(layer.manifest())
    assert said["layers"][0]["digest"] == layer.digest
    assert said["config"]["digest"] == f"sha256:{hashlib.sha256(layer.config()).hexdigest()}"


def test_a_mix_has_its_proportions_and_the_same_order_each_time() -> None:
    found = mixed(50)
    assert [found.count(factor) for factor in (1, 10, 100)] == [10, 35, 5]
    assert found == mixed(50)


@pytest.mark.parametrize("answer", [OK, CHUNKED], ids=["length", "chunks"])
def test_answers_are_read_to_their_end_and_no_further(answer: bytes) -> None:
    with answering(answer, OK, OK) as port, Connection(port) as connection:
        assert connection.call("GET", "/", expect=200).body == b"hello"
        dropped = connection.call("GET", "/", expect=200, keep=False)
        assert (dropped.body, dropped.length) == (b"", 5)
        with pytest.raises(BadAnswer, match="200 instead of 201: b'hello'"):
            connection.call("GET", "/", expect=201, keep=False)


def test_an_answer_that_is_cut_off_is_none() -> None:
    with answering(OK[:-1]) as port, Connection(port) as connection, pytest.raises(BadAnswer, match="ended within"):
        connection.call("GET", "/", expect=200, keep=False)


@pytest.mark.parametrize("answer", [OK, CHUNKED], ids=["length", "chunks"])
def test_a_closed_loop_counts_whole_answers(answer: bytes) -> None:
    with answering(answer) as port:
        outcome = get_again(port, "", ["/"], 1, 0.0)
    assert (len(outcome.seconds), outcome.moved) == (1, len(answer))


def test_a_closed_loop_takes_nothing_for_an_answer_but_200() -> None:
    with answering(OK.replace(b"200 OK", b"404 No")) as port, pytest.raises(BadAnswer, match="404"):
        get_again(port, "", ["/"], 1, 0.0)


def test_trouble_of_one_request_is_the_trouble_of_the_run() -> None:
    def refuse(connection: Connection, number: int) -> int:
        raise BadAnswer(f"no {number}")

    with answering() as port, pytest.raises(BadAnswer, match="no 1"):
        side_by_side(refuse, [1], [port], "", 1)


def test_work_apart_hands_back_what_it_came_to() -> None:
    assert apart(percentile, [1.0, 2.0, 3.0], 50) == 2.0
    assert apart(os.getpid) != os.getpid()
    with pytest.raises(ClientFailed, match="nothing"):
        apart(percentile, [], 50)


def decoded(chunks: bytes) -> bytes:
    """The body of a chunked message."""
    body = b""
    while True:
        size, _, chunks = chunks.partition(b"\r\n")
        length = int(size, 16)
        body, chunks = body + chunks[:length], chunks[length + 2 :]
        if length == 0:
            return body
