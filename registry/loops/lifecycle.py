"""The lifecycle loop: evaluates each repository's policy when it is due, and carries the answer out in bites."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from kit.clock import Clock
from kit.settings import Settings
from registry.lifecycle.carry_out import carry_out
from registry.lifecycle.evaluate import Fate, evaluate
from registry.lifecycle.sight import look, read_kept_policy
from registry.uses import images_in_use
from state.lifecycle_policies import get_lifecycle_policy, list_due_policies, next_due_policy
from state.loop import Leases, Loop
from state.store import Session, Store

# Images in one transaction: others want to write, too.
BITE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """What a policy's evaluation found."""

    repository: str
    text: str
    fates: tuple[Fate, ...]
    # Whether these are all.
    whole: bool


class LifecycleLoop(Loop):
    """Evaluates every policy once in ``period``, and a new one at once."""

    name: ClassVar[str] = "lifecycle"
    every = timedelta(minutes=10)

    def __init__(
        self, store: Store, clock: Clock, leases: Leases, *, settings: Settings, period: timedelta = timedelta(hours=1)
    ) -> None:
        super().__init__(store, clock, leases)
        self._settings = settings
        self._period = period

    def observe(self, session: Session, now: datetime) -> Evaluated | None:
        due = list_due_policies(session, now=now, limit=1)
        if not due:
            return None
        policy = due[0]
        uses = images_in_use(session, self._settings)
        images = look(session, policy.repository, uses=uses)
        fates = [fate for fate in evaluate(read_kept_policy(policy.text), images, now=now) if not fate.kept]
        return Evaluated(
            repository=policy.repository, text=policy.text, fates=tuple(fates[:BITE]), whole=len(fates) <= BITE
        )

    def decide(self, seen: Evaluated | None, now: datetime) -> Evaluated | None:
        return seen

    def record(self, session: Session, outcome: Evaluated, now: datetime) -> None:
        uses = images_in_use(session, self._settings)
        policy = get_lifecycle_policy(session, outcome.repository)
        # A policy that was replaced or taken away since removes nothing more.
        if policy is None or policy.text != outcome.text:
            return
        done = carry_out(session, outcome.repository, outcome.fates, uses=uses, now=now)
        # What could not be done is left to the next evaluation, or one image would hold up all others.
        if outcome.whole or not done:
            policy.evaluated_at, policy.due_at = now, now + self._period

    def next_look(self, seen: Evaluated | None, now: datetime) -> datetime | None:
        return self.store.read(next_due_policy)
