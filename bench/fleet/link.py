"""How the fleet reaches its agents: in this process, or in a child over a pipe, so that another core carries them.

Either way ``ask`` hands over what came and ``answer`` takes what the agents did; never more than one is under way.
"""

import multiprocessing
import signal
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Protocol

from bench.fleet.agents import Agents, Frame, Said
from bench.fleet.behaviour import Behaviour
from kit.garbage import calm_collector

Host = tuple[str, str, str]


class Link(Protocol):
    """One fleet's agents, wherever they are."""

    def join(self, hosts: Sequence[Host]) -> None: ...

    def ask(self, now: float, frames: Sequence[Frame], connected: Sequence[str]) -> None: ...

    def answer(self) -> Said: ...

    def behave(self, behaviour: Behaviour) -> None: ...

    def running(self) -> int: ...

    def close(self) -> None: ...


class InProcess:
    """The agents are played by the caller's own thread."""

    def __init__(self, behaviour: Behaviour, seed: int) -> None:
        self._agents = Agents(behaviour, seed)
        self._said = Said()

    def join(self, hosts: Sequence[Host]) -> None:
        self._agents.join(hosts)

    def ask(self, now: float, frames: Sequence[Frame], connected: Sequence[str]) -> None:
        self._said = self._agents.step(now, frames, connected)

    def answer(self) -> Said:
        return self._said

    def behave(self, behaviour: Behaviour) -> None:
        self._agents.behave(behaviour)

    def running(self) -> int:
        return self._agents.running()

    def close(self) -> None:
        pass


class InChild:
    """The agents are played by a child process; it ends when the pipe closes, however that comes about."""

    def __init__(self, behaviour: Behaviour, seed: int) -> None:
        # Not forked: this process may have threads already, and locks that they hold.
        context = multiprocessing.get_context("spawn")
        self._pipe, far = context.Pipe()
        self._process = context.Process(target=_play, args=(far, behaviour, seed), name="fleet", daemon=True)
        self._process.start()
        far.close()

    def join(self, hosts: Sequence[Host]) -> None:
        self._pipe.send(("join", hosts))

    def ask(self, now: float, frames: Sequence[Frame], connected: Sequence[str]) -> None:
        self._pipe.send(("step", now, frames, connected))

    def answer(self) -> Said:
        said: Said = self._pipe.recv()
        return said

    def behave(self, behaviour: Behaviour) -> None:
        self._pipe.send(("behave", behaviour))

    def running(self) -> int:
        self._pipe.send(("running",))
        count: int = self._pipe.recv()
        return count

    def close(self) -> None:
        self._pipe.close()
        self._process.join(10)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join()


def _play(pipe: Connection, behaviour: Behaviour, seed: int) -> None:
    # Ctrl-C is for the parent, whose end of the pipe then closes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    calm_collector()
    agents = Agents(behaviour, seed)
    try:
        while True:
            what, *arguments = pipe.recv()
            answer = getattr(agents, what)(*arguments)
            if what in ("step", "running"):
                pipe.send(answer)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
