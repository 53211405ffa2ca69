"""An official agent's conversation: its frames on real sockets, with the whole control plane at the other end.

What it sends is written down from its sources, and what it is sent must be what its models understand.
"""

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import boto3
import pytest
import uvicorn
import websockets
from botocore.config import Config

from kit.clock import SystemClock
from kit.secrets import SecretBox
from kit.settings import Settings
from orchestrator.agents import tcs
from orchestrator.app import Parts, create_api
from registry.home import Home
from registry.storage.filesystem import FilesystemStorage
from state.base import Base
from state.store import Store
from tests.support.loopback import KEY
from tests.support.official_agent import ECR_TARGET, HASH, VERSION, OfficialAgent, Refused
from tests.support.official_model import understand

DIGEST = "sha256:" + "ab" * 32
CHECKED = {"command": ["CMD-SHELL", "true"]}


class Plane:
    """A control plane on a port of its own."""

    def __init__(self, store: Store, endpoint: str) -> None:
        self.store, self.endpoint = store, endpoint
        self.ecs = self.client("ecs")

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=KEY.access_key_id,
            aws_secret_access_key=KEY.secret,
            config=Config(retries={"total_max_attempts": 1}, proxies={}),
        )

    def run(self, *, roles: Mapping[str, str] = MappingProxyType({}), **container: Any) -> str:
        """Run one task of one container; answers its ARN."""
        definition = {"name": "main", "image": "i:1", "memory": 64, **container}
        self.ecs.register_task_definition(family="t", containerDefinitions=[definition], **roles)
        answer = self.ecs.run_task(taskDefinition="t")
        assert not answer["failures"], answer["failures"]
        return str(answer["tasks"][0]["taskArn"])

    def task(self, arn: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ecs.describe_tasks(tasks=[arn])["tasks"][0]
        return found


@pytest.fixture
def plane(tmp_path: Path, sqlite_url: str) -> Iterator[Plane]:
    listening = socket.create_server(("127.0.0.1", 0))
    settings = Settings(data=tmp_path, port=listening.getsockname()[1])
    store, clock, storage = Store(sqlite_url), SystemClock(), FilesystemStorage(tmp_path / "registry")
    Base.metadata.create_all(store.engine)
    Home(store, storage, founds=True).settle()
    parts = Parts(
        settings=settings,
        clock=clock,
        store=store,
        secrets=SecretBox(SecretBox.new_master_key()),
        find_key={KEY.access_key_id: KEY}.get,
        storage=storage,
    )
    server = uvicorn.Server(uvicorn.Config(create_api(parts), log_level="warning", ws="websockets-sansio"))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    plane = Plane(store, settings.api_endpoint)
    plane.ecs.create_cluster()
    yield plane
    server.should_exit = True
    thread.join()
    store.close()


@pytest.fixture
def agent(plane: Plane) -> OfficialAgent:
    agent = OfficialAgent(plane.endpoint, KEY)
    agent.register()
    return agent


def test_it_joins_and_runs_a_task_to_its_end(plane: Plane, agent: OfficialAgent) -> None:
    with agent.acs() as line:
        line.hear("TaskManifestMessage")
        arn = plane.run(portMappings=[{"containerPort": 80}], essential=True)
        _, payload = line.hear("PayloadMessage")
        line.acknowledge(payload)
        assert [(task["arn"], task["desiredStatus"]) for task in payload["tasks"]] == [(arn, "RUNNING")]

        found = plane.ecs.describe_container_instances(containerInstances=[agent.instance])["containerInstances"][0]
        assert found["agentConnected"] is True
        assert found["versionInfo"] == {
            "agentVersion": VERSION,
            "agentHash": HASH,
            "dockerVersion": "DockerVersion: 20.10.24",
        }

        report = {"cluster": "default", "task": arn, "reason": ""}
        pulled = {"pullStartedAt": 1790000000.125, "pullStoppedAt": 1790000001.5}
        main = {"containerName": "main", "imageDigest": DIGEST, "status": "PENDING"}
        # The manifest of the image is known before it is pulled, and told at once.
        assert agent.call("SubmitTaskStateChange", {**report, "status": "PENDING", "containers": [main]})
        assert plane.task(arn)["lastStatus"] == "PENDING"

        main |= {"status": "RUNNING", "runtimeId": "c" * 64}
        bindings = [
            {"bindIP": ip, "containerPort": 80, "hostPort": 49153, "protocol": "tcp"} for ip in ("0.0.0.0", "::")
        ]
        running = {**report, **pulled, "status": "RUNNING", "containers": [{**main, "networkBindings": bindings}]}
        agent.call("SubmitTaskStateChange", running)
        task = plane.task(arn)
        assert task["lastStatus"] == "RUNNING"
        assert task["containers"][0]["imageDigest"] == DIGEST
        assert {one["hostPort"] for one in task["containers"][0]["networkBindings"]} == {49153}

        plane.ecs.stop_task(task=arn)
        _, payload = line.hear("PayloadMessage")
        assert [(task["arn"], task["desiredStatus"]) for task in payload["tasks"]] == [(arn, "STOPPED")]
        line.acknowledge(payload)

        change = {"cluster": "default", "task": arn, "containerName": "main", "runtimeId": "c" * 64}
        agent.call("SubmitContainerStateChange", {**change, "status": "STOPPED", "exitCode": 143})
        ended = {**report, **pulled, "status": "STOPPED", "executionStoppedAt": 1790000009.75}
        agent.call("SubmitTaskStateChange", {**ended, "containers": [{**main, "status": "STOPPED", "exitCode": 143}]})
        task = plane.task(arn)
        assert (task["lastStatus"], task["containers"][0]["exitCode"]) == ("STOPPED", 143)


def test_a_new_connection_begins_with_a_manifest_that_is_newer_than_all_that_was_told(
    plane: Plane, agent: OfficialAgent
) -> None:
    with agent.acs() as line:
        _, manifest = line.hear("TaskManifestMessage")
        arn = plane.run()
        _, payload = line.hear("PayloadMessage")
    # The agent discards a manifest whose number is not above the highest that it has seen.
    assert payload["seqNum"] >= manifest["timeline"]

    with agent.acs(first=False) as line:
        _, manifest = line.hear("TaskManifestMessage")
        assert manifest["timeline"] > payload["seqNum"]
        assert [task["taskArn"] for task in manifest["tasks"]] == [arn]
        candidates = [
            {"taskArn": ref, "taskClusterArn": manifest["clusterArn"], "desiredStatus": "STOPPED"}
            for ref in (arn, arn.rpartition("/")[0] + "/" + "0" * 32)
        ]
        line.say("TaskStopVerificationMessage", {"messageId": manifest["messageId"], "stopCandidates": candidates})
        _, verified = line.hear("TaskStopVerificationAck")
        # It takes the answer only for the manifest that it asked about.
        assert verified["messageId"] == manifest["messageId"]
        assert verified["stopTasks"] == candidates[1:]


def test_an_agent_that_has_lost_the_answer_to_its_registration_registers_no_second_instance(
    plane: Plane, agent: OfficialAgent
) -> None:
    first, agent.instance = agent.instance, ""

    # Meanwhile it may have found its identity document.
    assert agent.register(document='{"instanceId": "i-1"}') == first
    agent.instance = ""
    assert agent.register(token="of-another-host") != first
    assert len(plane.ecs.list_container_instances()["containerInstanceArns"]) == 2


def test_a_token_that_is_too_long_is_refused(agent: OfficialAgent) -> None:
    agent.instance = ""
    with pytest.raises(Refused, match="InvalidParameterException"):
        agent.register(token="a" * 129)


def test_an_agent_that_starts_again_is_the_same_instance(agent: OfficialAgent) -> None:
    first = agent.instance
    assert agent.register(token="another-start-of-the-same-host") == first


def test_on_ec2_its_identity_document_tells_of_which_kind_it_is(plane: Plane) -> None:
    agent = OfficialAgent(plane.endpoint, KEY)
    document = {"architecture": "x86_64", "instanceId": "i-0123456789abcdef0", "instanceType": "c5.large"}
    agent.register(document=json.dumps(document))

    found = plane.ecs.describe_container_instances(containerInstances=[agent.instance])["containerInstances"][0]
    assert found["ec2InstanceId"] == "i-0123456789abcdef0"
    attributes = {one["name"]: one.get("value") for one in found["attributes"]}
    assert attributes["ecs.cpu-architecture"] == "x86_64" and attributes["ecs.instance-type"] == "c5.large"

    with agent.acs() as line:
        line.hear("TaskManifestMessage")
        definition = {"name": "main", "image": "i:1", "memory": 64}
        plane.ecs.register_task_definition(
            family="intel", containerDefinitions=[definition], runtimePlatform={"cpuArchitecture": "X86_64"}
        )
        assert plane.ecs.run_task(taskDefinition="intel")["failures"] == []


def test_frames_of_telemetry_come_with_signatures_of_their_own(
    plane: Plane, agent: OfficialAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcs, "HEARTBEAT_SECONDS", 0.01)
    with agent.acs() as acs, agent.tcs() as line:
        acs.hear("TaskManifestMessage")
        arn = plane.run(healthCheck=CHECKED)
        acs.hear("PayloadMessage")
        metadata = {"cluster": "default", "containerInstance": agent.instance, "messageId": "m-1", "fin": True}
        statistics = {"min": 0.0, "max": 1.5, "sampleCount": 2, "sum": 1.5}
        task = {"taskArn": arn, "taskDefinitionFamily": "t", "taskDefinitionVersion": "1"}
        line.say(
            "PublishMetricsRequest",
            {
                "metadata": {**metadata, "idle": False},
                "taskMetrics": [
                    {
                        **task,
                        "containerMetrics": [
                            {"containerName": "main", "cpuStatsSet": statistics, "memoryStatsSet": statistics}
                        ],
                    }
                ],
                "timestamp": 1790000000,
            },
        )
        line.hear("AckPublishMetric")
        health = {"containerName": "main", "healthStatus": "HEALTHY", "statusSince": 1790000000}
        line.say(
            "PublishHealthRequest",
            {"metadata": metadata, "tasks": [{**task, "clusterArn": "default", "containers": [health]}]},
        )
        line.hear("AckPublishHealth")
        assert plane.task(arn)["healthStatus"] == "HEALTHY"
        line.say(
            "PublishInstanceStatusRequest",
            {
                "metadata": {"cluster": "default", "containerInstance": agent.instance, "requestId": "r-1"},
                "statuses": [{"type": "CONTAINER_RUNTIME", "status": "IMPAIRED", "lastUpdated": 1790000000}],
                "timestamp": 1790000000,
            },
        )
        line.hear("AckPublishInstanceStatus")
        # Who publishes nothing hears of the server all the same, and so keeps the socket.
        line.hear("HeartbeatMessage")


def test_a_deregistered_instance_is_let_go_and_told_so_when_it_comes_back(plane: Plane, agent: OfficialAgent) -> None:
    with agent.acs() as line:
        line.hear("TaskManifestMessage")
        plane.ecs.deregister_container_instance(containerInstance=agent.instance)
        # A normal closure: the agent dials again at once, and then waits an hour.
        assert line.closing() == 1000

    with pytest.raises(websockets.InvalidStatus) as refused, agent.acs(first=False):
        pass
    kind, message = understand(bytes(refused.value.response.body or b"").decode())
    assert kind == "InactiveInstanceException" and message["message"]


def test_a_draining_spot_instance_may_say_so_itself(plane: Plane, agent: OfficialAgent) -> None:
    request = {"containerInstances": [agent.instance], "status": "DRAINING", "cluster": "default"}
    assert agent.call("UpdateContainerInstancesState", request)["failures"] == []
    found = plane.ecs.describe_container_instances(containerInstances=[agent.instance])["containerInstances"][0]
    assert found["status"] == "DRAINING"


def test_credentials_come_with_their_tasks_on_each_connection_and_are_acknowledged(
    plane: Plane, agent: OfficialAgent
) -> None:
    roles = {f"{kind}RoleArn": f"arn:aws:iam::123456789012:role/{kind}" for kind in ("task", "execution")}
    options = {"awslogs-group": "g", "awslogs-region": "us-east-1"}
    told = []
    # An agent that starts again has lost them: it keeps them in memory alone.
    for first in (True, False):
        with agent.acs(first=first) as line:
            line.hear("TaskManifestMessage")
            if first:
                plane.run(roles=roles, logConfiguration={"logDriver": "awslogs", "options": options})
            _, payload = line.hear("PayloadMessage")
            [task] = payload["tasks"]
            for member in ("roleCredentials", "executionRoleCredentials"):
                given = task[member]
                told.append(given["credentialsId"])
                acknowledgement = {name: given[name] for name in ("expiration", "credentialsId")}
                line.say("IAMRoleCredentialsAckRequest", {"messageId": payload["messageId"], **acknowledgement})
            line.acknowledge(payload)
            # The engine asks the agent for the second, to write logs.
            assert task["containers"][0]["logsAuthStrategy"] == "ExecutionRole"
    assert len(set(told)) == 2 and told[:2] == told[2:]


def test_what_its_engine_pulls_and_logs_is_told_so_that_it_finds_berth(plane: Plane, agent: OfficialAgent) -> None:
    registry = plane.client("ecr").get_authorization_token()["authorizationData"][0]["proxyEndpoint"]
    assert registry.startswith("http://")
    with agent.acs() as line:
        line.hear("TaskManifestMessage")
        options = {"awslogs-group": "g", "awslogs-region": "eu-west-1", "awslogs-stream-prefix": "web"}
        arn = plane.run(
            image="123456789012.dkr.ecr.us-east-1.amazonaws.com/web:1",
            logConfiguration={"logDriver": "awslogs", "options": options},
        )
        _, payload = line.hear("PayloadMessage")
    container = payload["tasks"][0]["containers"][0]
    login = container["registryAuthentication"]["ecrAuthData"]
    assert login["endpointOverride"].startswith(plane.endpoint)

    path = login["endpointOverride"].removeprefix(plane.endpoint) + "/"
    request = {"registryIds": [login["registryId"]]}
    found = agent.call("GetAuthorizationToken", request, target=ECR_TARGET, path=path)["authorizationData"][0]
    # The very comparison that the agent makes before it uses a token.
    assert f"https://{container['image']}".startswith(found["proxyEndpoint"])
    assert container["image"] == f"{registry.removeprefix('http://')}/web:1"

    log = json.loads(container["dockerConfig"]["hostConfig"])["LogConfig"]
    assert log == {
        "Type": "awslogs",
        "Config": {
            "awslogs-endpoint": plane.endpoint,
            "awslogs-group": "g",
            "awslogs-region": "us-east-1",
            "awslogs-stream": f"web/main/{arn.rpartition('/')[2]}",
        },
    }
