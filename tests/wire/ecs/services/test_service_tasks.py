"""Tasks that a service starts, through boto3: what tells clients whose they are."""

from tests.support.services import ServicesPlane


def test_a_services_task_says_whose_it_is_and_has_no_overrides(plane: ServicesPlane) -> None:
    plane.add_host()
    plane.register()
    service = plane.create(1, propagateTags="SERVICE", tags=[{"key": "team", "value": "web"}])
    plane.step(2)
    (arn,) = plane.ecs.list_tasks(serviceName="web")["taskArns"]
    task = plane.ecs.describe_tasks(tasks=[arn], include=["TAGS"])["tasks"][0]
    assert task["group"] == "service:web"
    assert task["startedBy"] == service["deployments"][0]["id"]
    assert task["tags"] == [{"key": "team", "value": "web"}]
    assert task["overrides"] == {"containerOverrides": [], "inferenceAcceleratorOverrides": []}
