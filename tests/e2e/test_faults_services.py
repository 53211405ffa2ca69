"""Services whose tasks cannot be placed or will not stay up: their events say why, and nothing storms."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import faults
from tests.support.berth import RunningBerth, running_berth, until
from tests.support.engine import Engine

STEADY = {"Delay": 1, "MaxAttempts": 60}


@pytest.fixture(scope="module")
def served(docker_engine: Engine) -> Iterator[RunningBerth]:
    """A Berth of this module's own, so that ``berth status`` shows its services alone."""
    with running_berth(docker_engine) as running:
        yield running


@pytest.fixture(scope="module")
def image(served: RunningBerth, busybox_image: str) -> str:
    return served.push(busybox_image, "faults/busybox")


@pytest.fixture(autouse=True)
def idle(served: RunningBerth) -> Iterator[None]:
    yield
    faults.stop_all(served)


def messages(ecs: Any, service: str) -> list[str]:
    return [event["message"] for event in ecs.describe_services(services=[service])["services"][0]["events"]]


def rollout(ecs: Any, service: str) -> str:
    """The state of the newest deployment."""
    return str(ecs.describe_services(services=[service])["services"][0]["deployments"][0]["rolloutState"])


def test_a_service_that_fits_nowhere_says_why(served: RunningBerth, image: str) -> None:
    ecs = served.client("ecs")
    huge = faults.register(served, "huge", image, "sleep", "600", memory=900_000)
    ecs.create_service(serviceName="huge", taskDefinition=huge, desiredCount=1)

    (told, *_) = until("the service has an event", lambda: messages(ecs, "huge"))

    assert "unable to place a task because no container instance met all of its requirements" in told
    assert "insufficient memory" in told
    shown = " ".join(served.berth("status").split())
    assert "huge 0/1" in shown.replace(":1", "") and "unable to place" in shown
    explained = " ".join(served.berth("explain", "huge").split())
    assert "memory: 900000 MiB asked" in explained and "No host is that large even when empty" in explained
    # The reason is told once, not at every look.
    assert len(messages(ecs, "huge")) == 1


def test_a_service_whose_container_crashes_is_throttled(served: RunningBerth, image: str) -> None:
    ecs = served.client("ecs")
    crashes = faults.register(served, "crashes", image, "sh", "-c", "exit 3")
    ecs.create_service(serviceName="crashes", taskDefinition=crashes, desiredCount=2)

    until(
        "the service says that it holds back",
        lambda: any("unable to consistently start tasks" in told for told in messages(ecs, "crashes")),
        seconds=120,
    )

    started = faults.tasks_of(served, serviceName="crashes")
    assert len(started) <= 24
    stopped = faults.describe(served, started)
    assert {task["containers"][0].get("exitCode") for task in stopped if task["lastStatus"] == "STOPPED"} == {3}


def test_the_circuit_breaker_rolls_a_crashing_deployment_back(served: RunningBerth, image: str) -> None:
    ecs = served.client("ecs")
    faults.register(served, "breaks", image, "sleep", "600")
    ecs.create_service(
        serviceName="breaks",
        taskDefinition="breaks:1",
        desiredCount=1,
        deploymentConfiguration={"deploymentCircuitBreaker": {"enable": True, "rollback": True}},
    )
    ecs.get_waiter("services_stable").wait(services=["breaks"], WaiterConfig=STEADY)
    # Only a deployment that was completed is rolled back to.
    until("the first deployment is completed", lambda: rollout(ecs, "breaks") == "COMPLETED")
    (kept,) = ecs.list_tasks(serviceName="breaks")["taskArns"]
    faults.register(served, "breaks", image, "sh", "-c", "exit 3")

    ecs.update_service(service="breaks", taskDefinition="breaks:2")

    def rolled_back() -> bool:
        (service,) = ecs.describe_services(services=["breaks"])["services"]
        return bool(service["taskDefinition"].endswith("breaks:1") and len(service["deployments"]) == 1)

    until("the old revision is back", rolled_back, seconds=60)
    assert any("rolling back" in told for told in messages(ecs, "breaks"))
    assert ecs.list_tasks(serviceName="breaks")["taskArns"] == [kept]


def test_a_service_whose_image_is_missing_holds_back_and_says_so(served: RunningBerth, image: str) -> None:
    ecs = served.client("ecs")
    missing = faults.register(served, "imageless", image.rpartition(":")[0] + ":never-pushed", "true")
    ecs.create_service(serviceName="imageless", taskDefinition=missing, desiredCount=1)

    until(
        "the service says that it holds back",
        lambda: any("unable to consistently start tasks" in told for told in messages(ecs, "imageless")),
        seconds=120,
    )

    stopped = faults.describe(served, faults.tasks_of(served, serviceName="imageless"))
    reasons = {task["stoppedReason"].partition(":")[0] for task in stopped if task["lastStatus"] == "STOPPED"}
    assert reasons == {"CannotPullContainerError"}
