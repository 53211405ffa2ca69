"""The network: requests get lost on their way, or their answers do; some arrive twice, some much later again."""

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agent.control.aws import Unreachable
from kit.aws.http import HttpRequest, HttpResponse
from tests.support.simulation.control import Link
from tests.support.simulation.hosts import Dial, Exchange, HostMachine
from tests.support.simulation.processes import Killed, Life
from tests.support.simulation.requests import answer_of, user_request

if TYPE_CHECKING:
    from tests.support.simulation.world import World

MOST_LATE = 20


class Network:
    """Between clients and replicas."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._late: list[HttpRequest] = []

    def deliver(self, request: HttpRequest) -> HttpResponse:
        """One request to one replica that lives; raises Unreachable when there is no answer, done or not."""
        world = self._world
        replicas = [replica for replica in world.replicas if replica.life.alive]
        if not replicas or world.rolls(world.rates.request_lost):
            raise Unreachable("lost on its way")
        try:
            response = world.chance.choice(replicas).gateway.handle(request)
        except Killed:
            raise Unreachable("connection reset") from None
        if response.status == 500:
            raise AssertionError(f"an answer of 500: {response.body!r}")
        if world.rolls(world.rates.answer_lost):
            raise Unreachable("the answer was lost")
        return response

    def user_call(self, service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """A user's call; raises Refused, Unreachable."""
        return answer_of(self.deliver(user_request(service, operation, params, at=self._world.clock.now())))

    def exchange(self, life: Life) -> Exchange:
        """The way of one agent's calls."""

        def send(request: HttpRequest) -> tuple[int, bytes]:
            world = self._world
            try:
                response = self.deliver(request)
                if world.rolls(world.rates.repeated):
                    response = self.deliver(request)
            finally:
                if not life.alive:
                    raise Killed
                if world.rolls(world.rates.late) and len(self._late) < MOST_LATE:
                    self._late.append(request)
            return response.status, response.body

        return send

    def dialler(self, host: HostMachine) -> Dial:
        """The way of one agent's connections."""
        life = host.life

        def dial(request: HttpRequest) -> Link:
            world = self._world
            replicas = [replica for replica in world.replicas if replica.life.alive]
            if not replicas or world.rolls(world.rates.request_lost):
                raise Unreachable("lost on its way")
            try:
                link = world.chance.choice(replicas).connect(request)
            except Killed:
                raise Unreachable("connection reset") from None
            finally:
                if not life.alive:
                    raise Killed
            world.note(f"{host.name} connected")
            return link

        return dial

    def repeat_late(self) -> None:
        """An old request of some agent arrives once more; nobody waits for its answer."""
        if self._late:
            self._world.note("an old request arrives once more")
            with contextlib.suppress(Unreachable):
                self.deliver(self._late.pop(self._world.chance.randrange(len(self._late))))

    def repeat_frame(self, hosts: Sequence[HostMachine]) -> None:
        """A payload of earlier times reaches its host once more."""
        host = self._world.chance.choice(hosts)
        if host.agent is not None and host.agent.link is not None and host.heard:
            self._world.note(f"an old payload reaches {host.name} once more")
            host.agent.link.to_agent.append(self._world.chance.choice(host.heard))

    def break_one(self) -> None:
        """A connection breaks: what was under way on it is lost, and each end notices by itself, some time."""
        links = [link for replica in self._world.replicas for link in replica.links if not link.broken]
        if links:
            link = self._world.chance.choice(links)
            self._world.note(f"connection of {link.conversation.instance_id[-6:]} breaks")
            link.broken = True
            link.to_agent.clear()
            link.to_server.clear()
