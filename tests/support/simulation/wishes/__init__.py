"""Wishes: what a user may ask for, one function each, and how often it is asked for."""

from collections.abc import Callable, Mapping

from tests.support.simulation.user import User
from tests.support.simulation.wishes import hosts, jobs, schedules, services, tasks

WISHES: Mapping[Callable[[User], None], int] = {
    tasks.run_tasks: 4,
    tasks.run_fargate: 2,
    tasks.stop_task: 4,
    services.create_service: 3,
    services.update_service: 3,
    services.delete_service: 1,
    hosts.drain_host: 1,
    hosts.activate_host: 1,
    jobs.submit_job: 4,
    jobs.terminate_job: 1,
    schedules.create_schedule: 1,
}


def prepare(user: User) -> None:
    """What the wishes stand on."""
    tasks.prepare(user)
    jobs.prepare(user)


def tidy(user: User) -> None:
    """So that whatever is still wanted can be had: nothing endless is in its way, every host takes tasks."""
    hosts.activate_all(user)
    tasks.tidy(user)
