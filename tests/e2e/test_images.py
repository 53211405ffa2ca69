"""Images through the whole of Berth: who pulled what outlives the agent that pulled it."""

import json

from tests.support import faults
from tests.support.berth import RunningBerth, until

AWSVPC = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}


def records(berth: RunningBerth) -> list[str]:
    """The names of the images that this Berth's agents have pulled."""
    kept = json.loads((berth.data / "images.json").read_text())
    assert kept["pulling"] == {}
    return [name for image in kept["images"] for name in image["names"]]


def test_what_a_fargate_tasks_agent_pulled_is_known_to_the_agents_after_it(
    berth: RunningBerth, busybox_image: str, image: str
) -> None:
    ours = berth.push(busybox_image, "e2e/owned")
    # Taken from the engine again, so that the task's agent is who brings it.
    berth.run("docker", "--host", berth.engine.host, "rmi", ours)
    berth.client("ecs").register_task_definition(
        family="fargate-owned",
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        containerDefinitions=[{"name": "main", "image": ours, "command": ["true"]}],
    )

    task = faults.stopped(berth, "fargate-owned", launchType="FARGATE", networkConfiguration=AWSVPC)
    faults.stopped(berth, faults.register(berth, "there-already", image, "true"))

    assert task["containers"][0]["exitCode"] == 0
    until("the task's agent is gone", lambda: not [*(berth.data / "capacities").glob("*/agent.json")])
    assert ours in records(berth)
    assert image not in records(berth), "who pushed it has it by hand"
    assert (berth.data / "images.json").stat().st_mode & 0o777 == 0o600
    assert berth.engine.client.images.get(ours)
