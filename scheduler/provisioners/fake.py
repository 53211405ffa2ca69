"""Capacity in memory: for simulations and tests, which give its hosts life themselves.

Like any provisioner it may be asked anything twice. ``hosts`` is what exists, ``running`` what also lives.
"""

from scheduler.provisioners import CannotLaunch, Wanted


class FakeProvisioner:
    """A termination takes ``patience`` further calls; ``refuse_next`` makes launches fail."""

    def __init__(self, *, patience: int = 0) -> None:
        self.hosts: dict[str, Wanted] = {}
        self._patience = patience
        self._dead: set[str] = set()
        self._ending: dict[str, int] = {}
        self._refusals: list[str] = []

    def launch(self, wanted: Wanted) -> None:
        if self._refusals:
            raise CannotLaunch(self._refusals.pop(0))
        self.hosts.setdefault(wanted.id, wanted)
        self._dead.discard(wanted.id)

    def terminate(self, capacity_id: str) -> bool:
        if capacity_id not in self.hosts:
            return True
        self._dead.add(capacity_id)
        left = self._ending.setdefault(capacity_id, self._patience)
        if left:
            self._ending[capacity_id] = left - 1
            return False
        del self.hosts[capacity_id]
        del self._ending[capacity_id]
        self._dead.discard(capacity_id)
        return True

    def running(self) -> frozenset[str]:
        return frozenset(self.hosts.keys() - self._dead)

    def die(self, capacity_id: str) -> None:
        """The host's own process ends; what it left stays until it is launched again or terminated."""
        self._dead.add(capacity_id)

    def refuse_next(self, because: str) -> None:
        """The next launch fails."""
        self._refusals.append(because)
