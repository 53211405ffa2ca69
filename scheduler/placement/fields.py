"""Fields: what tasks do not change of a host (an attribute, the agent's version), as a number for each distinct value.

A question about a field is asked once a value, of one host that has it, and its answers are looked up for the others.
Fields are made when they are first asked for.
"""

from collections.abc import Callable, Hashable
from functools import lru_cache

import numpy as np

from scheduler.placement.arrays import Mask, Slots
from scheduler.placement.query_subjects import Check, read_comparison
from scheduler.placement.query_tree import Comparison
from scheduler.placement.world import Host

FEW = 16
"""So many values are looked through one by one, each a mask of its hosts."""
MOST_ANSWERS = 1024
ATTRIBUTE = "attribute"
_ABSENT = object()


class Field:
    """One field: each slot's value by number, and, when values are few, each value's hosts."""

    __slots__ = ("_answers", "_masks", "_numbers", "_samples", "codes")

    def __init__(self, size: int) -> None:
        self.codes: Slots = np.zeros(size, dtype=np.intp)
        self._numbers: dict[Hashable, int] = {}
        self._samples: list[Host] = []
        self._masks: list[Mask] | None = None
        self._answers: dict[Comparison, Mask] = {}

    def __len__(self) -> int:
        return max(len(self._samples), 1)

    def put(self, slot: int, value: Hashable, host: Host) -> None:
        """The host has this value."""
        number = self._numbers.setdefault(value, len(self._numbers))
        if number == len(self._samples):
            self._samples.append(host)
        self.codes[slot] = number
        self._masks = None

    def few(self) -> list[Mask] | None:
        """The hosts of each value, by number; None when values are many."""
        if self._masks is None and len(self) <= FEW:
            self._masks = [self.codes == number for number in range(len(self))]
        return self._masks

    def equals(self, value: Hashable) -> Mask:
        """The hosts with exactly this value."""
        mask: Mask = self.codes == self._numbers.get(value, -1)
        return mask

    def exists(self) -> Mask:
        """The hosts that have the attribute at all."""
        mask: Mask = self.codes != self._numbers.get(_ABSENT, -1)
        return mask

    def matches(self, comparison: Comparison) -> Mask:
        """The hosts of which a comparison of the field is true."""
        known = self._answers.get(comparison)
        if known is None or len(known) < len(self._samples):
            if len(self._answers) >= MOST_ANSWERS:
                self._answers.clear()
            check, before = check_of(comparison), 0 if known is None else len(known)
            answers = [] if known is None else known.tolist()
            answers += [check(host) for host in self._samples[before:]]
            known = self._answers[comparison] = np.array(answers or [False], dtype=np.bool_)
        mask: Mask = known[self.codes]
        return mask


class Fields:
    """Fields by subject and attribute name; ``told`` is each slot's host, or None where there is none."""

    def __init__(self, told: list[Host | None]) -> None:
        self._told = told
        self._fields: dict[tuple[str, str], Field] = {}

    def attribute(self, name: str) -> Field:
        """The field of an attribute."""
        return self.get(ATTRIBUTE, name)

    def get(self, subject: str, name: str = "") -> Field:
        """The field of a subject of the query language that tasks do not change."""
        found = self._fields.get((subject, name))
        if found is None:
            found = self._fields[subject, name] = Field(len(self._told))
            value_of = _reader(subject, name)
            for slot, host in enumerate(self._told):
                if host is not None:
                    found.put(slot, value_of(host), host)
        return found

    def changed(self, slot: int, host: Host) -> None:
        """The host may have other values than before."""
        for key, field in list(self._fields.items()):
            if len(field) > 2 * len(self._told) + 64:
                # Values that no host has any longer outnumber the others: begin anew when next asked.
                del self._fields[key]
            else:
                field.put(slot, _reader(*key)(host), host)

    def grow(self) -> None:
        """There are more slots now."""
        self._fields.clear()


@lru_cache(maxsize=1024)
def check_of(comparison: Comparison) -> Check:
    """A comparison that was parsed before, as a function of a host."""
    return read_comparison(comparison, [0] * len(comparison.arguments))


def _reader(subject: str, name: str) -> Callable[[Host], Hashable]:
    match subject:
        case "attribute":
            return lambda host: host.attributes.get(name, _ABSENT)
        case "agentVersion":
            return lambda host: host.agent_version
        case "agentConnected":
            return lambda host: host.connected
        case "registeredAt":
            return lambda host: host.registered_at
        case "ec2InstanceId":
            return lambda host: host.instance_id
        case unknown:
            raise ValueError(f"no field of a host is called {unknown!r}")
