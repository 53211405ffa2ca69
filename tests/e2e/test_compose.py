"""``docker-compose.yml``: a service and Batch jobs on many processes, any one of which may be killed unnoticed."""

import base64
import hashlib
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest

from tests.support.berth import until
from tests.support.composed_berth import ComposedBerth, composed_berth
from tests.support.engine import Engine
from tests.support.faults import ENDS_WHEN_TOLD


@dataclass(slots=True, kw_only=True)
class Site:
    """What the tests use: a service ``web``, a queue ``jobs``, and a client of each kind that tries again."""

    berth: ComposedBerth
    ecs: Any = field(init=False)
    batch: Any = field(init=False)

    def __post_init__(self) -> None:
        self.ecs, self.batch = self.berth.client("ecs"), self.berth.client("batch")

    def tasks(self) -> set[str]:
        """The service's tasks that run."""
        arns = self.ecs.list_tasks(serviceName="web")["taskArns"]
        tasks = self.ecs.describe_tasks(tasks=arns)["tasks"] if arns else []
        return {task["taskArn"] for task in tasks if task["lastStatus"] == "RUNNING"}

    def scale(self, count: int) -> set[str]:
        """Wish for this many tasks; answers them, once they run and the service is stable."""
        self.ecs.update_service(service="web", desiredCount=count)
        self.ecs.get_waiter("services_stable").wait(services=["web"], WaiterConfig={"Delay": 1, "MaxAttempts": 90})
        return until(f"{count} tasks run", lambda: tasks if len(tasks := self.tasks()) == count else set())

    def run_job(self) -> str:
        """Submit a job, and answer its status at the end."""
        job = self.batch.submit_job(jobName="job", jobQueue="jobs", jobDefinition="job")["jobId"]

        def ended() -> str:
            status: str = self.batch.describe_jobs(jobs=[job])["jobs"][0]["status"]
            return status if status in ("SUCCEEDED", "FAILED") else ""

        return until("the job has ended", ended, seconds=90, every=0.5)


@pytest.fixture(scope="module")
def site(docker_engine: Engine, busybox_image: str) -> Iterator[Site]:
    with composed_berth(docker_engine) as berth:
        site = Site(berth=berth)
        image = _push(berth, busybox_image)
        _join(site, "default")
        _make_service(site, image)
        _make_queue(site, image)
        yield site


def test_a_service_and_a_job_run_on_the_agents(site: Site) -> None:
    assert len(site.scale(2)) == 2
    assert site.run_job() == "SUCCEEDED"


@pytest.mark.parametrize("mode", ["bridge", "none"])
def test_containers_reach_an_agent_that_is_a_container_itself(site: Site, mode: str) -> None:
    ask = 'printf "GET ${ECS_CONTAINER_METADATA_URI_V4#http://169.254.170.2}/task HTTP/1.0\\r\\n\\r\\n"'
    # In a namespace without any network the way there is made a moment after the start.
    script = f"sleep 2; {ask} | nc -w 10 169.254.170.2 80 | grep -q TaskARN"
    override = {"containerOverrides": [{"name": "main", "command": ["sh", "-c", script]}]}
    [container] = site.ecs.describe_task_definition(taskDefinition="short")["taskDefinition"]["containerDefinitions"]
    made = {name: container[name] for name in ("name", "image", "memory")}
    site.ecs.register_task_definition(family=f"look-{mode}", networkMode=mode, containerDefinitions=[made])
    answer = site.ecs.run_task(taskDefinition=f"look-{mode}", launchType="EC2", overrides=override)
    [task] = answer["tasks"]

    def ended() -> list[dict[str, Any]]:
        [seen] = site.ecs.describe_tasks(tasks=[task["taskArn"]])["tasks"]
        return seen["containers"] if seen["lastStatus"] == "STOPPED" else []

    assert until("the task has looked", ended)[0].get("exitCode") == 0


def test_a_layer_comes_over_either_replica_of_the_api(site: Site) -> None:
    ecr, layer = site.berth.client("ecr"), b"".join(b"%09d\n" % number for number in range(600_000))
    digest = f"sha256:{hashlib.sha256(layer).hexdigest()}"
    ecr.create_repository(repositoryName="layers")
    upload = ecr.initiate_layer_upload(repositoryName="layers")["uploadId"]
    middle = 5 * 1024 * 1024
    # The door sends one request to one replica, the next to the other.
    for first, part in ((0, layer[:middle]), (middle, layer[middle:])):
        ecr.upload_layer_part(
            repositoryName="layers",
            uploadId=upload,
            partFirstByte=first,
            partLastByte=first + len(part) - 1,
            layerPartBlob=part,
        )
    ecr.complete_layer_upload(repositoryName="layers", uploadId=upload, layerDigests=[digest])
    link = ecr.get_download_url_for_layer(repositoryName="layers", layerDigest=digest)["downloadUrl"]
    with urllib.request.urlopen(link, timeout=30) as answer:
        assert hashlib.sha256(answer.read()).hexdigest() == digest.removeprefix("sha256:")


@pytest.mark.parametrize("victim", ["scheduler-1", "scheduler-2", "api-1", "api-2"])
def test_nobody_notices_that_a_process_was_killed(site: Site, victim: str) -> None:
    before = site.scale(1)
    try:
        with busy_client(site.berth) as client:
            until("the client works", lambda: client.asked)
            site.berth.kill(victim)
            assert before < site.scale(2)
            assert site.run_job() == "SUCCEEDED"
            asked = client.asked
            until("the client goes on", lambda: client.asked > asked)
    finally:
        site.berth.start(victim)
        until(f"{victim} is back", lambda: site.berth.is_healthy(victim))
    assert client.trouble == []
    # Whatever was asked again was done once.
    assert len(client.tasks) == client.asked
    assert _started_by(site, client.name) == client.tasks


@dataclass(slots=True, kw_only=True)
class BusyClient:
    """Runs one short task after the other. ``trouble`` is what even trying again did not help against."""

    name: str
    asked: int = 0
    tasks: set[str] = field(default_factory=set)
    trouble: list[str] = field(default_factory=list)

    def work(self, ecs: Any, enough: threading.Event) -> None:
        while not enough.wait(0.2):
            try:
                answer = ecs.run_task(taskDefinition="short", launchType="EC2", startedBy=self.name)
                self.tasks.update(task["taskArn"] for task in answer["tasks"])
                self.trouble += [f"{failure['reason']}" for failure in answer["failures"]]
            except Exception as error:
                self.trouble.append(repr(error))
            self.asked += 1


@contextmanager
def busy_client(berth: ComposedBerth) -> Iterator[BusyClient]:
    client, enough = BusyClient(name=f"busy-{uuid4()}"[:36]), threading.Event()
    thread = threading.Thread(target=client.work, args=(berth.client("ecs"), enough))
    thread.start()
    try:
        yield client
    finally:
        enough.set()
        thread.join()


def _push(berth: ComposedBerth, image: str) -> str:
    ecr = berth.client("ecr")
    repository: str = ecr.create_repository(repositoryName="busybox")["repository"]["repositoryUri"]
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, _, password = base64.b64decode(token).decode().partition(":")
    berth.run("docker", "login", "--username", user, "--password-stdin", berth.registry, given=password)
    name = f"{repository}:1"
    berth.run("docker", "tag", image, name)
    berth.run("docker", "push", name)
    berth.run("docker", "rmi", name)
    return name


def _join(site: Site, cluster: str) -> None:
    """Wait for a host of the cluster."""

    def connected() -> bool:
        arns = site.ecs.list_container_instances(cluster=cluster)["containerInstanceArns"]
        answer = site.ecs.describe_container_instances(cluster=cluster, containerInstances=arns) if arns else {}
        return any(host["agentConnected"] for host in answer.get("containerInstances", ()))

    until(f"an agent joins {cluster}", connected)


def _make_service(site: Site, image: str) -> None:
    container = {"name": "main", "image": image, "memory": 16, **ENDS_WHEN_TOLD}
    check = {"command": ["CMD", "true"], "interval": 5}
    site.ecs.register_task_definition(
        family="web", containerDefinitions=[{**container, "command": ["sleep", "3600"], "healthCheck": check}]
    )
    site.ecs.register_task_definition(family="short", containerDefinitions=[{**container, "command": ["true"]}])
    site.ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=1, launchType="EC2")


def _make_queue(site: Site, image: str) -> None:
    """An UNMANAGED compute environment, joined by an agent of its own on the same engine."""
    site.batch.create_compute_environment(computeEnvironmentName="own", type="UNMANAGED")
    described = until("the environment is valid", lambda: _valid(site.batch.describe_compute_environments, "own"))
    cluster = described["ecsClusterArn"].rpartition("/")[2]
    # The folder that the service keeps is its own agent's.
    site.berth.compose("run", "--detach", "--no-deps", "-e", "BERTH_DATA=/tmp/own", "agent", "--cluster", cluster)
    site.batch.create_job_queue(
        jobQueueName="jobs", priority=1, computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "own"}]
    )
    site.batch.register_job_definition(
        jobDefinitionName="job",
        type="container",
        containerProperties={
            "image": image,
            "command": ["echo", "done"],
            "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "16"}],
        },
    )
    _join(site, cluster)


def _valid(describe: Any, name: str) -> dict[str, Any]:
    [found] = describe(computeEnvironments=[name])["computeEnvironments"]
    return found if found["status"] == "VALID" else {}


def _started_by(site: Site, name: str) -> set[str]:
    pages = site.ecs.get_paginator("list_tasks")
    return {
        arn
        for status in ("RUNNING", "STOPPED")
        for page in pages.paginate(startedBy=name, desiredStatus=status)
        for arn in page["taskArns"]
    }
