"""A host of the official agent in a Berth: an engine of its own pulls from Berth's registry and logs to Berth.

The agent itself is written down from its sources (``tests/support/official_agent.py``); engine, registry, log driver,
control plane and clients are the real ones.
"""

import base64
from collections.abc import Iterator
from typing import Any
from urllib.request import ProxyHandler, build_opener

import pytest

from kit.aws.sigv4 import Caller, Key
from tests.support.berth import BERTH, RunningBerth, free_port, running_berth, until
from tests.support.engine import Engine, OwnEngine
from tests.support.images import make_busybox_image
from tests.support.official_agent import OfficialAgent
from tests.support.official_host import OfficialHost

STEADY = {"Delay": 1, "MaxAttempts": 60}
LOGS = {"awslogs-group": "official", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "web"}
SERVES = "trap 'exit 3' TERM; httpd -p 80 -h /www; while :; do sleep 1; done"


@pytest.fixture
def berth(docker_engine: Engine, second_engine: OwnEngine) -> Iterator[RunningBerth]:
    """A Berth that another host's engine reaches."""
    port, registry_port = free_port(), free_port()
    with running_berth(
        docker_engine,
        ports=(port, registry_port),
        host="0.0.0.0",
        endpoint=f"http://{second_engine.gateway}:{port}",
        registry_address=f"{second_engine.gateway}:{registry_port}",
    ) as running:
        yield running


def configured(berth: RunningBerth) -> tuple[OfficialAgent, Key]:
    """The agent with the environment that Berth prints for it, and the key in it."""
    lines = berth.run(*BERTH, "agent", "official", "--cluster", "official", "--data", berth.data).splitlines()
    given = dict(line.split("=", 1) for line in lines)
    caller = Caller(access_key_id=given["AWS_ACCESS_KEY_ID"], principal_arn="", account="")
    key = Key(access_key_id=caller.access_key_id, secret=given["AWS_SECRET_ACCESS_KEY"], caller=caller)
    region = given["AWS_DEFAULT_REGION"]
    return OfficialAgent(given["ECS_BACKEND_HOST"], key, cluster=given["ECS_CLUSTER"], region=region), key


def push_busybox(berth: RunningBerth, engine: Engine, repository: str) -> None:
    """Push an image from the host's own engine, and leave none there."""
    ecr = berth.client("ecr")
    ecr.create_repository(repositoryName=repository)
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, _, password = base64.b64decode(token).decode().partition(":")
    image, name = make_busybox_image(engine, "berth-test/busybox:official"), f"{berth.registry}/{repository}"
    engine.client.api.tag(image, name, "1")
    login = {"username": user, "password": password}
    for line in engine.client.api.push(name, "1", auth_config=login, stream=True, decode=True):
        assert "error" not in line, line
    for one in (f"{name}:1", image):
        engine.client.api.remove_image(one)


def test_tasks_and_services_run_on_an_official_agents_host(berth: RunningBerth, second_engine: OwnEngine) -> None:
    ecs, logs = berth.client("ecs"), berth.client("logs")
    ecs.create_cluster(clusterName="official")
    logs.create_log_group(logGroupName="official")
    agent, key = configured(berth)
    # The engine's log driver signs with what its own environment says, and Berth's registry speaks plain HTTP here.
    second_engine.stop()
    second_engine.options = (f"--insecure-registry={second_engine.gateway}/32",)
    second_engine.variables = {"AWS_ACCESS_KEY_ID": key.access_key_id, "AWS_SECRET_ACCESS_KEY": key.secret}
    engine = second_engine.start()
    push_busybox(berth, engine, "official/busybox")
    host = OfficialHost(agent, engine.client.api)
    agent.register()
    host.start()

    def described(arn: str) -> dict[str, Any]:
        found: dict[str, Any] = ecs.describe_tasks(cluster="official", tasks=[arn])["tasks"][0]
        return found

    def register(family: str, command: str, **members: Any) -> None:
        main = {"name": "main", "memory": 32, "command": ["sh", "-c", command], **members}
        # As ECR names an image: the engine could not find it by this name.
        name = f"{berth.account}.dkr.ecr.us-east-1.amazonaws.com/official/busybox:1"
        log = {"logDriver": "awslogs", "options": LOGS}
        ecs.register_task_definition(
            family=family, containerDefinitions=[{**main, "image": name, "logConfiguration": log}]
        )

    def connected() -> bool:
        found = ecs.describe_container_instances(cluster="official", containerInstances=[agent.instance])
        return bool(found["containerInstances"][0]["agentConnected"])

    try:
        until("the host is connected", connected)
        register("once", "echo hello from the engine; exit 7")
        (task,) = ecs.run_task(cluster="official", taskDefinition="once")["tasks"]
        arn = task["taskArn"]
        until("the task has ended", lambda: host.failures or described(arn)["lastStatus"] == "STOPPED")
        assert host.failures == []
        assert described(arn)["stopCode"] == "EssentialContainerExited"
        assert described(arn)["containers"][0]["exitCode"] == 7
        stream = f"web/main/{arn.rpartition('/')[2]}"
        found = until(
            "its log arrives",
            lambda: logs.filter_log_events(logGroupName="official", logStreamNames=[stream])["events"],
        )
        assert [event["message"] for event in found] == ["hello from the engine"]

        register("web", SERVES, portMappings=[{"containerPort": 80}])
        ecs.create_service(
            cluster="official", serviceName="web", taskDefinition="web", desiredCount=2, launchType="EC2"
        )
        ecs.get_waiter("services_stable").wait(cluster="official", services=["web"], WaiterConfig=STEADY)
        arns = ecs.list_tasks(cluster="official", serviceName="web")["taskArns"]
        ports = {described(arn)["containers"][0]["networkBindings"][0]["hostPort"] for arn in arns}
        assert len(ports) == 2
        for port in ports:
            with build_opener(ProxyHandler({})).open(f"http://{second_engine.address}:{port}/", timeout=30) as page:
                assert page.read() == b"hello from berth\n"

        ecs.update_service(cluster="official", service="web", desiredCount=0)
        until("its tasks have ended", lambda: all(described(arn)["lastStatus"] == "STOPPED" for arn in arns))
        assert {described(arn)["containers"][0]["exitCode"] for arn in arns} == {3}
    finally:
        ecs.deregister_container_instance(cluster="official", containerInstance=agent.instance, force=True)
        host.join()
    assert host.failures == []
