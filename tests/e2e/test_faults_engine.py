"""The Docker Engine goes away under a Berth: the API goes on, nothing runs twice, and all heals when it is back."""

import pytest

from tests.support import faults
from tests.support.berth import RunningBerth, running_berth, until
from tests.support.engine import OwnEngine, connect
from tests.support.images import make_busybox_image

STEADY = {"Delay": 1, "MaxAttempts": 120}


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_an_engine_that_goes_and_comes_back(second_engine: OwnEngine, how: str) -> None:
    engine = connect(second_engine.host)
    try:
        image = make_busybox_image(engine, "berth-test/busybox:engine")
        # This engine is in a network of its own, from where it cannot pull from a registry on this machine's loopback.
        with running_berth(engine, image_pull_behavior="prefer-cached") as berth:
            outage(berth, second_engine, image, how)
    finally:
        engine.client.close()


def outage(berth: RunningBerth, host: OwnEngine, image: str, how: str) -> None:
    ecs = berth.client("ecs")
    family = faults.register(berth, "sleeps", image, "sleep", "600")
    ecs.create_service(serviceName="served", taskDefinition=family, desiredCount=2, launchType="EC2")
    ecs.get_waiter("services_stable").wait(services=["served"], WaiterConfig=STEADY)
    before = set(ecs.list_tasks(serviceName="served")["taskArns"])
    alone = faults.run_one(berth, family)
    faults.all_at(berth, "RUNNING", [alone])

    host.stop() if how == "stopped" else host.kill()
    # The API knows nothing of engines and answers as ever.
    assert berth.berth("status")
    asked = ecs.run_task(taskDefinition=family)
    meanwhile = [task["taskArn"] for task in asked["tasks"]]
    assert meanwhile or [failure["reason"] for failure in asked["failures"]] == ["AGENT"]
    host.start()

    (ended,) = faults.all_at(berth, "STOPPED", [alone])
    assert ended["stopCode"] == "EssentialContainerExited"
    assert ended["stoppedReason"]

    def replaced() -> set[str]:
        now = ecs.describe_services(services=["served"])["services"][0]
        tasks = set(ecs.list_tasks(serviceName="served")["taskArns"])
        return tasks if now["runningCount"] == 2 and not tasks & before else set()

    after = until("the service's tasks are replaced", replaced, seconds=120)
    for arn in after:
        assert len(faults.on_engine(berth, arn)) == 1
    for task in faults.describe(berth, meanwhile):
        assert task["lastStatus"] in ("PENDING", "RUNNING") or task["stoppedReason"]
    faults.all_at(berth, "RUNNING", [faults.run_one(berth, family)])
    faults.stop_all(berth)
