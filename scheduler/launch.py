"""Launching tasks: placement and reservation in the caller's own transaction, in bulk.

RunTask, the services loop and the jobs loop all come through ``launch_tasks``. A task on shared hosts is placed
here and now or refused; a Fargate task waits, PROVISIONING, for a host of its own. Placement in one cluster is
serial (``lock_cluster``); a host may still have changed between the look at it and the write, which then refuses it:
its tasks are placed again, and those of the other hosts stay.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert

from kit.ids import new_id, new_ids
from kit.settings import Settings
from scheduler.claims import Claim, claim
from scheduler.fleets import Fleets, View
from scheduler.image_notes import image_of
from scheduler.new_tasks import Launch, Mould, Place, TaskExtra
from scheduler.placement import Ask, GroupPlan, Objection, On, Placed, Reason, Refused, Why, ask_of, place
from scheduler.placement.refusal import MOST_OBJECTIONS
from state.capacities import Capacity
from state.clusters import lock_cluster
from state.store import Session
from state.task_births import bear_tasks

__all__ = ["Launch", "Launched", "TaskExtra", "launch_on", "launch_tasks"]

# How often tasks are placed again whose hosts refused what was planned.
ROUNDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """The tasks that were created; how many were not, and why."""

    ids: Sequence[str]
    refused: Refused | None = None
    missing: int = 0


def launch_tasks(
    session: Session,
    launch: Launch,
    count: int,
    *,
    now: datetime,
    seed: int,
    settings: Settings,
    fleets: Fleets | None = None,
    extras: Sequence[TaskExtra] = (),
) -> Launched:
    """Create ``count`` tasks, each placed and with its room reserved, or waiting for capacity of its own.

    The first task gets the first of ``extras``. Raises the ValueErrors of ``scheduler.placement`` for constraints,
    strategies and sizes that cannot be honoured.
    """
    mould = Mould(launch, now=now, settings=settings)
    if count <= 0:
        return Launched(ids=())
    if launch.launch_type == "FARGATE":
        return _await_capacity(session, mould, count, now=now, settings=settings, extras=extras)
    ask = _ask(mould)
    lock_cluster(session, launch.cluster)
    fleets = fleets or Fleets()
    ids: list[str] = []
    refused: Refused | None = None
    asking, missing = count, 0
    for turn in range(ROUNDS):
        with fleets.view(session, launch.cluster, addresses=ask.address) as view:
            definition = launch.task_definition
            view.note_images(session, launch.cluster, definition.family, definition.revision, now=now)
            plan = _plan(view, ask, asking, seed=seed + turn)
            claims = list(_claims(view, mould, plan.on))
        missing += plan.missing
        refused = plan.refused or refused
        held, turned_away = _write(session, mould, claims, extras[len(ids) :])
        ids += held
        asking = len(claims) - len(held)
        if not asking:
            break
    else:
        missing += asking
        refused = refused or _contended(ask, turned_away)
    return Launched(ids=ids, refused=refused, missing=missing)


def launch_on(
    session: Session,
    launch: Launch,
    container_instances: Sequence[str],
    *,
    now: datetime,
    settings: Settings,
    fleets: Fleets | None = None,
) -> tuple[Sequence[str], Sequence[Refused]]:
    """Create one task on each of the named hosts (StartTask, DAEMON): no strategy and no constraint, but the room must
    be there. Answers the tasks, and why hosts refused; a host that is not the cluster's or not there is passed over.
    """
    mould = Mould(launch, now=now, settings=settings)
    ask = _ask(mould, free_choice=False)
    lock_cluster(session, launch.cluster)
    on: list[On] = []
    refused: list[Refused] = []
    with (fleets or Fleets()).view(session, launch.cluster, addresses=ask.address) as view:
        for host, count in Counter(container_instances).items():
            if host not in view.fleet:
                continue
            for result in place([view.fleet.host(host)], [ask] * count, seed=0).results:
                match result:
                    case Placed():
                        on.append(On(host=host, count=1, gpus=(result.gpus,) if result.gpus else ()))
                    case Refused():
                        refused.append(result)
        claims = list(_claims(view, mould, on))
    ids, turned_away = _write(session, mould, claims, ())
    refused += [_contended(ask, [host]) for host in turned_away]
    return ids, refused


def _plan(view: View, ask: Ask, count: int, *, seed: int) -> GroupPlan:
    if count > 1:
        return view.place_group(ask, count, seed=seed)
    match view.place([ask], seed=seed).results[0]:
        case Refused() as refused:
            return GroupPlan(on=(), refused=refused, missing=1)
        case Placed() as placed:
            return GroupPlan(on=(On(host=placed.host, count=1, gpus=(placed.gpus,) if placed.gpus else ()),))


def _claims(view: View, mould: Mould, shares: Sequence[On]) -> Iterator[Claim]:
    ids = iter(new_ids(sum(on.count for on in shares)))
    for on in shares:
        network = view.network(on.host) if mould.demand.address else ""
        for number in range(on.count):
            yield Claim(next(ids), on.host, on.gpus[number] if on.gpus else (), network)


def _write(
    session: Session, mould: Mould, claims: Sequence[Claim], extras: Sequence[TaskExtra]
) -> tuple[Sequence[str], Sequence[str]]:
    """Take what the tasks need and write those that got it; answers them, and the hosts that refused."""
    claimed = claim(session, claims, mould.demand)
    ids = [one.task_id for one in claimed.held]
    places = [Place(one.host, one.gpus, one.network, claimed.addresses.get(one.task_id, "")) for one in claimed.held]
    bear_tasks(session, mould.alike, mould.births(ids, places=places, extras=extras), because="placed on ")
    session.wake(*{f"agent:{one.host}" for one in claimed.held})
    return ids, sorted(claimed.refused)


def _await_capacity(
    session: Session, mould: Mould, count: int, *, now: datetime, settings: Settings, extras: Sequence[TaskExtra]
) -> Launched:
    """Write each task together with the host it needs; the capacities loop launches it."""
    ids, capacities = new_ids(count), new_ids(count)
    wanted = {
        "status": "REQUESTED",
        "provisioner": settings.provisioner,
        "cluster": mould.launch.cluster,
        "purpose": "task",
        "cpu": mould.demand.cpu,
        "memory": mould.demand.memory,
        "requested_at": now,
    }
    # Flushed first: what the tasks refer to may be new in this session.
    session.flush()
    births = mould.births(ids, capacities=capacities, extras=extras)
    bear_tasks(session, mould.alike, births, because="waits for capacity of its own")
    session.execute(insert(Capacity), [{**wanted, "id": one.capacity_id, "task_id": one.id} for one in births])
    session.wake("capacities")
    return Launched(ids=ids)


def _ask(mould: Mould, *, free_choice: bool = True) -> Ask:
    launch = mould.launch
    body = launch.task_definition.body
    constraints = [*body.get("placementConstraints", ()), *launch.constraints] if free_choice else []
    return ask_of(
        body,
        mould.demand,
        id=new_id(),
        group=mould.group,
        constraints=constraints,
        strategy=launch.strategy,
        queued=launch.queued,
        image=image_of(launch.task_definition.family, launch.task_definition.revision),
    )


def _contended(ask: Ask, hosts: Sequence[str]) -> Refused:
    """The refusal of a task whose hosts took it when they were looked at and not when it was to be written."""
    return Refused(
        ask=ask.id,
        reasons=(Reason(why=Why.CONTENDED, hosts=len(hosts), closest=hosts[0]),),
        objections=tuple(Objection(host=host, why=Why.CONTENDED) for host in hosts[:MOST_OBJECTIONS]),
    )
