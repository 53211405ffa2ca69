"""Which credentials one connection has told its agent, and which it has to tell it (again).

The first come with the tasks; renewed ones go by themselves, and are repeated until the agent says that it has them.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from kit.clock import Clock
from orchestrator.agents.roles import RoleCredentials, Roles

# Renewing many tasks' keys at the same time is done together, so this little earlier is soon enough.
TOGETHER = timedelta(minutes=1)
# How long an agent has to acknowledge before it is told again.
PATIENCE = timedelta(seconds=25)


class ToldRoles:
    """Belongs to one conversation. Without ``roles`` there are none to tell."""

    def __init__(self, clock: Clock, instance_id: str, roles: Roles | None) -> None:
        self._clock = clock
        self._instance_id = instance_id
        self._roles = roles
        self._renew_at: datetime | None = None
        self._told: dict[str, str] = {}
        self._unacknowledged: dict[str, tuple[str, RoleCredentials]] = {}
        self._again_at: datetime | None = None

    @property
    def due(self) -> bool:
        """Whether there is something to tell by itself."""
        return self._renewing or self._repeating

    @property
    def _renewing(self) -> bool:
        return self._renew_at is not None and self._renew_at <= self._clock.now()

    @property
    def _repeating(self) -> bool:
        return bool(self._unacknowledged) and (self._again_at is None or self._again_at <= self._clock.now())

    def first(self, task_ids: Sequence[str]) -> dict[str, list[RoleCredentials]]:
        """The credentials that go with tasks that are told now."""
        if self._roles is None:
            return {}
        found = self._roles.credentials(task_ids)
        for own in found.values():
            for one in own:
                self._note(one)
        return found

    def again(self) -> Iterator[tuple[str, RoleCredentials]]:
        """Task and credentials: those renewed since they were told, and those that were told and not acknowledged."""
        if self._roles is None or not self.due:
            return
        if self._renewing:
            self._renew_at = None
            told, self._told = self._told, {}
            for task_id, own in self._roles.of_host(self._instance_id).items():
                for one in own:
                    self._note(one)
                    if told.get(one.credentials_id, one.access_key_id) != one.access_key_id:
                        self._unacknowledged[one.credentials_id] = (task_id, one)
            # A copy, since an acknowledgement may come in meanwhile, on another thread.
            waiting = list(self._unacknowledged.items())
            self._unacknowledged = {key: kept for key, kept in waiting if key in self._told}
        self._again_at = self._clock.now() + PATIENCE
        yield from list(self._unacknowledged.values())

    def acknowledged(self, credentials_id: str, expiration: str) -> None:
        """The agent has these credentials."""
        told = self._unacknowledged.get(credentials_id)
        if told is not None and (not expiration or told[1].expiration == expiration):
            self._unacknowledged.pop(credentials_id, None)

    def _note(self, one: RoleCredentials) -> None:
        self._told[one.credentials_id] = one.access_key_id
        at = one.renew_at + TOGETHER
        self._renew_at = at if self._renew_at is None else min(self._renew_at, at)
