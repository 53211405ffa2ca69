"""Clusters through boto3: created once, described with what is in them, deleted only when empty."""

from datetime import UTC, datetime
from typing import Any

import pytest

from state.container_instances import ContainerInstance
from state.services import Service
from state.store import Session
from state.tasks import Task
from tests.support.loopback import Loopback

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ARN = "arn:aws:ecs:us-east-1:123456789012:cluster"


def instance(cluster: str, **members: Any) -> ContainerInstance:
    sizes = {"registered_cpu": 1024, "registered_memory": 1024, "free_cpu": 1024, "free_memory": 1024}
    return ContainerInstance(**{"id": "a" * 32, "cluster": cluster, "registered_at": NOW, **sizes, **members})


def service(cluster: str, **members: Any) -> Service:
    usual = {"name": "web", "family": "web", "revision": 1, "desired_count": 1, "launch_type": "EC2"}
    usual |= {"deployment_configuration": {}, "created_at": NOW, "created_by": "root"}
    return Service(**{"cluster": cluster, **usual, **members})


def task(cluster: str, **members: Any) -> Task:
    usual = {"id": "b" * 32, "family": "web", "revision": 1, "launch_type": "EC2", "cpu": 1, "memory": 1}
    return Task(**{"cluster": cluster, "last_status": "RUNNING", "created_at": NOW, **usual, **members})


def put(embedded_berth: Loopback, *rows: Any) -> None:
    def write(session: Session) -> None:
        session.add_all(rows)

    embedded_berth.store.transact(write)


def test_create_cluster_answers_its_arn_and_defaults(ecs: Any) -> None:
    made = ecs.create_cluster(clusterName="prod", tags=[{"key": "team", "value": "blue"}])["cluster"]
    assert made["clusterArn"] == f"{ARN}/prod"
    assert made["status"] == "ACTIVE"
    assert made["settings"] == [{"name": "containerInsights", "value": "disabled"}]
    assert made["tags"] == [{"key": "team", "value": "blue"}]
    assert made["capacityProviders"] == []
    assert ecs.create_cluster()["cluster"]["clusterName"] == "default"


def test_create_cluster_twice_answers_the_first(ecs: Any) -> None:
    ecs.create_cluster(clusterName="prod", tags=[{"key": "a", "value": "1"}])
    again = ecs.create_cluster(clusterName="prod", tags=[{"key": "a", "value": "2"}])["cluster"]
    assert again["tags"] == [{"key": "a", "value": "1"}]
    assert ecs.list_clusters()["clusterArns"] == [f"{ARN}/prod"]


def test_a_deleted_cluster_is_inactive_and_starts_anew_when_created_again(ecs: Any) -> None:
    ecs.create_cluster(clusterName="prod", tags=[{"key": "a", "value": "1"}])
    assert ecs.delete_cluster(cluster=f"{ARN}/prod")["cluster"]["status"] == "INACTIVE"
    assert ecs.list_clusters()["clusterArns"] == []
    assert ecs.describe_clusters(clusters=["prod"])["clusters"][0]["status"] == "INACTIVE"
    with pytest.raises(ecs.exceptions.ClusterNotFoundException):
        ecs.delete_cluster(cluster="prod")
    again = ecs.create_cluster(clusterName="prod")["cluster"]
    assert (again["status"], again["tags"]) == ("ACTIVE", [])


def test_describe_clusters_names_the_missing_and_shows_only_what_is_asked_for(ecs: Any) -> None:
    ecs.create_cluster(tags=[{"key": "a", "value": "1"}])
    answer = ecs.describe_clusters(clusters=["default", "nowhere", "arn:aws:ecs:eu-west-1:1:cluster/default"])
    assert [found["clusterName"] for found in answer["clusters"]] == ["default"]
    assert answer["clusters"][0]["tags"] == answer["clusters"][0]["settings"] == []
    assert answer["failures"] == [
        {"arn": f"{ARN}/nowhere", "reason": "MISSING"},
        {"arn": "arn:aws:ecs:eu-west-1:1:cluster/default", "reason": "MISSING"},
    ]
    assert ecs.describe_clusters(include=["TAGS"])["clusters"][0]["tags"] == [{"key": "a", "value": "1"}]


def test_describe_clusters_counts_what_is_in_each(embedded_berth: Loopback, ecs: Any) -> None:
    ecs.create_cluster()
    ecs.create_cluster(clusterName="empty")
    put(
        embedded_berth,
        instance("default"),
        instance("default", id="c" * 32, capacity_id="launched-for-a-task"),
        service("default"),
        service("default", name="gone", status="INACTIVE"),
        task("default"),
        task("default", id="d" * 32, last_status="PROVISIONING", launch_type="FARGATE"),
        task("default", id="e" * 32, last_status="STOPPED"),
    )
    found = {
        row["clusterName"]: row
        for row in ecs.describe_clusters(clusters=["default", "empty"], include=["STATISTICS"])["clusters"]
    }
    full = found["default"]
    assert full["registeredContainerInstancesCount"] == 1
    assert (full["runningTasksCount"], full["pendingTasksCount"], full["activeServicesCount"]) == (1, 1, 1)
    statistics = {row["name"]: row["value"] for row in full["statistics"]}
    assert statistics["runningEC2TasksCount"] == "1"
    assert statistics["pendingFargateTasksCount"] == "1"
    assert statistics["activeFargateServiceCount"] == "0"
    assert found["empty"]["runningTasksCount"] == found["empty"]["registeredContainerInstancesCount"] == 0


@pytest.mark.parametrize(
    ("row", "error"),
    [
        (instance, "ClusterContainsContainerInstancesException"),
        (service, "ClusterContainsServicesException"),
        (task, "ClusterContainsTasksException"),
    ],
)
def test_delete_cluster_refuses_while_something_is_in_it(
    embedded_berth: Loopback, ecs: Any, row: Any, error: str
) -> None:
    ecs.create_cluster()
    put(embedded_berth, row("default"))
    with pytest.raises(getattr(ecs.exceptions, error)):
        ecs.delete_cluster(cluster="default")


@pytest.mark.parametrize("status", ["DEPROVISIONING", "STOPPING"])
def test_delete_cluster_waits_for_tasks_on_their_way_down(embedded_berth: Loopback, ecs: Any, status: str) -> None:
    ecs.create_cluster()
    put(embedded_berth, task("default", last_status=status))
    with pytest.raises(ecs.exceptions.ClusterContainsTasksException):
        ecs.delete_cluster(cluster="default")


def test_list_clusters_pages(ecs: Any) -> None:
    for name in "cabed":
        ecs.create_cluster(clusterName=name)
    pages = list(ecs.get_paginator("list_clusters").paginate(PaginationConfig={"PageSize": 2}))
    assert [len(page["clusterArns"]) for page in pages] == [2, 2, 1]
    assert [arn for page in pages for arn in page["clusterArns"]] == [f"{ARN}/{name}" for name in "abcde"]
    with pytest.raises(ecs.exceptions.InvalidParameterException):
        ecs.list_clusters(nextToken="nonsense")
    with pytest.raises(ecs.exceptions.InvalidParameterException):
        ecs.list_clusters(maxResults=101)


def test_settings_and_capacity_providers_are_kept(ecs: Any) -> None:
    ecs.create_cluster()
    ecs.update_cluster_settings(cluster="default", settings=[{"name": "containerInsights", "value": "enabled"}])
    strategy = [{"capacityProvider": "FARGATE", "weight": 1, "base": 0}]
    ecs.put_cluster_capacity_providers(
        cluster="default",
        capacityProviders=["FARGATE", "FARGATE_SPOT"],
        defaultCapacityProviderStrategy=[{"capacityProvider": "FARGATE"}],
    )
    found = ecs.describe_clusters(include=["SETTINGS"])["clusters"][0]
    assert found["settings"] == [{"name": "containerInsights", "value": "enabled"}]
    assert found["capacityProviders"] == ["FARGATE", "FARGATE_SPOT"]
    assert found["defaultCapacityProviderStrategy"] == strategy


def test_a_capacity_provider_in_use_cannot_be_removed(embedded_berth: Loopback, ecs: Any) -> None:
    ecs.create_cluster(capacityProviders=["FARGATE"])
    put(embedded_berth, service("default", capacity_provider_strategy=[{"capacityProvider": "FARGATE", "weight": 1}]))
    with pytest.raises(ecs.exceptions.ResourceInUseException):
        ecs.put_cluster_capacity_providers(cluster="default", capacityProviders=[], defaultCapacityProviderStrategy=[])


@pytest.mark.parametrize(
    "request_",
    [
        {"clusterName": "two words"},
        {"clusterName": "n" * 256},
        {"settings": [{"name": "containerInsights", "value": "loud"}]},
        {"capacityProviders": ["my-provider"]},
        {"defaultCapacityProviderStrategy": [{"capacityProvider": "FARGATE"}]},
        {"serviceConnectDefaults": {"namespace": "mesh"}},
        {"tags": [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]},
        {"tags": [{"key": "aws:mine", "value": "1"}]},
    ],
)
def test_create_cluster_refuses_what_it_cannot_keep(ecs: Any, request_: dict[str, Any]) -> None:
    with pytest.raises(ecs.exceptions.InvalidParameterException):
        ecs.create_cluster(**request_)
    assert ecs.list_clusters()["clusterArns"] == []
