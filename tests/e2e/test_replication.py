"""Two Berths: what is pushed to one arrives in the other, asked for with the commands and clients people use."""

from collections.abc import Iterator

import pytest

from tests.support.berth import BERTH, RunningBerth, running_berth, until
from tests.support.engine import Engine


@pytest.fixture
def pair(docker_engine: Engine) -> Iterator[tuple[RunningBerth, RunningBerth]]:
    with running_berth(docker_engine) as here, running_berth(docker_engine, region="eu-west-1") as there:
        yield here, there


def test_a_push_to_one_berth_arrives_in_the_other(pair: tuple[RunningBerth, RunningBerth], busybox_image: str) -> None:
    here, there = pair
    key = there.environment
    told = here.run(
        *(*BERTH, "registry", "peers", "add", "eu-west-1", key["AWS_ENDPOINT_URL"], "--data", here.data),
        *("--account", there.account, "--access-key-id", key["AWS_ACCESS_KEY_ID"]),
        given=key["AWS_SECRET_ACCESS_KEY"] + "\n",
    )
    assert key["AWS_SECRET_ACCESS_KEY"] not in told
    destination = {"region": "eu-west-1", "registryId": there.account}
    here.client("ecr").put_replication_configuration(
        replicationConfiguration={"rules": [{"destinations": [destination]}]}
    )
    here.push(busybox_image, "team/web")
    image = {"imageTag": "1"}

    def arrived() -> bool:
        told = here.client("ecr").describe_image_replication_status(repositoryName="team/web", imageId=image)
        return [each["status"] for each in told["replicationStatuses"]] == ["COMPLETE"]

    until("the image is replicated", arrived)
    (sent,) = here.client("ecr").describe_images(repositoryName="team/web")["imageDetails"]
    (found,) = there.client("ecr").describe_images(repositoryName="team/web")["imageDetails"]
    assert (found["imageDigest"], found["imageTags"]) == (sent["imageDigest"], ["1"])
    events = there.berth("registry", "events")
    assert "PUSH" in events and "team/web" in events
