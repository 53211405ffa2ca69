"""Services through boto3: what is asked for is kept, what begins a deployment, what is refused."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from state.services import Service, get_service
from state.store import Session
from tests.support.loopback import Loopback

ARN = "arn:aws:ecs:us-east-1:123456789012"
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": [], "assignPublicIp": "DISABLED"}}


@pytest.fixture
def ecs(embedded_berth: Loopback) -> Any:
    client = embedded_berth.client("ecs")
    client.create_cluster()
    web = {"name": "web", "image": "web:1", "memory": 64}
    client.register_task_definition(family="web", containerDefinitions=[web])
    client.register_task_definition(
        family="far",
        containerDefinitions=[web],
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
    )
    return client


def create(ecs: Any, **members: Any) -> dict[str, Any]:
    asked = {"serviceName": "web", "taskDefinition": "web", "desiredCount": 2, **members}
    found: dict[str, Any] = ecs.create_service(**{name: value for name, value in asked.items() if value is not None})
    return found["service"]


def describe(ecs: Any, name: str = "web", **members: Any) -> dict[str, Any]:
    found: dict[str, Any] = ecs.describe_services(services=[name], **members)["services"][0]
    return found


def settle(embedded_berth: Loopback, name: str = "web") -> None:
    """End the service as its loop does once nothing of it runs."""

    def write(session: Session) -> None:
        service = get_service(session, "default", name)
        assert service is not None
        service.advance("INACTIVE", at=embedded_berth.clock.now(), because="drained")

    embedded_berth.store.transact(write)


def test_create_service_answers_defaults_and_one_deployment(ecs: Any) -> None:
    made = create(ecs, tags=[{"key": "team", "value": "blue"}])
    assert made["serviceArn"] == f"{ARN}:service/default/web"
    assert made["clusterArn"] == f"{ARN}:cluster/default"
    assert made["taskDefinition"] == f"{ARN}:task-definition/web:1"
    assert (made["status"], made["desiredCount"], made["runningCount"], made["pendingCount"]) == ("ACTIVE", 2, 0, 0)
    assert (made["launchType"], made["schedulingStrategy"]) == ("EC2", "REPLICA")
    assert made["deploymentConfiguration"] == {
        "deploymentCircuitBreaker": {"enable": False, "rollback": False},
        "maximumPercent": 200,
        "minimumHealthyPercent": 100,
        "strategy": "ROLLING",
    }
    assert made["tags"] == [{"key": "team", "value": "blue"}]
    assert made["events"] == []
    [deployment] = made["deployments"]
    assert deployment["id"].startswith("ecs-svc/")
    assert (deployment["status"], deployment["rolloutState"], deployment["desiredCount"]) == (
        "PRIMARY",
        "IN_PROGRESS",
        2,
    )
    assert deployment["rolloutStateReason"] == f"ECS deployment {deployment['id']} in progress."
    found = describe(ecs, include=["TAGS"])
    assert found == made
    assert "tags" not in describe(ecs)


def test_creating_the_same_service_twice_is_refused(ecs: Any) -> None:
    create(ecs)
    with pytest.raises(ecs.exceptions.InvalidParameterException, match=r"Creation of service was not idempotent\."):
        create(ecs)


def test_a_repeated_client_token_answers_the_first_creation(ecs: Any) -> None:
    assert create(ecs, clientToken="once") == create(ecs, clientToken="once")
    assert ecs.list_services()["serviceArns"] == [f"{ARN}:service/default/web"]


def test_a_fargate_service_keeps_network_and_platform(ecs: Any) -> None:
    made = create(ecs, taskDefinition="far", launchType="FARGATE", networkConfiguration=NETWORK)
    assert (made["launchType"], made["platformVersion"], made["platformFamily"]) == ("FARGATE", "1.4.0", "Linux")
    assert made["networkConfiguration"] == made["deployments"][0]["networkConfiguration"] == NETWORK
    spot = [{"capacityProvider": "FARGATE_SPOT", "weight": 1, "base": 0}]
    other = create(
        ecs,
        serviceName="spot",
        taskDefinition="far",
        networkConfiguration=NETWORK,
        capacityProviderStrategy=[{"capacityProvider": "FARGATE_SPOT"}],
    )
    assert other["capacityProviderStrategy"] == other["deployments"][0]["capacityProviderStrategy"] == spot
    assert "launchType" not in other


def test_scaling_keeps_the_deployment(ecs: Any) -> None:
    before = create(ecs)["deployments"][0]
    after = ecs.update_service(service="web", desiredCount=5)["service"]
    assert after["desiredCount"] == 5
    assert [(row["id"], row["desiredCount"]) for row in after["deployments"]] == [(before["id"], 5)]
    assert ecs.update_service(service="web", taskDefinition="web:1")["service"]["deployments"] == after["deployments"]


@pytest.mark.parametrize("change", [{"taskDefinition": "web"}, {"forceNewDeployment": True}])
def test_a_new_task_definition_or_force_begins_a_deployment(ecs: Any, change: dict[str, Any]) -> None:
    first = create(ecs)["deployments"][0]
    ecs.register_task_definition(family="web", containerDefinitions=[{"name": "web", "image": "web:2", "memory": 64}])
    after = ecs.update_service(service=f"{ARN}:service/default/web", **change)["service"]
    assert [row["status"] for row in after["deployments"]] == ["PRIMARY", "ACTIVE"]
    assert after["deployments"][1]["id"] == first["id"]
    revision = 2 if "taskDefinition" in change else 1
    assert after["taskDefinition"] == after["deployments"][0]["taskDefinition"]
    assert after["taskDefinition"] == f"{ARN}:task-definition/web:{revision}"


def test_update_changes_only_what_it_names(ecs: Any) -> None:
    create(ecs, propagateTags="SERVICE", healthCheckGracePeriodSeconds=7)
    after = ecs.update_service(
        service="web",
        deploymentConfiguration={"maximumPercent": 150},
        placementStrategy=[{"type": "spread", "field": "instanceId"}],
    )["service"]
    assert after["deploymentConfiguration"]["maximumPercent"] == 150
    assert after["deploymentConfiguration"]["minimumHealthyPercent"] == 100
    assert after["placementStrategy"] == [{"type": "spread", "field": "instanceId"}]
    assert (after["propagateTags"], after["healthCheckGracePeriodSeconds"], after["desiredCount"]) == ("SERVICE", 7, 2)
    assert len(after["deployments"]) == 1


def test_a_deregistered_revision_goes_on_serving_but_cannot_be_chosen(ecs: Any) -> None:
    create(ecs)
    ecs.deregister_task_definition(taskDefinition="web:1")
    assert ecs.update_service(service="web", desiredCount=3)["service"]["desiredCount"] == 3
    with pytest.raises(ecs.exceptions.ClientException, match="TaskDefinition is inactive"):
        ecs.update_service(service="web", taskDefinition="web:1")


def test_a_service_drains_before_it_is_inactive_and_its_name_is_free_then(embedded_berth: Loopback, ecs: Any) -> None:
    create(ecs)
    with pytest.raises(ecs.exceptions.InvalidParameterException, match="while it is scaled above 0"):
        ecs.delete_service(service="web")
    gone = ecs.delete_service(service="web", force=True)["service"]
    assert (gone["status"], gone["desiredCount"]) == ("DRAINING", 0)
    assert ecs.delete_service(service="web", force=True)["service"]["status"] == "DRAINING"
    with pytest.raises(ecs.exceptions.InvalidParameterException, match="still Draining"):
        create(ecs)
    with pytest.raises(ecs.exceptions.ServiceNotActiveException):
        ecs.update_service(service="web", desiredCount=1)
    assert ecs.list_services()["serviceArns"] == [f"{ARN}:service/default/web"]
    settle(embedded_berth)
    assert describe(ecs)["status"] == "INACTIVE"
    assert ecs.list_services()["serviceArns"] == []
    with pytest.raises(ecs.exceptions.ServiceNotFoundException):
        ecs.delete_service(service="web")
    again = create(ecs, desiredCount=1)
    assert (again["status"], again["desiredCount"], len(again["deployments"])) == ("ACTIVE", 1, 1)
    assert again["deployments"][0]["id"] != gone["deployments"][0]["id"]


def test_the_waiter_for_inactive_services_passes(embedded_berth: Loopback, ecs: Any) -> None:
    create(ecs, desiredCount=0)
    ecs.delete_service(service="web")
    settle(embedded_berth)
    ecs.get_waiter("services_inactive").wait(services=["web"], WaiterConfig={"MaxAttempts": 1})


def test_describe_names_the_missing(ecs: Any) -> None:
    create(ecs)
    other = f"{ARN}:service/other/web"
    answer = ecs.describe_services(services=["web", f"{ARN}:service/web", "nothing", other])
    assert [found["serviceName"] for found in answer["services"]] == ["web"]
    assert answer["failures"] == [
        {"arn": f"{ARN}:service/default/nothing", "reason": "MISSING"},
        {"arn": other, "reason": "MISSING"},
    ]
    with pytest.raises(ecs.exceptions.ClusterNotFoundException):
        ecs.describe_services(cluster="nowhere", services=["web"])
    for refs in ([], [f"s{number}" for number in range(11)]):
        with pytest.raises(ecs.exceptions.InvalidParameterException):
            ecs.describe_services(services=refs)


def test_list_filters_and_pages(ecs: Any) -> None:
    for name in "cab":
        create(ecs, serviceName=name)
    create(ecs, serviceName="daemon", schedulingStrategy="DAEMON", desiredCount=None)
    create(ecs, serviceName="far", taskDefinition="far", launchType="FARGATE", networkConfiguration=NETWORK)

    def listed(**filters: Any) -> list[str]:
        pages = ecs.get_paginator("list_services").paginate(PaginationConfig={"PageSize": 2}, **filters)
        return [arn.rsplit("/", 1)[1] for page in pages for arn in page["serviceArns"]]

    assert listed() == ["a", "b", "c", "daemon", "far"]
    assert listed(launchType="FARGATE") == ["far"]
    assert listed(schedulingStrategy="DAEMON") == ["daemon"]


@pytest.mark.parametrize(
    ("members", "code", "text"),
    [
        ({"cluster": "nowhere"}, "ClusterNotFoundException", "Cluster not found."),
        ({"taskDefinition": "nothing"}, "ClientException", "TaskDefinition not found."),
        ({"taskDefinition": None}, "InvalidParameterException", "TaskDefinition can not be blank."),
        ({"serviceName": "a b"}, "InvalidParameterException", "Service name must be"),
        ({"desiredCount": None}, "InvalidParameterException", "DesiredCount can not be blank"),
        ({"desiredCount": -1}, "InvalidParameterException", "Invalid desiredCount -1"),
        ({"desiredCount": 10_000_001}, "InvalidParameterException", "Invalid desiredCount 10000001"),
        ({"schedulingStrategy": "DAEMON"}, "InvalidParameterException", "does not support a desired count"),
        ({"networkConfiguration": NETWORK}, "InvalidParameterException", "Network Configuration is not valid"),
        ({"taskDefinition": "far"}, "InvalidParameterException", "Network Configuration must be provided"),
        ({"launchType": "FARGATE"}, "ClientException", "Fargate only supports network mode"),
        ({"platformVersion": "1.4.0"}, "InvalidParameterException", "platform version must be null"),
        (
            {"launchType": "EC2", "capacityProviderStrategy": [{"capacityProvider": "FARGATE"}]},
            "InvalidParameterException",
            "both a launch type and capacity provider strategy",
        ),
        (
            {"capacityProviderStrategy": [{"capacityProvider": "mine"}]},
            "InvalidParameterException",
            "The specified capacity provider 'mine' was not found.",
        ),
        (
            {"deploymentConfiguration": {"maximumPercent": 100, "minimumHealthyPercent": 100}},
            "InvalidParameterException",
            "cannot be 100 as this will block deployments.",
        ),
        ({"deploymentConfiguration": {"maximumPercent": 99}}, "InvalidParameterException", "maximumPercent must be"),
        ({"deploymentConfiguration": {"strategy": "BLUE_GREEN"}}, "InvalidParameterException", "BLUE_GREEN"),
        (
            {"deploymentConfiguration": {"alarms": {"alarmNames": ["a"], "enable": True, "rollback": False}}},
            "InvalidParameterException",
            "deploymentConfiguration.alarms is not supported",
        ),
        ({"deploymentController": {"type": "CODE_DEPLOY"}}, "InvalidParameterException", "CODE_DEPLOY"),
        (
            {"loadBalancers": [{"targetGroupArn": "x", "containerName": "web", "containerPort": 80}]},
            "InvalidParameterException",
            "loadBalancers is not supported by Berth yet.",
        ),
        ({"serviceRegistries": [{"registryArn": "x"}]}, "InvalidParameterException", "serviceRegistries is not"),
        ({"serviceConnectConfiguration": {"enabled": True}}, "InvalidParameterException", "serviceConnect"),
        (
            {"placementConstraints": [{"type": "memberOf", "expression": "attribute:a =~ (b"}]},
            "InvalidParameterException",
            "The memberOf placement constraint has an invalid expression: at position 15: bad regular expression",
        ),
        ({"placementStrategy": [{"type": "binpack", "field": "disk"}]}, "InvalidParameterException", "binpack"),
    ],
)
def test_create_service_refuses(ecs: Any, members: dict[str, Any], code: str, text: str) -> None:
    with pytest.raises(ClientError) as refused:
        create(ecs, **members)
    error = refused.value.response["Error"]
    assert error["Code"] == code
    assert text in error["Message"]
    assert ecs.list_services()["serviceArns"] == []


def test_members_that_ask_for_nothing_are_let_through(ecs: Any) -> None:
    made = create(
        ecs,
        loadBalancers=[],
        serviceRegistries=[],
        role="",
        serviceConnectConfiguration={"enabled": False},
        availabilityZoneRebalancing="DISABLED",
        deploymentController={"type": "ECS"},
        tags=[],
    )
    assert made["loadBalancers"] == made["serviceRegistries"] == []


def test_an_inactive_cluster_takes_no_service(embedded_berth: Loopback, ecs: Any) -> None:
    ecs.delete_cluster(cluster="default")
    with pytest.raises(ecs.exceptions.ClusterNotFoundException):
        create(ecs)
    assert embedded_berth.store.read(lambda session: session.get(Service, ("default", "web"))) is None
