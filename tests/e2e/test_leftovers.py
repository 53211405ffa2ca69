"""The check that every Berth under test ends with: it must see what there is to see."""

from tests.support import faults
from tests.support.berth import RunningBerth, until


def test_whatever_runs_is_seen(berth: RunningBerth, image: str) -> None:
    faults.stop_all(berth)
    ecs = berth.client("ecs")
    ecs.register_task_definition(
        family="seen",
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        containerDefinitions=[{"name": "main", "image": image, "command": ["sleep", "300"], **faults.ENDS_WHEN_TOLD}],
    )
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    started = ecs.run_task(taskDefinition="seen", launchType="FARGATE", networkConfiguration=network)
    task = started["tasks"][0]["taskArn"]
    until("it runs", lambda: ecs.describe_tasks(tasks=[task])["tasks"][0]["lastStatus"] == "RUNNING")
    left = berth.left()
    assert {what.split()[0] for what in left} == {"container", "process", "cgroup"}
    # The control plane, the agent of this host, and the agent of the task's own.
    assert sum(what.startswith("process") for what in left) >= 3
    ecs.stop_task(task=task)
    until("it is gone", lambda: not [what for what in berth.left() if not what.startswith("process")])
