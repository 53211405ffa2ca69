"""The disk of the data directory is full: writes are refused with a code, reads go on, and space heals all of it."""

import base64
import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from botocore.exceptions import ClientError

from tests.support import faults
from tests.support.berth import RunningBerth, running_berth, until
from tests.support.engine import Engine

pytestmark = pytest.mark.alone

SIZE = "64m"
RETRIED = ("ServiceUnavailable", "ServerException")


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallDisk:
    """A file system of a few megabytes with a Berth on it."""

    path: Path
    berth: RunningBerth

    @property
    def filler(self) -> Path:
        return self.path / "filler"

    def fill(self) -> None:
        """Take every byte that is left, and go on taking what is given back until the store has felt it."""
        until("the store has no room left", self._felt)

    def free(self) -> None:
        self.filler.unlink()

    def _felt(self) -> bool:
        with self.filler.open("ab", buffering=0) as file, suppress(OSError):
            while file.write(bytes(65536)):
                pass
        with self.filler.open("ab", buffering=0) as file, suppress(OSError):
            while file.write(bytes(1)):
                pass
        try:
            # What the write-ahead log already occupies can still be written.
            faults.once(self.berth, "ecs").create_cluster(
                clusterName="c" * 200, tags=[{"key": "k", "value": "v" * 250}]
            )
            faults.once(self.berth, "ecs").delete_cluster(cluster="c" * 200)
        except ClientError as error:
            return error.response["Error"]["Code"] in RETRIED
        return False


@pytest.fixture(scope="module")
def disk(docker_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    if os.geteuid() != 0:
        pytest.fail("a file system of its own needs root; run the tests as root", pytrace=False)
    mount = tmp_path_factory.mktemp("disk")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "berth-test", str(mount)], check=True)
    try:
        with running_berth(docker_engine, directory=mount) as running:
            yield SmallDisk(path=mount, berth=running)
    finally:
        subprocess.run(["umount", "--lazy", str(mount)], check=True)


@pytest.fixture(scope="module")
def image(disk: SmallDisk, busybox_image: str) -> str:
    return disk.berth.push(busybox_image, "faults/busybox")


def test_writes_are_refused_reads_go_on_and_space_heals(disk: SmallDisk, image: str) -> None:
    berth = disk.berth
    family = faults.register(berth, "sleeps", image, "sleep", "600")
    kept, dies = [faults.run_one(berth, family) for _ in range(2)]
    tasks = faults.all_at(berth, "RUNNING", [kept, dies])
    ids = faults.runtime_ids(tasks)
    disk.fill()
    try:
        calls: tuple[Callable[[], object], ...] = (
            lambda: faults.once(berth, "ecs").run_task(taskDefinition=family),
            lambda: faults.once(berth, "ecs").create_service(serviceName="no", taskDefinition=family, desiredCount=1),
            lambda: faults.once(berth, "logs").create_log_group(logGroupName="/full"),
            lambda: faults.once(berth, "ecr").create_repository(repositoryName="full"),
        )
        for call in calls:
            with pytest.raises(ClientError) as refused:
                call()
            response = refused.value.response
            assert response["Error"]["Code"] in RETRIED, response
            assert response["ResponseMetadata"]["HTTPStatusCode"] in (500, 503)
            assert "disk" in response["Error"]["Message"] and "Traceback" not in response["Error"]["Message"]
        assert {task["lastStatus"] for task in faults.describe(berth, ids)} == {"RUNNING"}
        assert faults.runtime_ids(faults.describe(berth, ids)) == ids
        berth.engine.client.containers.get(ids[dies]).kill()
        assert requests.get(f"{berth.environment['AWS_ENDPOINT_URL']}/healthz", timeout=10).status_code == 200
        assert "RUNNING" in berth.berth("status")
    finally:
        disk.free()

    (ended,) = faults.all_at(berth, "STOPPED", [dies])
    assert ended["containers"][0]["exitCode"] == 137
    assert faults.runtime_ids(faults.describe(berth, [kept])) == {kept: ids[kept]}
    after = faults.run_one(berth, family)
    faults.all_at(berth, "RUNNING", [after])
    assert set(faults.tasks_of(berth, family=family)) == {kept, dies, after}
    faults.stop_all(berth)


def test_a_push_is_refused_with_a_code_and_goes_on_where_it_stood(disk: SmallDisk, image: str) -> None:
    blob = os.urandom(3_000_000)
    digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
    ecr = disk.berth.client("ecr")
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    http = requests.Session()
    http.auth = tuple(base64.b64decode(token).decode().split(":", 1))  # type: ignore[assignment]
    registry = f"http://{disk.berth.registry}"
    started = http.post(f"{registry}/v2/faults/busybox/blobs/uploads/", timeout=10)
    upload = registry + started.headers["Location"]
    first = http.patch(upload, data=blob[:1_000_000], headers={"Content-Range": "0-999999"}, timeout=10)
    assert first.status_code == 202, first.text
    upload = registry + first.headers["Location"]
    disk.fill()
    try:
        refused = http.patch(upload, data=blob[1_000_000:], headers={"Content-Range": "1000000-2999999"}, timeout=30)
        assert refused.status_code in (503, 507), refused.text
        assert refused.json()["errors"][0]["code"] == "UNAVAILABLE"
        pushed = disk.berth.attempt("docker", "push", image)
        assert pushed.returncode == 0 or "disk" in pushed.stderr.lower() or "space" in pushed.stderr.lower()
    finally:
        disk.free()

    seen = http.get(upload, timeout=10)
    assert seen.status_code == 204, seen.text
    stands = int(seen.headers["Range"].partition("-")[2]) + 1
    assert 1_000_000 <= stands <= 3_000_000
    upload = registry + seen.headers["Location"]
    http.patch(upload, data=blob[stands:], headers={"Content-Range": f"{stands}-2999999"}, timeout=10)
    done = http.put(upload, params={"digest": digest}, timeout=10)
    assert done.status_code == 201, done.text
    fetched = http.get(f"{registry}/v2/faults/busybox/blobs/{digest}", timeout=10)
    assert fetched.content == blob
    http.close()
