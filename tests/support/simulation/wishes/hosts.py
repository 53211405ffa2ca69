"""Wishes about hosts: drain them, make them active again."""

from kit.ids import last_part
from tests.support.simulation.user import User


def drain_host(user: User) -> None:
    _change(user, "ACTIVE", "DRAINING")


def activate_host(user: User) -> None:
    _change(user, "DRAINING", "ACTIVE")


def activate_all(user: User) -> None:
    """Every host takes tasks again."""
    for arn in user.call("ecs", "ListContainerInstances", status="DRAINING")["containerInstanceArns"]:
        user.call("ecs", "UpdateContainerInstancesState", containerInstances=[arn], status="ACTIVE")


def _change(user: User, before: str, after: str) -> None:
    hosts = user.call("ecs", "ListContainerInstances", status=before)["containerInstanceArns"]
    if hosts:
        host = user.chance.choice(sorted(hosts))
        user.call("ecs", "UpdateContainerInstancesState", containerInstances=[host], status=after)
        user.note(f"user: host {last_part(host)[-6:]} is to be {after}")
