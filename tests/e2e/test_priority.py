"""What looks after containers goes before them: a Berth that is up, beside a container of its own."""

import os

from tests.support import faults
from tests.support.berth import TASK_LABEL, RunningBerth
from tests.support.priority import reached


def niceness(pid: int) -> int:
    return os.getpriority(os.PRIO_PROCESS, pid)


def test_control_plane_and_agent_go_before_containers(berth: RunningBerth, image: str) -> None:
    assert niceness(faults.control_plane(berth)) == niceness(faults.local_agent(berth)) == reached()

    family = faults.register(berth, "busy", image, "sleep", "300")
    task = berth.client("ecs").run_task(taskDefinition=family)["tasks"][0]["taskArn"]
    faults.all_at(berth, "RUNNING", [task])
    (container,) = [each for each in berth.engine.containers(TASK_LABEL) if each.labels[TASK_LABEL] == task]
    assert niceness(container.attrs["State"]["Pid"]) == 0
    berth.client("ecs").stop_task(task=task)
