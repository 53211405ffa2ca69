"""The endpoints of one agent put together: how they are reached, what they answer, and their one thread."""

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from agent.control.aws import Calls
from agent.endpoints.clock_drift import read_drift
from agent.endpoints.ids import EndpointIds
from agent.endpoints.metadata import Machine
from agent.endpoints.reach import Reach
from agent.endpoints.routes import Routes
from agent.endpoints.server import Server
from agent.endpoints.statistics import Statistics
from agent.endpoints.views import Views
from agent.endpoints.wiring import NoWiring, Wiring
from agent.runtime import EngineInfo, Runtime
from agent.tasks.model import Task
from kit.clock import Clock


class Endpoints:
    """Raises NoWiring where no container could reach them; ``door`` is as of Reach.

    ``clock`` is the machine's, and what is remembered is so by ``steady``, whatever is done to that.
    """

    def __init__(
        self,
        *,
        runtime: Runtime,
        engine: EngineInfo,
        data: Path,
        door: bool,
        zone: Callable[[], str],
        storage: Callable[[], Mapping[str, int]],
        tasks: Callable[[], Iterable[Task]],
        aws: Calls,
        clock: Clock,
        steady: Clock,
    ) -> None:
        if not engine.local or sys.platform != "linux":
            raise NoWiring("the engine is on another machine, or this one is no Linux")
        self._zone = zone
        self._storage = storage
        self._clock = clock
        try:
            ids = EndpointIds(data)
        except OSError as error:
            raise NoWiring(f"no key for the ids of containers can be kept in {data}: {error}") from error
        self._wiring = Wiring()
        self.reach = Reach(wiring=self._wiring, runtime=runtime, ids=ids, tasks=tasks, clock=clock, door=door)
        routes = Routes(
            tasks=tasks,
            ids=ids,
            views=Views(runtime=runtime, clock=steady),
            statistics=Statistics(runtime=runtime, clock=steady),
            machine=self._machine,
            aws=aws,
            clock=steady,
        )
        self._server = Server(self._wiring.listener, routes.answer, tick=self.reach.look_for_door)

    def recover(self) -> None:
        """After a restart: be reachable again for what runs."""
        self.reach.recover()

    def run(self) -> None:
        """Serve until stopped; closes what was opened."""
        try:
            self._server.run()
        finally:
            self._wiring.close()

    def stop(self) -> None:
        self._server.stop()

    def _machine(self) -> Machine:
        return Machine(zone=self._zone(), drift=read_drift(self._clock.now()), storage=self._storage())
