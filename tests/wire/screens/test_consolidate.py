"""``berth consolidate``: which hosts could be emptied, on a screen of 80 columns, through the clients it asks."""

from io import StringIO

import pytest
from rich.console import Console

from orchestrator.agents.presence import Presence
from orchestrator.cli.consolidate import consolidate
from tests.support.services import NEEDED, ServicesPlane

HALF = {"minimumHealthyPercent": 50, "maximumPercent": 149}
WHOLE = {"minimumHealthyPercent": 100, "maximumPercent": 200}


def shown(plane: ServicesPlane, moves: int = 20) -> str:
    screen = StringIO()
    console = Console(width=80, file=screen, highlight=False)
    for part in consolidate(plane.ecs, "default", moves):
        console.print(part)
    return " ".join(screen.getvalue().split())


def host_of(plane: ServicesPlane) -> str:
    """A host that has registered and is connected; answers its id."""
    arn: str = plane.ecs.register_container_instance(
        totalResources=[{"name": name, "type": "INTEGER", "integerValue": 1024} for name in ("CPU", "MEMORY")],
        attributes=[{"name": name} for name in NEEDED],
    )["containerInstance"]["containerInstanceArn"]
    host = arn.rsplit("/", 1)[-1]
    Presence(plane.store, plane.clock).arrived(host, "connection")
    return host


def spread_out(plane: ServicesPlane, **members: object) -> list[str]:
    """A service with one task on each of two hosts; answers the hosts."""
    hosts = [host_of(plane) for _ in range(2)]
    plane.register()
    plane.create(2, **members)
    plane.come_to_rest()
    assert {task.container_instance_id for task in plane.tasks()} == set(hosts)
    return hosts


def test_a_host_whose_tasks_fit_elsewhere_is_named_with_its_moves_and_how_to_drain_it(plane: ServicesPlane) -> None:
    hosts = spread_out(plane, deploymentConfiguration=HALF)
    told = shown(plane)
    assert told.startswith("1 move would empty 1 of the 2 hosts in use in default. task of from to")
    source = min(hosts)
    task = next(task for task in plane.tasks() if task.container_instance_id == source)
    assert f"{task.id[-8:]} service:web {source[-8:]} {max(hosts)[-8:]}" in told
    assert told.endswith(f"--status DRAINING \\ --cluster default \\ --container-instances {source}")


@pytest.mark.parametrize("configuration", [HALF, WHOLE])
def test_draining_the_named_host_empties_it_onto_the_other(plane: ServicesPlane, configuration: dict[str, int]) -> None:
    hosts = spread_out(plane, deploymentConfiguration=configuration)
    assert f"--container-instances {min(hosts)}" in shown(plane)
    plane.ecs.update_container_instances_state(containerInstances=[min(hosts)], status="DRAINING")
    for _ in range(4):
        plane.come_to_rest()
    assert [task.container_instance_id for task in plane.tasks()] == [max(hosts)] * 2


def test_nothing_is_moved_that_a_service_does_not_spare(plane: ServicesPlane) -> None:
    spread_out(plane, deploymentConfiguration={"minimumHealthyPercent": 100, "maximumPercent": 149})
    assert shown(plane) == (
        "None of the 2 hosts in use in default can be emptied by up to 20 moves. 2 of their 2 tasks are of services "
        "that spare none now (daemons, rollouts, and what their percentages hold)."
    )


def test_a_task_that_nobody_would_start_anew_holds_its_host(plane: ServicesPlane) -> None:
    hosts = spread_out(plane, deploymentConfiguration=HALF)
    plane.ecs.start_task(taskDefinition="web", containerInstances=hosts)
    plane.run()
    assert shown(plane, 5) == (
        "None of the 2 hosts in use in default can be emptied by up to 5 moves. 2 of their 4 tasks are of no service."
    )


def test_tasks_that_find_no_place_elsewhere_hold_their_hosts(plane: ServicesPlane) -> None:
    spread_out(plane, deploymentConfiguration=WHOLE, placementConstraints=[{"type": "distinctInstance"}])
    assert "Their tasks do not fit on the others, may not go there, or are too many to move." in shown(plane)


def test_where_there_is_nothing_to_move_together_that_is_told(plane: ServicesPlane) -> None:
    host_of(plane)
    assert shown(plane).startswith("No host is in use in default")
    plane.register()
    plane.create(1)
    plane.come_to_rest()
    assert shown(plane).startswith("Only one host is in use in default")
