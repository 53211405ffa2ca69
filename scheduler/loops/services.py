"""The services loop: keeps every service at its desired tasks and carries its deployments through.

What it sees is decided upon by ``scheduler.rollout`` and written service by service, each in a transaction of its own
that first finds the service as it was seen; so a plan made on old sight does nothing, and tasks are never started
twice. Only this loop starts tasks of services.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import ClassVar

from kit.clock import Clock
from kit.settings import Settings
from scheduler.fleets import Fleets
from scheduler.loops.service_grounds import Grounds
from scheduler.loops.service_moves import Begun, answer_refusals, carry_out
from scheduler.loops.service_refusals import Refusal, Refusals, refusal_of
from scheduler.loops.service_sight import Needs, Revision, Sight, look
from scheduler.rollout import DeploymentSeen, RolloutPlan, ServiceSeen, decide, failed_start, is_healthy
from state.leases import Lease
from state.loop import Leases, Loop
from state.services import Service
from state.store import Session, Store

log = logging.getLogger(__name__)
MOST_KNOWN = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One service as seen, with its failed starts counted, and what to do about it."""

    sight: Sight
    plan: RolloutPlan
    judged: tuple[str, ...]
    """Stopped tasks whose ends have now been taken into account."""
    recounted: tuple[DeploymentSeen, ...]
    """Deployments whose count of failed starts has changed."""

    @property
    def version(self) -> int:
        """The service's, for which this was decided."""
        return self.sight.version

    @property
    def idle(self) -> bool:
        """Nothing to write."""
        plan, sight = self.plan, self.sight
        return not (
            self.judged
            or self.recounted
            or plan.start
            or plan.stop
            or plan.completed
            or plan.superseded
            or plan.failed
            or plan.drained
            or plan.events
            or plan.steady != sight.steady
            or (sight.service.status == "ACTIVE" and sight.service.desired != sight.desired_count)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortage:
    """A move that was carried out, but for starts that were refused; the service is in this version since."""

    move: Move
    begun: Begun
    version: int

    @property
    def sight(self) -> Sight:
        return self.move.sight


class ServicesLoop(Loop):
    """``chance`` gives the seeds of placement."""

    name: ClassVar[str] = "services"
    every = timedelta(seconds=5)

    def __init__(
        self,
        store: Store,
        clock: Clock,
        leases: Leases,
        settings: Settings,
        chance: Random | None = None,
        fleets: Fleets | None = None,
    ) -> None:
        super().__init__(store, clock, leases)
        self._settings = settings
        self._fleets = fleets or Fleets()
        self._chance = chance or Random()  # noqa: S311 (which of equal hosts is chosen is no secret)
        # Revisions never change, so what was read of one stays true.
        self._known: dict[Revision, Needs] = {}
        self._settle = timedelta(seconds=settings.service_settle_seconds)
        self._refusals = Refusals()
        self._grounds = Grounds(self._fleets)

    def step(self) -> datetime | None:
        """Look once. One service that cannot be carried out holds up no other."""
        lease = self.leases.hold(self.name)
        if lease is None:
            return None
        now = self.clock.now()
        sights = self.store.read(lambda session: self.observe(session, now))
        moves = self.decide(sights, now)
        trouble: Exception | None = None
        # Daemons first: what every host runs takes its room before what may run anywhere.
        for move in sorted(moves, key=lambda move: move.sight.service.scheduling_strategy != "DAEMON"):
            if move.idle:
                continue
            try:
                self._carry_out(lease, move)
            except Exception as error:
                log.exception("service left as it is", extra={"service": "/".join(move.sight.key)})
                trouble = error
        if trouble is not None:
            raise trouble
        return min((move.plan.retry_at for move in moves if move.plan.retry_at is not None), default=None)

    def observe(self, session: Session, now: datetime) -> list[Sight]:
        if len(self._known) > MOST_KNOWN:
            self._known.clear()
        self._refusals.look(session, now)
        return look(session, self._known, self._grounds, now=now, settle=self._settle)

    def decide(self, seen: Sequence[Sight], now: datetime) -> list[Move]:
        return [self._without_refused(decide_move(sight, now, settle=self._settle)) for sight in seen]

    def _carry_out(self, lease: Lease, move: Move) -> None:
        shortage = self.record_guarded(lease, move)
        if shortage is not None and (refusal := self.record_guarded(lease, shortage)) is not None:
            self._refusals.note(move.sight, refusal)

    def record(self, session: Session, outcome: Move | Shortage, now: datetime) -> Shortage | Refusal | None:
        """Write a move, or what the refusal of its starts calls for. Answers what is to be done about it next."""
        service = session.get(Service, outcome.sight.key, with_for_update=True)
        if service is None or service.version != outcome.version:
            # Someone wrote in between: look again rather than act on what was.
            session.wake(self.name)
            return None
        if isinstance(outcome, Shortage):
            return self._answer(session, service, outcome, now)
        return self._begin(session, service, outcome, now)

    def _begin(self, session: Session, service: Service, move: Move, now: datetime) -> Shortage | None:
        sight, plan = move.sight, move.plan
        begun = carry_out(
            session,
            service,
            sight.service,
            plan,
            judged=move.judged,
            recounted=move.recounted,
            at=sight.at,
            now=now,
            seed=self._chance.getrandbits(32),
            settings=self._settings,
            fleets=self._fleets,
        )
        if begun.refused:
            session.flush()
            return Shortage(move=move, begun=begun, version=service.version)
        if begun.waiting or (sight.more and (plan.stop or move.judged)):
            session.wake(self.name)
        return None

    def _answer(self, session: Session, service: Service, shortage: Shortage, now: datetime) -> Refusal:
        sight, plan = shortage.sight, shortage.move.plan
        answer_refusals(session, service, sight.service, plan, shortage.begun, at=sight.at, now=now)
        session.flush()
        return refusal_of(session, sight, plan, version=service.version)

    def _without_refused(self, move: Move) -> Move:
        if move.plan.start and self._refusals.stands(move.sight):
            return replace(move, plan=replace(move.plan, start=()))
        return move


def decide_move(sight: Sight, now: datetime, *, settle: timedelta) -> Move:
    """Count the failed starts that were seen, then decide. Pure.

    ``settle`` is how long a task without a health check must have run before it counts as healthy.
    """
    service = replace(sight.service, settle=settle)
    if service.scheduling_strategy == "DAEMON" and service.status == "ACTIVE":
        service = replace(service, desired=len(service.eligible_hosts))
    counted = tuple(
        _recount(service, deployment, reset=sight.reset_on_healthy, now=now) for deployment in service.deployments
    )
    judged = tuple(task.id for task in service.tasks if task.last_status == "STOPPED")
    recounted = tuple(new for new, old in zip(counted, service.deployments, strict=True) if new != old)
    service = replace(service, deployments=counted)
    return Move(sight=replace(sight, service=service), plan=decide(service, now), judged=judged, recounted=recounted)


def _recount(service: ServiceSeen, deployment: DeploymentSeen, *, reset: bool, now: datetime) -> DeploymentSeen:
    """The deployment with its failed starts in a row brought up to date."""
    own = [task for task in service.tasks if task.deployment_id == deployment.id]
    failed = [task for task in own if failed_start(task, settle=service.settle)]
    if failed:
        ends = [task.stopped_at or now for task in failed]
        deployment = replace(
            deployment,
            failed_tasks=deployment.failed_tasks + len(failed),
            last_failure_at=max([*ends, *([deployment.last_failure_at] if deployment.last_failure_at else [])]),
        )
    if not deployment.failed_tasks or not reset:
        return deployment
    since = deployment.last_failure_at or deployment.created_at
    # A task that was well before the failures forgives none of them.
    if any(task.started_at and task.started_at > since and is_healthy(service, task, now) for task in own):
        return replace(deployment, failed_tasks=0, last_failure_at=None)
    return deployment
