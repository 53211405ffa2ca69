"""Clients in a process of their own: closed loops of small requests, and images pushed and pulled side by side.

Each function here is what such a process does; ``apart`` runs it, and hands back what it came to.
"""

import multiprocessing
import queue
import resource
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from bench.registry.outcome import Outcome
from bench.registry.wire import BadAnswer, Connection, head

T = TypeVar("T")
_SLOW = 60.0


class ClientFailed(Exception):
    """The process of a client ended without an outcome."""


def apart(work: Callable[..., T], *given: Any) -> T:
    """Run ``work`` in a process of its own; raises ClientFailed with what it raised there."""
    context = multiprocessing.get_context("spawn")
    near, far = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(far, work, given), daemon=True)
    process.start()
    far.close()
    try:
        good, found = near.recv()
    except EOFError:
        raise ClientFailed("a client ended before its work") from None
    finally:
        near.close()
        process.terminate()
        process.join()
    if not good:
        raise ClientFailed(found)
    outcome: T = found
    return outcome


def _work(pipe: Any, work: Callable[..., Any], given: Sequence[Any]) -> None:
    # A terminal's Ctrl-C is the business of the process that waits for us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65536)), hard))
    try:
        pipe.send((True, work(*given)))
    except Exception as error:
        pipe.send((False, f"{type(error).__name__}: {error}"))


def get_again(port: int, headers: str, paths: Sequence[str], connections: int, seconds: float) -> Outcome:
    """GET the paths again and again over kept connections, each with one request under way; 200 is expected."""
    requests = [head("GET", path, headers) for path in paths]
    lines = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
    took: list[float] = []
    moved = turn = 0
    clock, waiting = time.perf_counter, select.epoll()
    by_number = {line.fileno(): line for line in lines}
    begun: dict[int, float] = {}
    answers = dict.fromkeys(by_number, b"")
    cpu, began = _cpu(), clock()
    until = began + seconds
    try:
        for line in lines:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            waiting.register(line, select.EPOLLIN)
            begun[line.fileno()] = clock()
            line.sendall(requests[turn % len(requests)])
            turn += 1
        while begun:
            ready = waiting.poll(_SLOW)
            if not ready:
                raise BadAnswer("no answer came for a minute")
            for number, _ in ready:
                got = by_number[number].recv(262144)
                if not got:
                    raise BadAnswer("the server hung up")
                answer = answers[number] + got
                if not _is_whole(answer):
                    answers[number] = answer
                    continue
                if answer[9:12] != b"200":
                    raise BadAnswer(f"{answer[:300]!r}")
                now = clock()
                took.append(now - begun.pop(number))
                moved += len(answer)
                answers[number] = b""
                if now < until:
                    begun[number] = now
                    by_number[number].sendall(requests[turn % len(requests)])
                    turn += 1
        return Outcome(seconds=took, wall=clock() - began, moved=moved, client_cpu=_cpu() - cpu)
    finally:
        waiting.close()
        for line in lines:
            line.close()


def side_by_side(
    job: Callable[[Connection, T], int], jobs: Sequence[T], ports: Sequence[int], headers: str, width: int
) -> Outcome:
    """Do the jobs, ``width`` at a time, each thread on a connection of its own; ``job`` tells how many bytes it moved.

    With several ports the threads take turns among them. The first trouble ends all.
    """
    waiting: queue.SimpleQueue[T] = queue.SimpleQueue()
    for one in jobs:
        waiting.put(one)
    took: list[float] = []
    moved: list[int] = []
    errors: list[str] = []

    def work(number: int) -> None:
        try:
            with Connection(ports[number % len(ports)], headers) as connection:
                while not errors:
                    one = waiting.get_nowait()
                    began = time.perf_counter()
                    moved.append(job(connection, one))
                    took.append(time.perf_counter() - began)
        except queue.Empty:
            return
        except (OSError, BadAnswer) as error:
            errors.append(f"{type(error).__name__}: {error}")

    cpu, began = _cpu(), time.perf_counter()
    in_threads(work, width)
    wall = time.perf_counter() - began
    if errors:
        raise BadAnswer(errors[0])
    return Outcome(seconds=took, wall=wall, moved=sum(moved), client_cpu=_cpu() - cpu)


def in_threads(work: Callable[[int], None], width: int) -> None:
    """Run ``work`` in so many threads, each with its number."""
    threading.stack_size(512 * 1024)
    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(width)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _is_whole(answer: bytes) -> bool:
    at = answer.find(b"\r\n\r\n")
    if at < 0:
        return False
    lines = answer[:at].lower()
    told = lines.find(b"content-length:")
    if told < 0:
        return answer.endswith(b"0\r\n\r\n")
    return len(answer) - at - 4 >= int(lines[told + 15 :].split(b"\r\n", 1)[0])


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
