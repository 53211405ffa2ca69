"""How schedules and their groups are named and found."""

from kit.ids import Arns
from orchestrator.api.scheduler.errors import ResourceNotFoundException
from orchestrator.call import Call
from state.schedule_groups import ScheduleGroup, get_schedule_group
from state.schedules import Schedule, get_schedule


def schedule_arn(arns: Arns, group: str, name: str) -> str:
    return arns.of("scheduler", f"schedule/{group}/{name}")


def group_arn(arns: Arns, name: str) -> str:
    return arns.of("scheduler", f"schedule-group/{name}")


def find_group(call: Call, name: str, *, hold: str | None = None) -> ScheduleGroup:
    """The group, or ResourceNotFoundException. ``hold`` is as in ``get_schedule_group``."""
    group = get_schedule_group(call.session, name, hold=hold)
    if group is None:
        raise ResourceNotFoundException(f"Schedule group {name} does not exist.")
    return group


def find_schedule(call: Call, group: str, name: str, *, hold: bool = False) -> Schedule:
    """The schedule, or ResourceNotFoundException."""
    schedule = get_schedule(call.session, group, name, hold=hold)
    if schedule is None:
        raise ResourceNotFoundException(f"Schedule {name} does not exist.")
    return schedule
