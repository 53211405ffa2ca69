"""Attributes, tags and account settings through boto3."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.services import ServicesPlane

ARN = "arn:aws:ecs:us-east-1:123456789012"
ROOT = "arn:aws:iam::123456789012:root"


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ServicesPlane]:
    plane = ServicesPlane(f"sqlite:///{tmp_path / 'berth.db'}")
    yield plane
    plane.close()


@pytest.fixture
def ecs(plane: ServicesPlane) -> Any:
    return plane.ecs


def code_of(refused: pytest.ExceptionInfo[ClientError]) -> str:
    return str(refused.value.response["Error"]["Code"])


def test_attributes_are_put_listed_changed_and_deleted(plane: ServicesPlane, ecs: Any) -> None:
    host = plane.add_host()
    arn = f"{ARN}:container-instance/default/{host}"

    def listed(**filters: str) -> list[dict[str, str]]:
        found: list[dict[str, str]] = ecs.list_attributes(targetType="container-instance", **filters)["attributes"]
        return found

    stack = {"name": "stack", "value": "blue", "targetType": "container-instance", "targetId": arn}
    assert ecs.put_attributes(attributes=[{**stack, "targetId": host}])["attributes"] == [stack]
    assert listed(attributeName="stack") == [stack]
    ecs.put_attributes(attributes=[{**stack, "value": "green"}, {"name": "spot", "targetId": arn}])
    assert listed(attributeName="stack", attributeValue="green") == [{**stack, "value": "green"}]
    assert listed(attributeName="stack", attributeValue="blue") == []
    assert listed(attributeName="spot") == [{"name": "spot", "targetType": "container-instance", "targetId": arn}]
    names = {row["name"] for row in listed()}
    assert {"stack", "spot", "ecs.capability.container-health-check"} <= names
    pages = ecs.get_paginator("list_attributes").paginate(
        targetType="container-instance", PaginationConfig={"PageSize": 1}
    )
    assert [row["name"] for page in pages for row in page["attributes"]] == sorted(names)
    ecs.delete_attributes(attributes=[{"name": "stack", "value": "other", "targetId": arn}])
    assert len(listed(attributeName="stack")) == 1
    for _ in range(2):
        ecs.delete_attributes(attributes=[{"name": "stack", "targetId": arn}])
        assert listed(attributeName="stack") == []


def test_attributes_put_at_the_same_time_are_all_kept(store_url: str) -> None:
    plane = ServicesPlane(store_url)
    host, start = plane.add_host(), Barrier(8)

    def put(name: str) -> None:
        start.wait()
        plane.ecs.put_attributes(attributes=[{"name": name, "value": "1", "targetId": host}])

    names = [f"name-{number}" for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, names))
    found = {row["name"] for row in plane.ecs.list_attributes(targetType="container-instance")["attributes"]}
    assert found.issuperset(names)
    plane.close()


def test_an_attribute_shows_on_its_host(plane: ServicesPlane, ecs: Any) -> None:
    plane.add_host()
    described = ecs.describe_container_instances(containerInstances=[_only_host(ecs)])["containerInstances"][0]
    ecs.put_attributes(attributes=[{"name": "rack", "value": "r1", "targetId": described["containerInstanceArn"]}])
    described = ecs.describe_container_instances(containerInstances=[_only_host(ecs)])["containerInstances"][0]
    assert {"name": "rack", "value": "r1"} in described["attributes"]


def _only_host(ecs: Any) -> str:
    return str(ecs.list_container_instances()["containerInstanceArns"][0])


def test_attributes_are_refused(plane: ServicesPlane, ecs: Any) -> None:
    host = plane.add_host()
    hidden = plane.add_host(capacity_id="c" * 32)
    for attribute, code in (
        ({"name": "a", "targetId": "f" * 32}, "TargetNotFoundException"),
        ({"name": "a", "targetId": hidden}, "TargetNotFoundException"),
        ({"name": "a", "targetId": f"{ARN}:cluster/default"}, "TargetNotFoundException"),
        ({"name": "a"}, "InvalidParameterException"),
        ({"name": "ecs.os-type", "targetId": host}, "InvalidParameterException"),
        ({"name": "a b", "targetId": host}, "InvalidParameterException"),
        ({"name": "a", "value": " b", "targetId": host}, "InvalidParameterException"),
    ):
        with pytest.raises(ClientError) as refused:
            ecs.put_attributes(attributes=[attribute])
        assert code_of(refused) == code
    ecs.put_attributes(attributes=[{"name": f"a{number}", "targetId": host} for number in range(10)])
    with pytest.raises(ecs.exceptions.AttributeLimitExceededException):
        ecs.put_attributes(attributes=[{"name": "one-more", "targetId": host}])
    ecs.put_attributes(attributes=[{"name": "a1", "value": "changed", "targetId": host}])
    with pytest.raises(ecs.exceptions.InvalidParameterException):
        ecs.put_attributes(attributes=[])


def test_every_noun_takes_tags(plane: ServicesPlane, ecs: Any) -> None:
    host = plane.add_host()
    plane.register()
    plane.create(1)
    plane.step()
    [task] = plane.tasks()
    for resource in (
        "cluster/default",
        "service/default/web",
        f"task/default/{task.id}",
        "task-definition/web:1",
        f"container-instance/default/{host}",
    ):
        arn = f"{ARN}:{resource}"
        ecs.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "1"}, {"key": "b", "value": "2"}])
        ecs.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "3"}])
        ecs.untag_resource(resourceArn=arn, tagKeys=["b", "never-there"])
        assert ecs.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "a", "value": "3"}]
    assert ecs.describe_services(services=["web"], include=["TAGS"])["services"][0]["tags"] == [
        {"key": "a", "value": "3"}
    ]


def test_tags_are_refused(plane: ServicesPlane, ecs: Any) -> None:
    tags = [{"key": "a", "value": "1"}]
    for resource, code in (
        ("cluster/nowhere", "ClusterNotFoundException"),
        ("service/default/nothing", "ResourceNotFoundException"),
        ("service/web", "InvalidParameterException"),
        (f"task/default/{'f' * 32}", "ResourceNotFoundException"),
        ("task-definition/web:1", "ResourceNotFoundException"),
        ("task-definition/web", "ResourceNotFoundException"),
        ("lighthouse/one", "InvalidParameterException"),
    ):
        with pytest.raises(ClientError) as refused:
            ecs.tag_resource(resourceArn=f"{ARN}:{resource}", tags=tags)
        assert code_of(refused) == code, resource
    with pytest.raises(ecs.exceptions.InvalidParameterException):
        ecs.list_tags_for_resource(resourceArn=f"{ARN}:service/default/nothing")
    with pytest.raises(ecs.exceptions.InvalidParameterException):
        ecs.list_tags_for_resource(resourceArn="default")
    cluster = f"{ARN}:cluster/default"
    ecs.tag_resource(resourceArn=cluster, tags=[{"key": f"k{number}", "value": ""} for number in range(50)])
    with pytest.raises(ecs.exceptions.InvalidParameterException):
        ecs.tag_resource(resourceArn=cluster, tags=tags)


def test_long_arns_are_on_and_stay_on(ecs: Any) -> None:
    assert ecs.list_account_settings(name="taskLongArnFormat", effectiveSettings=True)["settings"] == [
        {"name": "taskLongArnFormat", "value": "enabled", "principalArn": ROOT, "type": "user"}
    ]
    assert ecs.list_account_settings()["settings"] == []
    with pytest.raises(ecs.exceptions.InvalidParameterException, match="You can no longer disable Long Arn settings"):
        ecs.put_account_setting(name="taskLongArnFormat", value="disabled")


def test_account_settings_fall_back_to_the_account_and_then_to_the_default(ecs: Any) -> None:
    someone = "arn:aws:iam::123456789012:user/someone"

    def effective(**who: str) -> str:
        [setting] = ecs.list_account_settings(name="awsvpcTrunking", effectiveSettings=True, **who)["settings"]
        return str(setting["value"])

    assert effective(principalArn=someone) == "disabled"
    ecs.put_account_setting_default(name="awsvpcTrunking", value="enabled")
    assert effective(principalArn=someone) == effective() == "enabled"
    ecs.put_account_setting(name="awsvpcTrunking", value="disabled", principalArn=someone)
    assert effective(principalArn=someone) == "disabled"
    assert [row["value"] for row in ecs.list_account_settings(principalArn=someone)["settings"]] == ["disabled"]
    gone = ecs.delete_account_setting(name="awsvpcTrunking", principalArn=someone)["setting"]
    assert gone["value"] == effective(principalArn=someone) == "enabled"
    with pytest.raises(ecs.exceptions.InvalidParameterException):
        ecs.put_account_setting(name="awsvpcTrunking", value="maybe")
    with pytest.raises(ecs.exceptions.InvalidParameterException):
        ecs.put_account_setting(name="guardDutyActivate", value="on")


def test_new_clusters_start_with_the_accounts_container_insights(ecs: Any) -> None:
    ecs.put_account_setting_default(name="containerInsights", value="enhanced")
    made = ecs.create_cluster(clusterName="watched")["cluster"]
    assert made["settings"] == [{"name": "containerInsights", "value": "enhanced"}]
