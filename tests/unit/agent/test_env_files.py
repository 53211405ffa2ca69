"""Environment files: read as Docker reads them, from a real S3-compatible server, in ECS's order of precedence."""

from typing import Any

import boto3
import pytest
from botocore.config import Config

from agent.env_files import read_environment
from agent.keys import Keys
from agent.s3 import MOST_BYTES, S3, NoObject
from agent.tasks.model import Phase
from kit.clock import SystemClock
from registry.storage.s3 import Bucket
from tests.support.agent_process import container
from tests.unit.agent.calls import FakeCalls
from tests.unit.agent.host import MemoryHost
from tests.unit.agent.test_secrets import ROLE, environment


@pytest.fixture
def bucket(s3_bucket: Bucket, host: MemoryHost) -> Bucket:
    """A bucket that the host's containers get their files from."""
    host.inject(FakeCalls(), S3(endpoint=s3_bucket.endpoint, region="us-east-1", clock=SystemClock()))
    return s3_bucket


def put(bucket: Bucket, key: str, content: bytes) -> dict[str, str]:
    client = boto3.client(
        "s3",
        endpoint_url=bucket.endpoint,
        region_name="us-east-1",
        aws_access_key_id="AKIATESTS3",
        aws_secret_access_key="secret",
        config=Config(s3={"addressing_style": "path"}),
    )
    client.put_object(Bucket=bucket.name, Key=key, Body=content)
    client.close()
    return {"type": "s3", "value": f"arn:aws:s3:::{bucket.name}/{key}"}


def test_files_give_way_to_the_definition_and_the_first_file_goes_before_the_second(
    host: MemoryHost, bucket: Bucket
) -> None:
    files = [
        put(bucket, "a b/first.env", b"# comment\r\n\r\nA=first\r\nB=of=the file \r\n"),
        put(bucket, "second.env", b"A=second\nC=c\n  D=indented\nNOVALUE\n=nameless"),
    ]
    host.run("t1", container("c", "server", environmentFiles=files, environment={"C": "definition"}), **ROLE)
    seen = environment(host)
    assert {name: seen.get(name) for name in "ABCD"} == {
        "A": "first",
        "B": "of=the file ",
        "C": "definition",
        "D": "indented",
    }
    assert "NOVALUE" not in seen
    assert "of=the file" not in "".join(path.read_text() for path in host.data.rglob("*") if path.is_file())


def test_a_file_that_is_not_there_ends_the_task_and_says_which(host: MemoryHost, bucket: Bucket) -> None:
    missing = {"type": "s3", "value": f"arn:aws:s3:::{bucket.name}/none.env"}
    host.run("t1", container("c", "server", environmentFiles=[missing]), **ROLE)
    assert host.status("t1") is Phase.STOPPED
    reason = host.seen("t1", "c").reason
    assert reason.startswith("ResourceInitializationError: unable to download env files: ")
    assert "none.env: NoSuchKey" in reason


def test_a_store_that_is_away_is_asked_again_for_a_while(host: MemoryHost) -> None:
    host.inject(FakeCalls(), S3(endpoint="http://127.0.0.1:9", region="us-east-1", clock=host.clock))
    host.run("t1", container("c", "server", environmentFiles=[{"value": "arn:aws:s3:::bkt/x.env"}]), **ROLE)
    host.tick(1)
    assert host.status("t1") is None
    assert host.running() == []
    for _ in range(8):
        host.tick(30)
    report = host.last("t1")
    assert report
    assert report.status is Phase.STOPPED
    assert report.reason.startswith(
        "ResourceInitializationError: unable to download env files: service call has been retried "
    )


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"A B=1", b"A=1\x00"])
def test_a_file_that_is_none_is_refused(content: bytes) -> None:
    with pytest.raises(NoObject):
        read_environment(content, "f")


@pytest.mark.parametrize(
    ("arn", "endpoint", "complaint"),
    [
        ("s3://bucket/key", "http://127.0.0.1:9", "not the ARN of an S3 object"),
        ("arn:aws:s3:::bucket/key", "", "AWS_ENDPOINT_URL_S3"),
    ],
)
def test_what_can_not_be_asked_for_says_why(arn: str, endpoint: str, complaint: str) -> None:
    store: Any = S3(endpoint=endpoint, region="us-east-1", clock=SystemClock())
    with pytest.raises(NoObject, match=complaint):
        store.get(arn)


def test_no_more_is_read_than_fits(s3_bucket: Bucket) -> None:
    keys = Keys(access_key="AKIATESTS3", secret_key="secret")
    store = S3(endpoint=s3_bucket.endpoint, region="us-east-1", clock=SystemClock(), keys=keys)
    arn = put(s3_bucket, "big.env", b"A" * (MOST_BYTES + 1))["value"]
    with pytest.raises(NoObject, match="larger than"):
        store.get(arn)
