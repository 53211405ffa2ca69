"""Task definitions through boto3: echoed as registered, numbered for ever, refused in ECS's words."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from kit.aws.service import Service
from orchestrator.api.ecs.task_definition_members import CARRIED_OUT, KEPT, REFUSED
from tests.support.task_definitions import WEB, refusal, register, web
from tests.support.tasks import FARGATE

ARN = "arn:aws:ecs:us-east-1:123456789012:task-definition"


def test_registering_adds_ecs_defaults_and_nothing_else(ecs: Any) -> None:
    found = register(ecs, web(portMappings=[{"containerPort": 80}], command=[], dockerLabels={}))
    assert found["containerDefinitions"] == [
        {
            "name": "web",
            "image": "localhost:5050/web:1",
            "memory": 64,
            "cpu": 0,
            "essential": True,
            "portMappings": [{"containerPort": 80, "hostPort": 0, "protocol": "tcp"}],
            "environment": [],
            "mountPoints": [],
            "volumesFrom": [],
            "systemControls": [],
            "command": [],
            "dockerLabels": {},
        }
    ]
    assert found["taskDefinitionArn"] == f"{ARN}/web:1"
    assert (found["revision"], found["status"], found["family"]) == (1, "ACTIVE", "web")
    assert found["volumes"] == found["placementConstraints"] == []
    assert found["compatibilities"] == ["EXTERNAL", "EC2"]
    assert found["registeredBy"] == "arn:aws:iam::123456789012:root"
    assert "networkMode" not in found
    assert "requiresCompatibilities" not in found


def test_what_describe_answers_registers_again_to_the_same(ecs: Any) -> None:
    first = register(
        ecs,
        web(
            healthCheck={"command": ["CMD-SHELL", "true"]},
            environment=[{"name": "B", "value": "2"}, {"name": "A", "value": ""}],
            mountPoints=[{"sourceVolume": "data", "containerPath": "/data"}],
            ulimits=[{"name": "nofile", "softLimit": 10, "hardLimit": 20}],
            pseudoTerminal=True,
        ),
        volumes=[{"name": "data", "host": {}}],
        **FARGATE,
    )
    own = ("family", "containerDefinitions", "volumes", *FARGATE)
    again = ecs.register_task_definition(**{member: first[member] for member in own})["taskDefinition"]
    assert again["revision"] == 2
    for member in ("containerDefinitions", "volumes", "compatibilities", "requiresAttributes"):
        assert again[member] == first[member]
    assert ecs.describe_task_definition(taskDefinition="web")["taskDefinition"] == again


def test_fargate_sizes_are_normalised_and_make_it_compatible(ecs: Any) -> None:
    found = register(ecs, web(), **{**FARGATE, "cpu": "1 vCPU", "memory": "2GB"})
    assert (found["cpu"], found["memory"]) == ("1024", "2048")
    assert found["compatibilities"] == ["EC2", "FARGATE"]
    assert {"name": "ecs.capability.task-eni"} in found["requiresAttributes"]


@pytest.mark.parametrize(
    ("cpu", "memory"), [("256", "512"), ("512", "4096"), ("4096", "30720"), ("8192", "61440"), ("16384", "122880")]
)
def test_fargate_offers_these_sizes(ecs: Any, cpu: str, memory: str) -> None:
    assert register(ecs, web(), **{**FARGATE, "cpu": cpu, "memory": memory})["cpu"] == cpu


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"cpu": "256", "memory": "4096"}, "No Fargate configuration exists for given values: 256 CPU, 4096 memory."),
        ({"cpu": "300"}, "Invalid 'cpu' setting for task."),
        ({"cpu": "8192", "memory": "17408"}, "No Fargate configuration exists"),
        ({"networkMode": "bridge"}, "Fargate only supports network mode"),
        ({"cpu": ""}, "Fargate requires that 'cpu' be defined at the task level."),
        ({"memory": ""}, "Fargate requires that 'memory' be defined at the task level."),
        ({"pidMode": "host"}, "do not support pidMode 'host'"),
        ({"volumes": [{"name": "etc", "host": {"sourcePath": "/etc"}}]}, "do not support sourcePath"),
    ],
)
def test_fargate_refuses(ecs: Any, members: dict[str, Any], text: str) -> None:
    assert text in refusal(ecs, web(), **{**FARGATE, **members})


@pytest.mark.parametrize(
    ("container", "text"),
    [
        ({"privileged": True}, "Fargate requires that the 'privileged' setting be 'false'."),
        ({"linuxParameters": {"devices": [{"hostPath": "/dev/fuse"}]}}, "do not support devices"),
        ({"linuxParameters": {"capabilities": {"add": ["NET_ADMIN"]}}}, "NET_ADMIN is not allowed on Fargate."),
        ({"stopTimeout": 121}, "between 2 and 120 seconds"),
        ({"startTimeout": 1}, "between 2 and 120 seconds"),
        ({"linuxParameters": {"swappiness": 0}}, "do not support swappiness"),
        ({"disableNetworking": True}, "Disable Networking is not supported on container when networkMode=awsvpc."),
        ({"dnsServers": ["10.0.0.2"]}, "DNS servers are not supported on container when networkMode=awsvpc."),
        (
            {"logConfiguration": {"logDriver": "json-file"}},
            "json-file is not a valid log driver. Must be one of [awslogs, splunk, awsfirelens]",
        ),
        ({"memory": 513}, "exceeds the task's memory"),
        (
            {
                "logConfiguration": {
                    "logDriver": "awslogs",
                    "options": {"awslogs-group": "g", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p"},
                }
            },
            "execution role ARN to support log driver awslogs",
        ),
        ({"image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/web"}, "execution role ARN to support ECR images"),
    ],
)
def test_fargate_refuses_containers(ecs: Any, container: dict[str, Any], text: str) -> None:
    assert text in refusal(ecs, web(**container), **FARGATE)


@pytest.mark.parametrize(
    ("container", "text"),
    [
        ({"image": ""}, "Container.image should not be null or empty."),
        ({"versionConsistency": "enabled"}, "only for an image that is named by its digest"),
        ({"image": "no spaces"}, "Container.image contains invalid characters."),
        ({"name": ""}, "Container.name should not be null or empty."),
        ({"name": "a b"}, "Container.name contains invalid characters"),
        ({"memory": None}, "At least one of 'memory' or 'memoryReservation' must be specified."),
        ({"memory": 5}, "at least 6 MiB"),
        ({"memoryReservation": 65}, "'memory' must not be less than 'memoryReservation'"),
        ({"cpu": -1}, "'cpu' must be between 0 and"),
        ({"essential": False}, "at least one essential container"),
        ({"mountPoints": [{"sourceVolume": "x", "containerPath": "/x"}]}, "Unknown volume 'x'."),
        (
            {"portMappings": [{"containerPort": 80, "name": "http"}, {"containerPort": 81, "name": "http"}]},
            "The port mapping name 'http' is already used.",
        ),
        ({"healthCheck": {"command": ["CMD", "true"], "timeout": 61}}, "timeout must be between 2 and 60"),
        ({"portMappings": [{"containerPort": 65536}]}, "containerPort must be between 1 and 65535"),
        ({"portMappings": [{"hostPort": 80}]}, "containerPort must be between 1 and 65535"),
        ({"portMappings": [{"containerPort": 80}, {"containerPort": 80}]}, "is mapped twice"),
        (
            {"portMappings": [{"containerPort": 80, "hostPort": 8080}, {"containerPort": 81, "hostPort": 8080}]},
            "Host port 8080/tcp is used by more than one",
        ),
        (
            {"dependsOn": [{"containerName": "db", "condition": "START"}]},
            "Cannot depend on container 'db' because it does not exist.",
        ),
        ({"dependsOn": [{"containerName": "web", "condition": "START"}]}, "in a circle"),
        ({"links": ["db"]}, "links to unknown container 'db'"),
        ({"volumesFrom": [{"sourceContainer": "db"}]}, "Unknown container: 'db'"),
        ({"healthCheck": {"command": ["curl"]}}, "must start with CMD or CMD-SHELL"),
        ({"healthCheck": {"command": ["CMD", "true"], "interval": 4}}, "interval must be between 5 and 300"),
        ({"healthCheck": {"command": ["CMD", "true"], "retries": 11}}, "retries must be between 1 and 10"),
        (
            {"ulimits": [{"name": "nofile", "softLimit": 2, "hardLimit": 1}]},
            "Soft limit exceeds hard limit for ulimit nofile",
        ),
        ({"stopTimeout": -1}, "stopTimeout must be between"),
        ({"workingDirectory": "app"}, "must be an absolute path"),
        ({"environment": [{"name": "A=B", "value": "c"}]}, "invalid environment variable name 'A=B'"),
        ({"logConfiguration": {"logDriver": "awslogs"}}, "requires options: awslogs-group, awslogs-region"),
        ({"linuxParameters": {"capabilities": {"add": ["FLY"]}}}, "unknown Linux capability 'FLY'"),
        (
            {"linuxParameters": {"tmpfs": [{"containerPath": "/t", "size": 1}, {"containerPath": "/t/", "size": 2}]}},
            "containerPath '/t/' is mounted twice",
        ),
        (
            {"systemControls": [{"namespace": "net.core.somaxconn", "value": value} for value in ("1", "2")]},
            "system control 'net.core.somaxconn' is given twice",
        ),
        ({"disableNetworking": True, "portMappings": [{"containerPort": 80}]}, "portMappings need the network"),
    ],
)
def test_a_container_is_refused_when(ecs: Any, container: dict[str, Any], text: str) -> None:
    given = {member: value for member, value in web(**container).items() if value is not None}
    assert text in refusal(ecs, given)


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"family": "a b"}, "Family contains invalid characters"),
        ({"cpu": "lots"}, "Invalid 'cpu' setting for task."),
        ({"cpu": "9" * 5000}, "Invalid 'cpu' setting for task."),
        ({"memory": "-1"}, "Invalid 'memory' setting for task."),
        ({"memory": "63"}, "exceeds the task's memory"),
        ({"volumes": [{"name": "a"}, {"name": "a"}]}, "Duplicate volume name 'a'."),
        ({"volumes": [{"name": "a", "host": {"sourcePath": "etc"}}]}, "must be an absolute path"),
        ({"placementConstraints": [{"type": "memberOf", "expression": "x == y"}]}, "at position 0: expected a subject"),
        ({"runtimePlatform": {"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}}, "is not supported by Berth"),
    ],
)
def test_a_task_definition_is_refused_when(ecs: Any, members: dict[str, Any], text: str) -> None:
    assert text in refusal(ecs, web(), **members)


def test_network_modes_decide_about_ports(ecs: Any) -> None:
    unequal = web(portMappings=[{"containerPort": 80, "hostPort": 8080}])
    for mode in ("host", "awsvpc"):
        assert f"When networkMode={mode}, the host ports and container ports" in refusal(ecs, unequal, networkMode=mode)
        found = register(ecs, web(portMappings=[{"containerPort": 80}]), networkMode=mode)
        assert found["containerDefinitions"][0]["portMappings"] == [
            {"containerPort": 80, "hostPort": 80, "protocol": "tcp"}
        ]
    assert "networkMode=none" in refusal(ecs, unequal, networkMode="none")
    assert register(ecs, unequal)["containerDefinitions"][0]["portMappings"][0]["hostPort"] == 8080
    assert "hostname" in refusal(ecs, web(hostname="me"), networkMode="awsvpc")


def test_containers_may_lean_on_each_other_but_not_in_a_circle(ecs: Any) -> None:
    db = web(name="db", healthCheck={"command": ["CMD", "true"]})
    ready = web(dependsOn=[{"containerName": "db", "condition": "HEALTHY"}], links=["db:database"])
    assert register(ecs, ready, db)["revision"] == 1
    assert "in a circle" in refusal(
        ecs, ready, web(name="db", volumesFrom=[{"sourceContainer": "web"}], healthCheck={"command": ["CMD", "true"]})
    )
    assert "must have health check configured" in refusal(ecs, ready, web(name="db"))
    done = web(dependsOn=[{"containerName": "db", "condition": "SUCCESS"}])
    assert "essential container" in refusal(ecs, done, db)
    assert "must be unique" in refusal(ecs, web(), web())


def test_the_number_and_size_of_containers_is_bounded(ecs: Any) -> None:
    assert "Container list cannot be empty." in _no_containers(ecs)
    assert "at most 10 containers" in refusal(ecs, *(web(name=f"c{number}") for number in range(11)))
    assert "Max allowed length is '65536' bytes." in refusal(ecs, web(command=["x" * 70_000]))
    two = (web(), web(name="side", cpu=200))
    assert "exceeds the task's cpu of 128" in refusal(ecs, *two, cpu="128", memory="512")


def _no_containers(ecs: Any) -> str:
    with pytest.raises(ecs.exceptions.ClientException) as refused:
        ecs.register_task_definition(family="web", containerDefinitions=[])
    return str(refused.value.response["Error"]["Message"])


@pytest.mark.parametrize(
    ("container", "member"),
    [
        ({"credentialSpecs": ["credentialspec:arn:x"]}, "containerDefinitions[0].credentialSpecs"),
        (
            {"resourceRequirements": [{"type": "GPU", "sharingStrategy": {"nvidiaMps": {"memory": 1024}}}]},
            "containerDefinitions[0].resourceRequirements[0].sharingStrategy",
        ),
    ],
)
def test_members_without_effect_are_refused_by_name(ecs: Any, container: dict[str, Any], member: str) -> None:
    assert refusal(ecs, web(**container)).startswith(f"{member} is not supported by Berth: ")


def test_members_that_ask_for_nothing_are_let_through(ecs: Any) -> None:
    found = register(
        ecs,
        web(secrets=[], environmentFiles=[], restartPolicy={"enabled": False}, versionConsistency="disabled"),
        taskRoleArn="",
        executionRoleArn="",
        inferenceAccelerators=[],
        tags=[],
    )
    assert "taskRoleArn" not in found
    assert found["containerDefinitions"][0]["secrets"] == []


def test_every_member_of_the_model_is_carried_out_kept_or_refused(service: Service) -> None:
    shape = service.operation_model("RegisterTaskDefinition").input_shape
    for path in sorted({*CARRIED_OUT, *KEPT, *REFUSED}):
        at = shape
        for member in path.split(".") if path else ():
            at = at.members[member]
            at = at.member if at.type_name == "list" else at
        found = [set(table.get(path, ())) for table in (CARRIED_OUT, KEPT, REFUSED)]
        assert set().union(*found) == set(at.members), path
        assert sum(map(len, found)) == len(at.members), f"{path}: a member stands in two tables"


def test_revisions_are_numbered_once_and_never_again(ecs: Any) -> None:
    for _ in range(2):
        register(ecs)
    ecs.deregister_task_definition(taskDefinition="web:2")
    ecs.delete_task_definitions(taskDefinitions=["web:2"])
    assert register(ecs)["revision"] == 3


def test_describe_takes_a_family_a_revision_or_an_arn(ecs: Any) -> None:
    ecs.register_task_definition(family="web", containerDefinitions=[WEB], tags=[{"key": "team", "value": "blue"}])
    register(ecs)
    register(ecs)
    ecs.deregister_task_definition(taskDefinition="web:3")
    for ref, revision in (("web", 2), ("web:1", 1), (f"{ARN}/web:3", 3), (f"{ARN}/web", 2)):
        assert ecs.describe_task_definition(taskDefinition=ref)["taskDefinition"]["revision"] == revision
    assert ecs.describe_task_definition(taskDefinition="web:1", include=["TAGS"])["tags"] == [
        {"key": "team", "value": "blue"}
    ]
    assert "tags" not in ecs.describe_task_definition(taskDefinition="web:1")
    for ref in ("nothing", "web:4", "web:0", "web:x", "web:" + "0" * 5000, "arn:aws:ecs:us-east-1:1:cluster/web", ""):
        with pytest.raises(ClientError) as refused:
            ecs.describe_task_definition(taskDefinition=ref)
        assert refused.value.response["Error"]["Code"] == "ClientException"


def test_deregistering_needs_a_revision_and_can_be_repeated(ecs: Any) -> None:
    register(ecs)
    first = ecs.deregister_task_definition(taskDefinition="web:1")["taskDefinition"]
    assert first["status"] == "INACTIVE"
    assert ecs.deregister_task_definition(taskDefinition="web:1")["taskDefinition"] == first
    for ref in ("web", "web:2"):
        with pytest.raises(ecs.exceptions.ClientException):
            ecs.deregister_task_definition(taskDefinition=ref)


def test_deleting_tells_what_it_could_not(ecs: Any) -> None:
    register(ecs)
    register(ecs)
    ecs.deregister_task_definition(taskDefinition="web:1")
    answer = ecs.delete_task_definitions(taskDefinitions=["web:1", "web:2", "web:3", "web"])
    assert [found["status"] for found in answer["taskDefinitions"]] == ["DELETE_IN_PROGRESS"]
    assert [(failure["arn"], failure["reason"].split(".")[0]) for failure in answer["failures"]] == [
        ("web:2", "The specified task definition is still in ACTIVE status"),
        ("web:3", "The specified task definition does not exist"),
        ("web", "The specified task definition does not exist"),
    ]
    with pytest.raises(ecs.exceptions.InvalidParameterException):
        ecs.delete_task_definitions(taskDefinitions=[f"web:{number}" for number in range(1, 12)])


def test_listing_filters_sorts_and_pages(ecs: Any) -> None:
    for family in ("web", "api", "web", "web-old"):
        register(ecs, family=family)
    ecs.deregister_task_definition(taskDefinition="web-old:1")

    def listed(**filters: Any) -> list[str]:
        pages = ecs.get_paginator("list_task_definitions").paginate(PaginationConfig={"PageSize": 1}, **filters)
        return [arn.removeprefix(f"{ARN}/") for page in pages for arn in page["taskDefinitionArns"]]

    assert listed() == ["api:1", "web:1", "web:2"]
    assert listed(sort="DESC") == ["web:2", "web:1", "api:1"]
    assert listed(familyPrefix="web") == ["web:1", "web:2"]
    assert listed(status="INACTIVE") == ["web-old:1"]
    assert listed(familyPrefix="we") == []
    families = ecs.list_task_definition_families
    assert families()["families"] == ["api", "web", "web-old"]
    assert families(familyPrefix="w", status="ACTIVE")["families"] == ["web"]
    assert families(status="INACTIVE")["families"] == ["web-old"]
    assert families(familyPrefix="W")["families"] == []
