"""The world: every process, the network between them, and what happens next; all of it from one seed."""

import contextlib
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from random import Random

from agent.runtime import Temporary
from kit.clock import ManualClock
from kit.secrets import SecretBox
from kit.settings import Settings
from scheduler.provisioners.fake import FakeProvisioner
from state.clusters import ensure_cluster
from state.store import Store
from tests.support.simulation import wishes
from tests.support.simulation.control import Process, Replica, Scheduler, Turn
from tests.support.simulation.hosts import HostMachine, Machine, Size
from tests.support.simulation.invariants import Invariants
from tests.support.simulation.ledger import Ledger
from tests.support.simulation.network import Network
from tests.support.simulation.processes import Killed, Life, ProcessStore, SharedWakes, SkewedClock
from tests.support.simulation.promises import Promises
from tests.support.simulation.rates import PEACE, Rates
from tests.support.simulation.user import PROGRAMS, User
from tests.support.simulation.wishes import WISHES, jobs

CLUSTER = "default"
SECRETS = SecretBox(SecretBox.new_master_key())
KEPT = 60
DEEPEST = 2
PASSES = 500
Beat = Callable[[], object]


class World:
    """``rough`` makes trouble for so many steps; ``calm`` heals everything and lets it come to rest."""

    def __init__(self, seed: int, store: Store, folder: Path, *, rates: Rates = PEACE, hosts: int = 3) -> None:
        self.chance = Random(seed)
        self.clock = ManualClock()
        self.rates = PEACE
        self._rough = rates
        self.trace: deque[str] = deque(maxlen=KEPT)
        self.store = store
        self.ledger = Ledger()
        self.invariants = Invariants(self.ledger, Promises(self.ledger))
        self.settings = Settings(data=folder, task_retention_seconds=7 * 24 * 3600, provisioner="fake")
        self.provisioner = FakeProvisioner(patience=1)
        self._folder = folder
        self._wakes = SharedWakes(self._woken)
        self._depth = 0
        self._dirty = True
        store.transact(lambda session: ensure_cluster(session, CLUSTER, now=self.clock.now()))
        self.replicas = [self._new_replica(f"api-{number}") for number in range(2)]
        self.schedulers = [self._new_scheduler(f"scheduler-{number}") for number in range(2)]
        self.network = Network(self)
        self.hosts: list[HostMachine] = []
        for number in range(hosts):
            self.boot(self.add_host(f"host-{number}", Size(cpu=1024, memory=1024)))
        self.user = User(self.network.user_call, self.chance, self.ledger, self.clock, self.note)
        wishes.prepare(self.user)
        self._settle()
        jobs.ready(self.user)

    # What happens.

    def rough(self, steps: int) -> None:
        """Random steps of everyone, with trouble."""
        self.rates = self._rough
        for _ in range(steps):
            self.turn()
            self.check()
        self.rates = PEACE

    def calm(self, unsettled: Callable[["World"], list[str]], *, most: timedelta = timedelta(minutes=20)) -> None:
        """No more trouble: everyone lives and takes their turns until nothing is ``unsettled``, within ``most``."""
        self.note("calm")
        began_at = self.clock.now()
        self._heal()
        self._settle()
        wishes.tidy(self.user)
        while True:
            self._settle()
            left = unsettled(self)
            if not left:
                return
            passed = self.clock.now() - began_at
            if passed >= most:
                raise AssertionError("it never came to rest:\n" + "\n".join(left))
            # Most comes to rest soon; idle hosts and the last of some schedules take minutes.
            self._tick(1.0 if passed < timedelta(seconds=15) else 5.0)

    def turn(self) -> None:
        """One step of somebody."""
        beats: dict[Beat, int] = {
            self._wish: 3,
            self._scheduler_turn: 8,
            self._replica_turn: 8,
            self._host_turn: 16,
            self._time_passes: 4,
            self._trouble: 2,
        }
        self._take(self.chance.choices([*beats], [*beats.values()])[0])

    def check(self) -> None:
        """Hold everything against the invariants, when anything has changed that they speak of."""
        if self._dirty:
            self._dirty = False
            self.invariants.check(self.store, self.hosts)

    def note(self, text: str) -> None:
        """Remember what happened, for whoever has to understand a failure."""
        self.trace.append(f"{self.clock.now():%H:%M:%S.%f} {'  ' * self._depth}{text}")

    def rolls(self, rate: float) -> bool:
        """Whether something that happens at this rate happens now."""
        return rate > 0 and self.chance.random() < rate

    def _take(self, beat: Beat) -> None:
        with contextlib.suppress(Killed):
            beat()

    # Whose turn it is.

    def _wish(self) -> None:
        self.user.wish(self.chance.choices([*WISHES], [*WISHES.values()])[0])

    def _turns(self) -> list[Turn]:
        processes: list[Process] = [*self.schedulers, *self.replicas]
        return [turn for process in processes if process.life.alive for turn in process.turns if not turn.busy]

    def _due(self) -> list[Turn]:
        return [turn for turn in self._turns() if turn.due]

    def _scheduler_turn(self) -> None:
        due, turns = self._due(), self._turns()
        if turns:
            self.chance.choice(due if due and self.chance.random() < 0.9 else turns).take()

    def _replica_turn(self) -> None:
        served = [(replica, link) for replica in self.replicas for link in replica.links]
        if served:
            replica, link = self.chance.choice(served)
            replica.serve(link)

    def _host_turn(self) -> None:
        self._follow_provisioner()
        if self.hosts and (beats := self._beats_of(self.chance.choice(self.hosts))):
            self.chance.choice(beats)()

    def _beats_of(self, host: HostMachine) -> list[Beat]:
        """What the host's agent could do now."""
        agent = host.agent
        if agent is None:
            return []
        beats: list[Beat] = [agent.engine.step]
        if agent.executor.waiting:
            beats.append(agent.executor.step)
        if not agent.joined:
            return [*beats, agent.join]
        if agent.link is None:
            beats.append(lambda: agent.dial(self.network.dialler(host)))
        elif agent.link.to_agent or agent.link.broken:
            beats.append(agent.listen)
        return [*beats, agent.reporter.step]

    def _time_passes(self) -> None:
        self._tick(self.chance.choice((0.05, 0.3, 1.0, 4.0)))

    def _follow_provisioner(self) -> None:
        """Give life to the hosts that the provisioner has launched, and end those that it has taken away."""
        running = self.provisioner.running()
        for host in [host for host in self.hosts if host.capacity]:
            if host.capacity not in self.provisioner.hosts:
                host.die()
                self.hosts.remove(host)
            elif host.life.alive and host.capacity not in running:
                host.die()
        here = {host.capacity: host for host in self.hosts}
        for capacity, wanted in sorted(self.provisioner.hosts.items()):
            if capacity not in running:
                continue
            host = here.get(capacity)
            if host is None:
                self.note(f"capacity {capacity[-6:]} comes up")
                size = Size(cpu=wanted.cpu, memory=wanted.memory)
                host = self.add_host(f"capacity-{capacity[-6:]}", size, capacity, wanted.cluster)
            if not host.life.alive:
                self.boot(host)

    def _tick(self, seconds: float) -> None:
        self.clock.tick(seconds=seconds)
        for host in self.hosts:
            host.machine.settle()

    # Trouble.

    def here(self, life: Life, name: str, where: str, rate: float) -> None:
        """A process is about to go on: unless it has died meanwhile, dies now, or others get in between."""
        if not life.alive:
            raise Killed
        if self.rolls(rate):
            self.note(f"{name} is killed {where}")
            self._kill(life)
            raise Killed

    def in_between(self, life: Life) -> None:
        """Let others take turns in the middle of a process' step."""
        if self._depth < DEEPEST and self.rolls(self.rates.interleaved):
            self._depth += 1
            try:
                for _ in range(self.chance.randrange(1, 8)):
                    self.turn()
            finally:
                self._depth -= 1
            if not life.alive:
                raise Killed

    def _engine_answers(self, host: HostMachine, where: str) -> None:
        if self.rolls(self.rates.engine_trouble):
            self.note(f"the engine of {host.name} does not answer {where}")
            raise Temporary("no answer")

    def _kill(self, life: Life) -> None:
        for process in [*self.replicas, *self.schedulers, *self.hosts]:
            if process.life is life:
                self._end(process)

    def _end(self, process: Process | HostMachine) -> None:
        process.die()
        if isinstance(process, HostMachine) and process.capacity:
            self.provisioner.die(process.capacity)

    def _trouble(self) -> None:
        if self.rates is PEACE:
            return
        roll = self.chance.random()
        if roll < 0.4:
            self._revive_one()
        elif roll < 0.6:
            self.network.repeat_late()
        elif roll < 0.75:
            self.network.break_one()
        elif roll < 0.85:
            self._end_a_container()
        elif roll < 0.88:
            self._trouble_a_host()
        elif roll < 0.92:
            self.network.repeat_frame(self.hosts)
        elif roll < 0.95:
            if self.rolls(self.rates.refused * 10):
                self.note("the next capacity will be refused")
                self.provisioner.refuse_next("no room for it")
        else:
            victim = self.chance.choice([*self.replicas, *self.schedulers, *self.hosts])
            if victim.life.alive:
                self.note(f"{victim.name} is killed")
                self._end(victim)

    def _revive_one(self) -> None:
        dead = [p for p in [*self.replicas, *self.schedulers, *self.hosts] if not p.life.alive]
        if dead:
            self._revive(self.chance.choice(dead))

    def _revive(self, process: Process | HostMachine) -> None:
        self.note(f"{process.name} starts again")
        match process:
            case Replica():
                self.replicas[self.replicas.index(process)] = self._new_replica(process.name)
            case Scheduler():
                self.schedulers[self.schedulers.index(process)] = self._new_scheduler(process.name)
            case HostMachine():
                if not process.capacity:
                    # The others are started again by whoever launched them.
                    self.boot(process)

    def _end_a_container(self) -> None:
        running = [(host, state) for host in self.hosts for state in host.machine.containers() if state.started_at]
        if running:
            host, state = self.chance.choice(running)
            if state.status == "running" and not host.machine.away:
                self.note(f"{state.name} dies on {host.name}")
                host.machine.exit(state.id, 137)

    def _trouble_a_host(self) -> None:
        """An engine goes away for a while, or comes back."""
        host = self.chance.choice(self.hosts)
        self.note(f"the engine of {host.name} {'comes back' if host.machine.away else 'goes away'}")
        host.machine.come_back() if host.machine.away else host.machine.go_away()

    def _heal(self) -> None:
        for host in self.hosts:
            if host.machine.away:
                host.machine.come_back()
        for process in [*self.replicas, *self.schedulers, *self.hosts]:
            if not process.life.alive:
                self._revive(process)

    def _settle(self) -> None:
        """Everyone's turns, round and round, until nobody has anything to do at this instant."""
        for _ in range(PASSES):
            busy = False
            self._follow_provisioner()
            for turn in self._due():
                turn.take()
                busy = True
            for replica in self.replicas:
                for link in [*replica.links]:
                    busy |= replica.serve(link)
            for host in self.hosts:
                busy |= self._settle_host(host)
            self.check()
            if not busy:
                return
        raise AssertionError("it turns in circles: something wakes itself for ever")

    def _settle_host(self, host: HostMachine) -> bool:
        agent = host.agent
        if agent is None:
            return False
        busy = not agent.joined and agent.join()
        if agent.joined and agent.link is None:
            busy |= agent.dial(self.network.dialler(host))
        while agent.listen():
            busy = True
        busy |= agent.engine.step()
        while agent.executor.waiting:
            agent.executor.step()
            busy = True
        while agent.reporter.step():
            busy = True
        return busy

    # Processes.

    def _store_of(self, life: Life, name: str) -> ProcessStore:
        def at(where: str) -> None:
            self.here(life, name, where, self.rates.killed)
            self.in_between(life)

        return ProcessStore(self.store, self._wakes, at, self._written)

    def _new_replica(self, name: str) -> Replica:
        life = Life()
        return Replica(name, life, self._store_of(life, name), self._own_clock(), self.settings, SECRETS)

    def _new_scheduler(self, name: str) -> Scheduler:
        life = Life()
        provisioners = {"fake": self.provisioner}
        store = self._store_of(life, name)
        return Scheduler(name, life, store, self._own_clock(), self.settings, SECRETS, provisioners, self.chance)

    def _own_clock(self) -> SkewedClock:
        return SkewedClock(self.clock, timedelta(seconds=self.chance.uniform(-self._rough.skew, self._rough.skew)))

    def add_host(self, name: str, size: Size, capacity: str = "", cluster: str = CLUSTER) -> HostMachine:
        machine = Machine(
            clock=self.clock,
            programs=PROGRAMS,
            started=lambda task, container: self._started(name, task, container),
            changed=self._changed,
        )
        host = HostMachine(
            name=name, folder=self._folder / name, cluster=cluster, size=size, capacity=capacity, machine=machine,
            clock=self.clock, chance=self.chance,
        )  # fmt: skip
        self.hosts.append(host)
        return host

    def boot(self, host: HostMachine) -> None:
        life = Life()
        host.boot(
            life,
            lambda where: self.here(life, host.name, where, self.rates.agent_killed),
            lambda where: self._engine_answers(host, where),
            self.network.exchange(life),
        )

    def _written(self) -> None:
        """A transaction was committed: what must hold, holds now."""
        self._dirty = True
        self.check()

    def _changed(self) -> None:
        self._dirty = True

    def _started(self, host: str, task: str, container: str) -> None:
        self._dirty = True
        self.ledger.started(host, task, container)

    def _woken(self, name: str) -> None:
        if self.rolls(self.rates.wake_lost):
            return
        for process in [*self.schedulers, *self.replicas]:
            if process.life.alive:
                process.hear(name)
