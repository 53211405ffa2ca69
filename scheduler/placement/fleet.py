"""The fleet: a cluster's hosts as columns, kept from one decision to the next and updated in place.

``put`` and ``drop`` follow what the store says, ``take`` what placement gives away. What is asked of hosts again and
again (their attributes, expressions, the tasks of a group) is remembered per question and asked anew of changed
hosts alone, so that no decision costs more for what runs already.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import blake2b

from scheduler.placement.arrays import Ints, Mask, Slots
from scheduler.placement.columns import Columns
from scheduler.placement.fields import Fields
from scheduler.placement.images import Images, slots_of
from scheduler.placement.leftovers import Leftovers
from scheduler.placement.members import Members
from scheduler.placement.ports import Ports
from scheduler.placement.refusal import Why
from scheduler.placement.tallies import Tallies
from scheduler.placement.world import Ask, Host

HURDLES = tuple(Why)


class Fleet:
    """Hosts by slot. Not thread-safe: one decision at a time."""

    def __init__(self, hosts: Iterable[Host] = ()) -> None:
        known = sorted(hosts, key=lambda host: host.id)
        self.columns = Columns(len(known))
        self.members = Members(len(known))
        self.ports = Ports(len(known))
        self.images = Images(len(known))
        self._told: list[Host | None] = [None] * len(known)
        self.fields = Fields(self._told)
        self.tallies = Tallies(self.columns, self.members, self.fields)
        self.version = 0
        """Another number after every change of anything."""
        self.standing: dict[object, Mask] = {}
        """Masks of who is open and has what an ask requires, by what it requires; emptied when either changes."""
        self.with_gpus = 0
        """How many hosts registered GPUs."""
        self._leftovers = Leftovers()
        self._surveyed = -1
        self._slots: dict[str, int] = {}
        self._ids = [""] * len(known)
        self._gpus: list[tuple[str, ...]] = [()] * len(known)
        self._touched: set[int] = set()
        self._spare = list(range(len(known) - 1, -1, -1))
        for host in known:
            if host.id in self._slots:
                raise ValueError("two hosts have the same id")
            self.put(host)

    def __len__(self) -> int:
        return len(self._slots)

    def __contains__(self, host_id: object) -> bool:
        return host_id in self._slots

    def ids(self) -> Sequence[str]:
        """The ids of all hosts."""
        return tuple(self._slots)

    def host(self, host_id: str) -> Host:
        """The host as it stands after what was taken; KeyError when there is none."""
        host = self.host_at(self._slots[host_id])
        assert host is not None, "a slot that an id leads to is in use"
        return host

    def put(self, host: Host) -> None:
        """Add the host, or replace all that is known of it."""
        slot = self._slots.get(host.id)
        before = None
        if slot is None:
            slot = self._open_slot(host.id)
        else:
            before = self._told[slot]
        self.version += 1
        self._told[slot] = host
        self._touched.discard(slot)
        self._gpus[slot] = host.gpus
        self.columns.put(slot, host)
        self.ports.put(slot, host.ports)
        recount = self.members.put(slot, host.groups)
        self.tallies.recount(recount)
        if before is None or before.registered_gpus != host.registered_gpus:
            self.with_gpus += bool(host.registered_gpus) - bool(before is not None and before.registered_gpus)
        if before is None or _profile(before) != _profile(host):
            self._stand(slot, host)

    def drop(self, host_id: str) -> None:
        """Forget the host; an id that is not known is nothing to forget."""
        slot = self._slots.pop(host_id, None)
        if slot is None:
            return
        gone = self._told[slot]
        assert gone is not None
        self._empty(slot, gone)
        self._spare.append(slot)

    def _empty(self, slot: int, gone: Host) -> None:
        """Empty the slot of a host that is gone."""
        nothing = Host(id="", registered_cpu=0, registered_memory=0, free_cpu=0, free_memory=0, status="", tasks=0)
        self.version += 1
        self._told[slot] = None
        self._touched.discard(slot)
        self._gpus[slot] = ()
        self.columns.put(slot, nothing)
        self.ports.put(slot, frozenset())
        self.images.emptied(slot)
        self.tallies.recount(self.members.put(slot, {}))
        self.with_gpus -= bool(gone.registered_gpus)
        self._stand(slot, nothing)

    def tell_image(self, image: str, hosts: Iterable[str]) -> None:
        """These hosts have what asks of this ``image`` need, and no others; ids that are not known are passed over."""
        self.images.tell(image, slots_of(hosts, self._slots))

    def take(self, slot: int, ask: Ask) -> tuple[str, ...]:
        """Give a task like the ask its share of the host; answers the GPUs that it gets."""
        self.version += 1
        self.columns.take(slot, ask, 1)
        self.members.add(slot, ask.group, 1)
        self.tallies.took(slot, ask.group, 1)
        self._touched.add(slot)
        if ask.ports:
            self.ports.take(slot, ask.ports)
        return self._pin(slot, ask.gpus, 1)[0] if ask.gpus else ()

    def take_all(self, slots: Slots, ask: Ask, counts: Ints) -> list[tuple[tuple[str, ...], ...]]:
        """Give each of many hosts, no host twice, so many tasks like the ask; answers each host's GPUs by task, and
        nothing where the ask has none."""
        if not len(slots):
            return []
        self.version += 1
        self.columns.take(slots, ask, counts)
        self.members.add_all(slots, ask.group, counts)
        self.tallies.took_all(slots, ask.group, counts)
        self._touched.update(slots.tolist())
        if ask.ports:
            for slot in slots.tolist():
                self.ports.take(slot, ask.ports)
        if not ask.gpus:
            return []
        return [self._pin(slot, ask.gpus, count) for slot, count in zip(slots.tolist(), counts.tolist(), strict=True)]

    def leftovers(self) -> Leftovers:
        """What is left over on the hosts that take tasks, as they stand."""
        if self._surveyed != self.version:
            c = self.columns
            self._leftovers.update(c.cpu, c.memory, c.per_cpu, c.per_memory, c.tasks * c.open)
            self._surveyed = self.version
        return self._leftovers

    def host_at(self, slot: int) -> Host | None:
        """The host of a slot as it stands."""
        host = self._told[slot]
        if host is None or slot not in self._touched:
            return host
        columns = self.columns
        return replace(
            host,
            free_cpu=int(columns.cpu[slot]),
            free_memory=int(columns.memory[slot]),
            ports=self.ports.on(slot),
            tasks=int(columns.tasks[slot]),
            groups=dict(self.members.on(slot)),
            free_addresses=None if host.free_addresses is None else int(columns.addresses[slot]),
            gpus=self._gpus[slot],
            resources={name: int(columns.resources[name][slot]) for name in host.resources},
        )

    def ids_at(self, slots: Slots) -> list[str]:
        """The ids of the hosts in slots that are in use."""
        return [self._ids[slot] for slot in slots.tolist()]

    def id_at(self, slot: int) -> str:
        """The id of the host in a slot that is in use."""
        return self._ids[slot]

    def _pin(self, slot: int, each: int, count: int) -> tuple[tuple[str, ...], ...]:
        have = self._gpus[slot]
        self._gpus[slot] = have[each * count :]
        return tuple(have[each * number : each * (number + 1)] for number in range(count))

    def _open_slot(self, host_id: str) -> int:
        if not self._spare:
            self._grow(self.columns.size + self.columns.size // 4 + 8)
        slot = self._slots[host_id] = self._spare.pop()
        self._ids[slot] = host_id
        self.columns.marks[slot] = int.from_bytes(blake2b(host_id.encode(), digest_size=8).digest())
        return slot

    def _grow(self, size: int) -> None:
        more = size - self.columns.size
        self._spare.extend(range(size - 1, self.columns.size - 1, -1))
        self._told.extend([None] * more)
        self._gpus.extend([()] * more)
        self._ids.extend([""] * more)
        self.columns.grow(size)
        self.members.grow(size)
        self.ports.grow(size)
        self.images.grow(size)
        self.fields.grow()

    def _stand(self, slot: int, host: Host) -> None:
        """Whether the host takes tasks, and what is asked of its profile, may be other than before."""
        columns = self.columns
        columns.used[slot] = self._told[slot] is not None
        columns.active[slot] = host.status == "ACTIVE"
        columns.open[slot] = host.status == "ACTIVE" and host.connected
        if not columns.open[slot]:
            columns.hurdle[slot] = HURDLES.index(_hurdle(host))
        self.fields.changed(slot, host)
        self.tallies.recount_all()
        self.standing.clear()


def _hurdle(host: Host) -> Why:
    if host.status == "ACTIVE":
        return Why.DISCONNECTED
    return Why.DRAINING if host.status == "DRAINING" else Why.INACTIVE


def _profile(host: Host) -> tuple[object, ...]:
    """What of a host tasks do not change."""
    return (
        host.status,
        host.connected,
        host.attributes,
        host.instance_id,
        host.agent_version,
        host.registered_at,
    )
