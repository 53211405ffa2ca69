"""Task protection through boto3: what may be protected and for how long, and that services leave such tasks alone."""

from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from scheduler.loops import service_names
from tests.support.services import ServicesPlane
from tests.support.tasks import SMALL

ARN = "arn:aws:ecs:us-east-1:123456789012:task/default/"


def served(plane: ServicesPlane, count: int) -> list[str]:
    """A service at rest; answers its tasks' ids, oldest first."""
    plane.add_host()
    plane.register()
    plane.create(count)
    plane.come_to_rest()
    return [task.id for task in plane.tasks()]


def protect(plane: ServicesPlane, *tasks: str, enabled: bool = True, **members: int) -> None:
    answer = plane.ecs.update_task_protection(
        cluster="default", tasks=list(tasks), protectionEnabled=enabled, **members
    )
    assert not answer["failures"]


def test_protection_lasts_two_hours_unless_told_otherwise(plane: ServicesPlane) -> None:
    first, second = served(plane, 2)
    about = datetime.now(UTC)
    answer = plane.ecs.update_task_protection(cluster="default", tasks=[first, ARN + second], protectionEnabled=True)
    assert [task["taskArn"] for task in answer["protectedTasks"]] == [ARN + first, ARN + second]
    for task in answer["protectedTasks"]:
        assert task["protectionEnabled"]
        assert abs(task["expirationDate"] - about - timedelta(hours=2)) < timedelta(minutes=1)
    protect(plane, first, expiresInMinutes=2880)
    protect(plane, second, enabled=False)
    told = plane.ecs.get_task_protection(cluster="default", tasks=[first, second])["protectedTasks"]
    assert told[0]["expirationDate"] - about > timedelta(hours=47)
    assert told[1] == {"taskArn": ARN + second, "protectionEnabled": False}


def test_only_running_tasks_of_services_can_be_protected(plane: ServicesPlane) -> None:
    (served_task,) = served(plane, 1)
    plane.ecs.register_task_definition(family="alone", containerDefinitions=[SMALL])
    alone = plane.ecs.run_task(taskDefinition="alone")["tasks"][0]["taskArn"]
    plane.ecs.stop_task(task=served_task)
    for answer in (
        plane.ecs.update_task_protection(
            cluster="default", tasks=[served_task, alone, "nobody"], protectionEnabled=True
        ),
        plane.ecs.get_task_protection(cluster="default", tasks=[served_task, alone, "nobody"]),
    ):
        assert not answer["protectedTasks"]
        assert [(failure["arn"], failure["reason"]) for failure in answer["failures"]] == [
            (ARN + served_task, "TASK_NOT_VALID"),
            (alone, "TASK_NOT_VALID"),
            (ARN + "nobody", "MISSING"),
        ]


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"expiresInMinutes": 0}, "InvalidParameterException"),
        ({"expiresInMinutes": 2881}, "InvalidParameterException"),
        ({"expiresInMinutes": -5, "protectionEnabled": False}, "InvalidParameterException"),
        ({"tasks": []}, "InvalidParameterException"),
        ({"tasks": ["t"] * 11}, "InvalidParameterException"),
        ({"cluster": "nowhere"}, "ClusterNotFoundException"),
    ],
)
def test_what_makes_no_sense_is_refused(plane: ServicesPlane, members: dict[str, object], code: str) -> None:
    asked = {"cluster": "default", "tasks": ["t"], "protectionEnabled": True, **members}
    with pytest.raises(ClientError) as refused:
        plane.ecs.update_task_protection(**asked)
    assert refused.value.response["Error"]["Code"] == code


@pytest.mark.parametrize("few", [service_names.FEW, 0], ids=["read whole", "read in part"])
def test_scaling_in_and_deployments_spare_protected_tasks_until_it_expires(
    plane: ServicesPlane, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(service_names, "FEW", few)
    ids = served(plane, 4)
    protect(plane, ids[0], ids[3], expiresInMinutes=60)
    plane.update(desiredCount=1)
    plane.come_to_rest()
    assert [task.id for task in plane.tasks()] == [ids[0], ids[3]]

    plane.register()
    plane.update(taskDefinition="web", desiredCount=2)
    plane.come_to_rest()
    alive = [task.id for task in plane.tasks()]
    assert {ids[0], ids[3]} < set(alive) and len(alive) == 4
    assert len(plane.service()["deployments"]) == 2

    plane.tick(hours=1)
    plane.come_to_rest()
    assert not {ids[0], ids[3]} & {task.id for task in plane.tasks()}
    assert len(plane.service()["deployments"]) == 1


def test_a_task_that_is_no_longer_protected_goes(plane: ServicesPlane) -> None:
    ids = served(plane, 2)
    protect(plane, *ids)
    plane.update(desiredCount=0)
    plane.come_to_rest()
    assert len(plane.tasks()) == 2
    protect(plane, ids[0], enabled=False)
    plane.come_to_rest()
    assert [task.id for task in plane.tasks()] == [ids[1]]


def test_whoever_stops_a_protected_task_by_hand_or_deletes_its_service_ends_it(plane: ServicesPlane) -> None:
    ids = served(plane, 2)
    protect(plane, *ids)
    assert plane.ecs.stop_task(task=ids[0])["task"]["desiredStatus"] == "STOPPED"
    plane.ecs.delete_service(service="web", force=True)
    plane.come_to_rest()
    assert not plane.tasks()
