"""Every door of a running Berth, knocked at by strangers, cheats and the confused, through real sockets."""

import hashlib
import json
import socket
import stat
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
import requests
from botocore.exceptions import ClientError
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from kit.aws.sigv4 import sign
from tests.support.berth import RunningBerth, make_client, until
from tests.support.faults import ENDS_WHEN_TOLD

TARGET = "AmazonEC2ContainerServiceV20141113.ListClusters"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
PATHS = (
    *("/", "/healthz/", "/healthz/x", "//healthz", "/docs", "/redoc", "/openapi.json", "/metrics", "/favicon.ico"),
    *(
        "/acs/ws",
        "/tcs/ws",
        "/v1/describejobs",
        "/schedules",
        "/v2/",
        "/.env",
        "/..%2f..%2fetc%2fpasswd",
        "/%00",
        "/%ff",
    ),
)
REGISTRY_PATHS = (
    "/",
    "/v1/",
    "/healthz",
    "/v2",
    "/v2/_catalog",
    "/v2/a/tags/list",
    "/v2/a/manifests/1",
    "/docs",
    "/%00",
)


def call(
    berth: RunningBerth,
    *,
    body: bytes = b"{}",
    at: datetime | None = None,
    secret: str | None = None,
    key: str | None = None,
    region: str = "us-east-1",
    target: str = TARGET,
    more: Mapping[str, str] | None = None,
) -> requests.Response:
    """A ListClusters signed as told."""
    endpoint = berth.environment["AWS_ENDPOINT_URL"]
    headers = {
        "Host": urlsplit(endpoint).netloc,
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": target,
        **(more or {}),
    }
    headers |= sign(
        method="POST",
        url=f"{endpoint}/",
        headers=headers,
        body=body,
        access_key=key or berth.environment["AWS_ACCESS_KEY_ID"],
        secret_key=secret or berth.environment["AWS_SECRET_ACCESS_KEY"],
        service="ecs",
        region=region,
        at=at or datetime.now(UTC),
    )
    return requests.post(f"{endpoint}/", data=body, headers=headers, timeout=30)


def code(response: requests.Response) -> str:
    return str(response.json()["__type"]).rpartition("#")[2]


def test_a_call_that_is_signed_is_answered(berth: RunningBerth) -> None:
    assert call(berth).json()["clusterArns"]


@pytest.mark.parametrize("path", PATHS)
def test_no_path_of_the_api_opens_to_a_stranger(berth: RunningBerth, path: str) -> None:
    for method in METHODS:
        answer = requests.request(method, berth.environment["AWS_ENDPOINT_URL"] + path, timeout=10)
        assert 400 <= answer.status_code < 500, (method, answer.status_code, answer.text)
        assert "Traceback" not in answer.text
        if method != "HEAD" and answer.status_code != 426:
            assert code(answer) in ("MissingAuthenticationTokenException", "UnknownOperationException"), answer.text


@pytest.mark.parametrize("path", REGISTRY_PATHS)
def test_no_path_of_the_registry_opens_to_a_stranger(berth: RunningBerth, path: str) -> None:
    for method in METHODS:
        answer = requests.request(method, f"http://{berth.registry}{path}", timeout=10)
        assert 400 <= answer.status_code < 500, (method, answer.status_code, answer.text)
        if method != "HEAD":
            assert answer.json()["errors"][0]["code"]


def test_only_health_is_answered_without_a_signature(berth: RunningBerth) -> None:
    health = requests.get(f"{berth.environment['AWS_ENDPOINT_URL']}/healthz", timeout=10)
    assert (health.status_code, health.json()) == (200, {"status": "ok"})
    ping = requests.get(f"http://{berth.registry}/v2/", timeout=10)
    assert (ping.status_code, ping.headers["WWW-Authenticate"].partition(" ")[0]) == (401, "Basic")


@pytest.mark.parametrize("path", ["/acs/ws", "/tcs/ws", "/", "/elsewhere/ws"])
def test_no_socket_opens_to_a_stranger(berth: RunningBerth, path: str) -> None:
    arn = berth.client("ecs").list_container_instances()["containerInstanceArns"][0]
    endpoint = berth.environment["AWS_ENDPOINT_URL"].replace("http", "ws")
    query = f"?clusterArn=default&containerInstanceArn={quote(arn)}&containerInstance={quote(arn)}&seqNum=1"

    with pytest.raises(InvalidStatus) as refused, connect(endpoint + path + query):
        pass

    assert refused.value.response.status_code in (400, 403)


def test_bad_signatures(berth: RunningBerth) -> None:
    now = datetime.now(UTC)
    refusals = {
        "another secret": call(berth, secret="x" * 40),
        "an unknown key": call(berth, key="AKIAUNKNOWNUNKNOWN00"),
        "an hour slow": call(berth, at=now - timedelta(hours=1)),
        "an hour fast": call(berth, at=now + timedelta(hours=1)),
        "another region": call(berth, region="eu-central-1"),
    }
    assert {what: (answer.status_code, code(answer)) for what, answer in refusals.items()} == {
        "another secret": (400, "InvalidSignatureException"),
        "an unknown key": (400, "UnrecognizedClientException"),
        "an hour slow": (400, "InvalidSignatureException"),
        "an hour fast": (400, "InvalidSignatureException"),
        "another region": (400, "InvalidSignatureException"),
    }
    assert "Signature expired" in refusals["an hour slow"].text
    assert "Signature not yet current" in refusals["an hour fast"].text


def test_a_body_changed_on_the_way(berth: RunningBerth) -> None:
    endpoint = berth.environment["AWS_ENDPOINT_URL"]
    kept = call(berth).request
    answer = requests.post(f"{endpoint}/", data=b'{"maxResults":1}', headers=dict(kept.headers), timeout=10)
    assert (answer.status_code, code(answer)) == (400, "InvalidSignatureException")


def test_bodies_that_are_no_request(berth: RunningBerth) -> None:
    for body in (b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b'{"clusters":', b"{" * 10_000, b"[" * 200_000, b"NaN"):
        answer = call(berth, body=body)
        assert (answer.status_code, code(answer)) == (400, "SerializationException"), (body[:20], answer.text)


def test_operations_that_nobody_knows(berth: RunningBerth) -> None:
    for target in ("AmazonEC2ContainerServiceV20141113.FlyToTheMoon", "Nobody.ListClusters", "x" * 8000, "."):
        answer = call(berth, target=target)
        assert 400 <= answer.status_code < 500
        assert code(answer) in ("UnknownOperationException", "InvalidSignatureException"), answer.text


def test_an_operation_that_is_not_built_names_itself(berth: RunningBerth) -> None:
    with pytest.raises(ClientError, match="ecs:StopServiceDeployment") as refused:
        berth.client("ecs").stop_service_deployment(serviceDeploymentArn="arn:aws:ecs:us-east-1:1:service-deployment/a")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_a_body_larger_than_any_request(berth: RunningBerth) -> None:
    host, _, port = urlsplit(berth.environment["AWS_ENDPOINT_URL"]).netloc.partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as wire:
        wire.sendall(
            f"POST / HTTP/1.1\r\nHost: {host}\r\nX-Amz-Target: {TARGET}\r\nContent-Length: 99999999999\r\n\r\n".encode()
        )
        head = wire.recv(65536).decode()
    assert head.startswith("HTTP/1.1 413")
    assert "RequestEntityTooLargeException" in head


def test_bytes_that_are_not_http(berth: RunningBerth) -> None:
    for address in (urlsplit(berth.environment["AWS_ENDPOINT_URL"]).netloc, berth.registry):
        host, _, port = address.partition(":")
        for noise in (
            b"\x16\x03\x01\x02\x00\x01\x00",
            b"GET\r\n\r\n",
            b"\x00" * 500 + b"\r\n\r\n",
            b"A" * 100_000 + b"\r\n",
        ):
            with socket.create_connection((host, int(port)), timeout=10) as wire:
                wire.sendall(noise)
                wire.shutdown(socket.SHUT_WR)
                answer = wire.recv(65536)
            assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer
    assert call(berth).status_code == 200


def test_a_session_without_its_token(berth: RunningBerth) -> None:
    given = berth.client("sts").get_session_token(DurationSeconds=900)["Credentials"]
    session = {
        **berth.environment,
        "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
    }
    tokenless = make_client("ecs", session, retries={"total_max_attempts": 1})
    with pytest.raises(ClientError) as refused:
        tokenless.list_clusters()
    assert refused.value.response["Error"]["Code"] == "UnrecognizedClientException"
    wrong = call(berth, key=given["AccessKeyId"], secret=given["SecretAccessKey"], more={"X-Amz-Security-Token": "x"})
    assert code(wrong) == "UnrecognizedClientException"


def test_secrets_stand_in_no_log_no_command_line_and_no_answer(berth: RunningBerth) -> None:
    root = json.loads((berth.data / "root-credentials").read_text())["SecretAccessKey"]
    master = (berth.data / "master-key").read_text().strip()
    password = berth.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
    token = berth.client("sts").get_session_token()["Credentials"]["SessionToken"]
    secrets = [root, master, password, token]
    assert all(len(secret) >= 30 for secret in secrets)
    texts = {str(log): log.read_text(errors="replace") for log in berth.data.rglob("*log") if log.is_file()}
    texts["ps"] = berth.run("ps", "-eo", "args", "-ww")
    texts |= {
        "clusters": call(berth).text,
        "forged": call(berth, secret="x" * 40).text,
        "health": requests.get(f"{berth.environment['AWS_ENDPOINT_URL']}/healthz", timeout=10).text,
        "status": berth.berth("status"),
    }
    assert any(name.endswith("berth.log") for name in texts) and any(name.endswith("agent.log") for name in texts)
    assert [(name, secret[:4]) for name, text in texts.items() for secret in secrets if secret in text] == []
    digests = [hashlib.sha256(secret.encode()).hexdigest() for secret in secrets]
    assert not any(digest in text for text in texts.values() for digest in digests)


def test_every_file_is_its_owners_alone(berth: RunningBerth, image: str) -> None:
    """Looked at once everything that writes has written: the registry, a host of a task's own, its agent, its log."""
    ecs = berth.client("ecs")
    logs = {"awslogs-group": "owned", "awslogs-create-group": "true", "awslogs-stream-prefix": "o"}
    ecs.register_task_definition(
        family="owned",
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        executionRoleArn="arn:aws:iam::123456789012:role/ecsTaskExecutionRole",
        containerDefinitions=[
            {
                **{"name": "main", "image": image, "command": ["sh", "-c", "echo said; exec sleep 300"]},
                **ENDS_WHEN_TOLD,
                "logConfiguration": {"logDriver": "awslogs", "options": {**logs, "awslogs-region": "us-east-1"}},
            }
        ],
    )
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    task = ecs.run_task(taskDefinition="owned", launchType="FARGATE", networkConfiguration=network)["tasks"][0]
    try:
        until("its agent has sent its log", lambda: [*berth.data.glob("capacities/*/**/logs/*.json")])
        modes = {path: mode_of(path) for path in (berth.data, *berth.data.rglob("*"))}
    finally:
        ecs.stop_task(task=task["taskArn"])
    assert {str(path): oct(mode) for path, mode in modes.items() if mode & 0o077} == {}
    assert {path.name for path in berth.data.iterdir()} >= {"agent", "berth.db", "capacities", "logs", "registry"}


def mode_of(path: Path) -> int:
    """Who may do what with a file; nobody with one that has gone meanwhile, or a link."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return 0
    return 0 if stat.S_ISLNK(found.st_mode) else stat.S_IMODE(found.st_mode)
