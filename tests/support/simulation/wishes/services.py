"""Wishes about services: create, scale, change, deploy anew, delete."""

from typing import Any

from tests.support.simulation.user import User

# Each service has task definitions of its own; only one wants a fixed port, of which a host has one.
CHOICES = {
    "web": ("small-forever", "large-forever"),
    "api": ("small-forever", "small-later"),
    "edge": ("port-forever",),
    "frail": ("small-forever", "small-broken", "small-failing"),
}
PERCENTS = ((100, 200), (50, 100), (0, 100), (100, 150), (50, 200))
MOST = {"web": 2, "api": 4, "edge": 2, "frail": 3}


def create_service(user: User) -> None:
    name = user.chance.choice(sorted(CHOICES))
    desired = user.chance.randint(1, MOST[name])
    least, most = user.chance.choice(PERCENTS)
    definition = user.chance.choice(CHOICES[name])
    # Until there is an answer nobody knows what the service should be; the same below.
    user.ledger.services.pop(name, None)
    user.call(
        "ecs",
        "CreateService",
        serviceName=name,
        taskDefinition=definition,
        desiredCount=desired,
        deploymentConfiguration={"minimumHealthyPercent": least, "maximumPercent": most},
        clientToken=user.token(),
    )
    user.note(f"user: CreateService {name} of {desired} × {definition} within {least}-{most}%")
    user.ledger.services[name] = desired


def update_service(user: User) -> None:
    name = user.chance.choice(sorted(CHOICES))
    changes: dict[str, Any] = {}
    match user.chance.randrange(3):
        case 0:
            changes["desiredCount"] = user.chance.randint(0, MOST[name])
        case 1:
            changes["taskDefinition"] = user.chance.choice(CHOICES[name])
        case _:
            changes["forceNewDeployment"] = True
    user.ledger.services.pop(name, None)
    answer = user.call("ecs", "UpdateService", service=name, **changes)
    user.note(f"user: UpdateService {name} {changes}")
    user.ledger.services[name] = answer["service"]["desiredCount"]


def delete_service(user: User) -> None:
    name = user.chance.choice(sorted(CHOICES))
    user.ledger.services.pop(name, None)
    user.call("ecs", "DeleteService", service=name, force=True)
    user.note(f"user: DeleteService {name}")
    user.ledger.services[name] = 0
