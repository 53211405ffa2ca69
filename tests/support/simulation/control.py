"""The control plane's processes: API replicas with a gateway and agents' connections, and schedulers with loops."""

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from kit.aws.gateway import Gateway
from kit.aws.http import HttpRequest
from kit.clock import Clock
from kit.ids import new_id, new_uuid
from kit.reconciler import Reconciler
from kit.secrets import SecretBox
from kit.settings import Settings
from orchestrator.agents.conversation import Conversation
from orchestrator.agents.handshake import Handshake
from orchestrator.agents.heartbeat import Heartbeat
from orchestrator.agents.presence import Presence
from orchestrator.errand import make_tools
from orchestrator.frame import make_execute
from orchestrator.loops import make_loops
from orchestrator.operations import SERVICES
from registry.storage.memory import MemoryStorage
from scheduler.provisioners import Provisioner
from state.loop import Leases
from state.store import Store
from tests.support.simulation.processes import Life
from tests.support.simulation.requests import KEYS

HEARTBEAT = timedelta(seconds=30)


@dataclass(slots=True, eq=False)
class Link:
    """One connection of an agent to a replica: two streams, each in order, until it breaks.

    ``broken`` is the network's truth; ``hung_up`` what the replica has noticed, ``dropped`` what the agent has.
    """

    conversation: Conversation
    connection_id: str
    beaten_at: datetime
    to_agent: deque[str] = field(default_factory=deque)
    to_server: deque[str] = field(default_factory=deque)
    woken: bool = True
    broken: bool = False
    hung_up: bool = False
    dropped: bool = False


@dataclass(slots=True, eq=False)
class Turn:
    """A reconciler and when its next turn is due, by its own process' clock."""

    reconciler: Reconciler
    clock: Clock
    due_at: datetime
    woken: bool = True
    busy: bool = False

    @property
    def due(self) -> bool:
        return self.woken or self.due_at <= self.clock.now()

    def take(self) -> None:
        """Step, as the reconciler's runner would."""
        self.woken = False
        self.busy = True
        # An alarm may be set meanwhile, to something earlier.
        self.due_at = self.clock.now() + self.reconciler.every
        try:
            due = self.reconciler.step()
        finally:
            self.busy = False
        if due is not None:
            self.due_at = min(due, self.due_at)


class Alarm:
    """Stands where a real timer wakes a loop: at the instant its turn is due."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn

    def set(self, at: datetime | None) -> None:
        if at is not None:
            self._turn.due_at = min(self._turn.due_at, at)


class Replica:
    """One API process. Its connections die with it; what it wrote stays."""

    def __init__(
        self, name: str, life: Life, store: Store, clock: Clock, settings: Settings, secrets: SecretBox
    ) -> None:
        self.name = name
        self.life = life
        self.store = store
        self.clock = clock
        self.settings = settings
        self.gateway = Gateway(
            SERVICES,
            find_key=KEYS.get,
            clock=clock,
            execute=make_execute(
                store,
                make_tools(store, MemoryStorage(clock=clock), clock=clock, settings=settings, secrets=secrets),
            ),
            region=settings.region,
            strict=True,
        )
        self._handshake = Handshake(store, clock, KEYS.get)
        self._presence = Presence(store, clock)
        self.links: list[Link] = []
        self.turns = [Turn(Heartbeat(self._presence, self.compare), clock, clock.now())]

    def connect(self, request: HttpRequest) -> Link:
        """Open an agent's connection; raises AwsError."""
        instance_id = self._handshake.admit(request, action="ecs:Poll", member="containerInstanceArn")
        conversation = Conversation(self.store, self.clock, self.settings, instance_id)
        link = Link(conversation, new_uuid(), self.clock.now())
        self._presence.arrived(instance_id, link.connection_id)
        link.to_agent.append(link.conversation.opening())
        self.links.append(link)
        return link

    def hear(self, name: str) -> None:
        """A wake."""
        for link in self.links:
            if name == f"agent:{link.conversation.instance_id}":
                link.woken = True

    def compare(self, marks: Mapping[str, int | None]) -> None:
        """What the heartbeat has seen of the hosts."""
        for link in self.links:
            link.woken |= link.conversation.compare(marks)

    def serve(self, link: Link) -> bool:
        """One beat of a connection: hang up, answer a frame, or say what is new; False when nothing was due."""
        if link.broken:
            if link.hung_up:
                return False
            link.hung_up = True
            self.links.remove(link)
            self._presence.left(link.conversation.instance_id, link.connection_id)
            return True
        if link.to_server:
            answer = link.conversation.answer(link.to_server.popleft())
            if answer is not None:
                link.to_agent.append(answer)
            return True
        now = self.clock.now()
        if now - link.beaten_at >= HEARTBEAT:
            link.beaten_at = now
            link.to_agent.append(link.conversation.heartbeat())
            return True
        if not link.woken:
            return False
        link.woken = False
        link.to_agent.extend(link.conversation.news())
        if link.conversation.closed:
            link.broken = True
        return True

    def die(self) -> None:
        """Every connection is reset; nobody is left to say that its agents are away."""
        self.life.alive = False
        for link in self.links:
            link.broken = link.hung_up = True
            link.to_agent.clear()
            link.to_server.clear()
        self.links.clear()


class Scheduler:
    """One scheduler process: its loops under leases of its own."""

    def __init__(
        self,
        name: str,
        life: Life,
        store: Store,
        clock: Clock,
        settings: Settings,
        secrets: SecretBox,
        provisioners: Mapping[str, Provisioner],
        chance: Random,
    ) -> None:
        self.name = name
        self.life = life
        leases = Leases(store, clock, f"{name}:{new_id()[-8:]}", length=timedelta(seconds=10))
        loops = make_loops(store, clock, leases, settings, provisioners, secrets)
        for loop in loops:
            # Which of equal hosts a loop chooses is left to chance: here to the seed's.
            if hasattr(loop, "_chance"):
                loop._chance = Random(chance.getrandbits(32))
        self.turns = [Turn(loop, clock, clock.now()) for loop in loops]
        for turn in self.turns:
            if hasattr(turn.reconciler, "_alarm"):
                turn.reconciler._alarm = Alarm(turn)

    def hear(self, name: str) -> None:
        """A wake."""
        for turn in self.turns:
            if turn.reconciler.name == name:
                turn.woken = True

    def die(self) -> None:
        """Its leases run out by themselves."""
        self.life.alive = False


def frame_of(text: str) -> tuple[str, dict[str, object]]:
    """Kind and message of a frame."""
    frame = json.loads(text)
    return frame["type"], frame["message"]


Process = Replica | Scheduler
