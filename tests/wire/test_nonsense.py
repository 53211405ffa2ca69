"""Nonsense in every operation of every service: never an internal failure, never an answer without a code."""

import json
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kit.aws.http import HttpResponse
from orchestrator.operations import SERVICES
from scheduler.loops.compute_environments import ComputeEnvironmentsLoop
from scheduler.loops.job_queues import JobQueuesLoop
from state.loop import Leases
from tests.support.loopback import KEY, Loopback
from tests.support.nonsense import requests
from tests.support.services import WEB, ServicesPlane

OPERATIONS = [(service, name) for service in SERVICES for name in sorted(service.operations)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A store in which every noun exists once, and how requests name them."""
    path = tmp_path_factory.mktemp("world") / "berth.db"
    plane = ServicesPlane(f"sqlite:///{path}")
    known = furnish(plane)
    plane.close()
    return path, known


@pytest.fixture
def plane(world: tuple[Path, dict[str, Any]], tmp_path: Path) -> Iterator[Loopback]:
    shutil.copy(world[0], tmp_path / "berth.db")
    loopback = Loopback(f"sqlite:///{tmp_path / 'berth.db'}", SERVICES)
    yield loopback
    loopback.close()


@pytest.mark.parametrize(("service", "operation"), OPERATIONS, ids=lambda value: getattr(value, "name", value))
def test_nonsense_is_answered_in_aws_words(
    service: Any, operation: str, plane: Loopback, world: tuple[Path, dict[str, Any]]
) -> None:
    for request in requests(service, operation, world[1], KEY, plane.clock.now()):
        response = plane.gateway.handle(request)

        told = f"{request.method} {request.path}?{request.query} {request.body[:2000]!r}: {response.body[:500]!r}"
        assert response.status < 500, told
        assert response.status < 400 or code_of(response), told
        assert b"Traceback" not in response.body and len(response.body) < 2_000_000, told


def code_of(response: HttpResponse) -> str:
    """The error's code, as a client finds it."""
    if response.body.startswith(b"<"):
        return next((node.text or "" for node in ET.fromstring(response.body).iter() if node.tag.endswith("Code")), "")
    assert isinstance(json.loads(response.body), dict)
    return response.header("x-amzn-errortype") or ""


def furnish(plane: ServicesPlane) -> dict[str, Any]:
    """Make one of each, and answer what requests call them, by the member that does."""
    host = plane.add_host()
    arn = "arn:aws:ecs:us-east-1:123456789012:"
    plane.register()
    plane.create(1)
    task = plane.ecs.run_task(taskDefinition="web")["tasks"][0]["taskArn"]
    logs = plane.client("logs")
    logs.create_log_group(logGroupName="/group")
    logs.create_log_stream(logGroupName="/group", logStreamName="stream")
    event = {"timestamp": int(plane.clock.now().timestamp() * 1000), "message": "hello"}
    logs.put_log_events(logGroupName="/group", logStreamName="stream", logEvents=[event])
    repository = plane.client("ecr").create_repository(repositoryName="repository")["repository"]["repositoryArn"]
    role = "arn:aws:iam::123456789012:role/r"
    runs = {"EcsParameters": {"TaskDefinitionArn": f"{arn}task-definition/web"}}
    target = {"Arn": f"{arn}cluster/default", "RoleArn": role, **runs}
    schedule = {"ScheduleExpression": "rate(1 days)", "FlexibleTimeWindow": {"Mode": "OFF"}, "Target": target}
    made = plane.client("scheduler").create_schedule(Name="schedule", **schedule)["ScheduleArn"]
    plane.client("scheduler").create_schedule_group(Name="schedule")
    return {
        **{"cluster": "default", "clusters": ["default"], "clusterName": "default", "targetType": "container-instance"},
        **{"service": "web", "services": ["web"], "serviceName": "web", "family": "web", "familyPrefix": "web"},
        **{"taskDefinition": "web:1", "taskDefinitions": ["web:1"], "task": task, "tasks": [task], "desiredCount": 1},
        **{"containerInstance": host, "containerInstances": [host], "containerDefinitions": [{**WEB}], "count": 1},
        **{"attributes": [{"name": "a", "value": "b", "targetId": host}], "resourceArn": f"{arn}service/default/web"},
        **{"ecs.tags": [{"key": "a", "value": "b"}], "launchType": "EC2", "platformVersion": "LATEST"},
        **{"logGroupName": "/group", "logStreamName": "stream", "logEvents": [event], "retentionInDays": 7},
        **{"logs.resourceArn": "arn:aws:logs:us-east-1:123456789012:log-group:/group", "logGroupNamePrefix": "/"},
        **{"repositoryName": "repository", "repositoryNames": ["repository"], "ecr.resourceArn": repository},
        **{"registryId": "123456789012", "imageTag": "1", "imageIds": [{"imageTag": "1"}]},
        **{"Name": "schedule", "GroupName": "default", **schedule, "ScheduleExpressionTimezone": "Europe/Berlin"},
        **{
            "scheduler.ResourceArn": made.replace("schedule/default/schedule", "schedule-group/schedule"),
            "RoleArn": role,
        },
        **furnish_secrets(plane),
        **furnish_batch(plane, role),
    }


def furnish_secrets(plane: ServicesPlane) -> dict[str, Any]:
    tags = [{"Key": "a", "Value": "b"}]
    secret = plane.client("secretsmanager").create_secret(Name="secret", SecretString="value", Tags=tags)
    plane.client("ssm").put_parameter(Name="/parameter", Value="value", Type="String", Tags=tags)
    return {
        **{"SecretId": secret["ARN"], "SecretIdList": ["secret"], "VersionId": secret["VersionId"]},
        **{"MoveToVersionId": secret["VersionId"], "VersionStage": "AWSCURRENT", "secretsmanager.Name": "secret"},
        **{"ssm.Name": "/parameter", "Names": ["/parameter"], "ResourceType": "Parameter", "ResourceId": "/parameter"},
        **{"Path": "/", "ParameterVersion": 1, "Type": "String", "Overwrite": True, "Labels": ["live"]},
        **{"secretsmanager.Tags": tags, "ssm.Tags": tags},
    }


def furnish_batch(plane: ServicesPlane, role: str) -> dict[str, Any]:
    batch = plane.client("batch")
    resources = {"type": "FARGATE", "maxvCpus": 4, "subnets": ["subnet-1"], "securityGroupIds": ["sg-1"]}
    batch.create_compute_environment(
        computeEnvironmentName="environment", type="MANAGED", computeResources=resources, serviceRole=role
    )
    leases = Leases(plane.store, plane.clock, "one")
    ComputeEnvironmentsLoop(plane.store, plane.clock, leases, settings=plane.settings).step()
    order = [{"order": 1, "computeEnvironment": "environment"}]
    queue = batch.create_job_queue(jobQueueName="queue", priority=1, computeEnvironmentOrder=order)["jobQueueArn"]
    JobQueuesLoop(plane.store, plane.clock, leases).step()
    sizes = [{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "512"}]
    container = {"image": "web:1", "executionRoleArn": role, "resourceRequirements": sizes}
    batch.register_job_definition(
        jobDefinitionName="job", type="container", platformCapabilities=["FARGATE"], containerProperties=container
    )
    job = batch.submit_job(jobName="one", jobQueue="queue", jobDefinition="job")["jobId"]
    return {
        **{"computeEnvironment": "environment", "computeEnvironments": ["environment"], "computeResources": resources},
        **{"jobQueue": "queue", "jobQueues": ["queue"], "computeEnvironmentOrder": order, "jobId": job, "jobs": [job]},
        **{"jobDefinition": "job:1", "jobDefinitions": ["job:1"], "jobDefinitionName": "job", "type": "container"},
        **{"platformCapabilities": ["FARGATE"], "containerProperties": container, "batch.resourceArn": queue},
        **{"batch.tags": {"a": "b"}, "priority": 1, "state": "ENABLED", "dependsOn": [{"jobId": job}]},
    }
