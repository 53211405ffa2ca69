"""Whatever is sent, ECS's answer is an answer or a coded error of the caller's; on both databases."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.services import ServicesPlane

CLUSTER = "arn:aws:ecs:us-east-1:123456789012:cluster/"
TEXTS = [
    "a\x00b",
    "\ud800",
    "x" * 10_000,
    "arn:",
    "arn:aws:ecs:us-east-1:123456789012:",
    CLUSTER,
    "arn:aws:iam::123456789012:" + "x" * 500,
    "'; drop table tasks; --",
    "☃",
    "web:99999999999999999999",
    "web:-1",
    "a/b/c",
    " ",
    ":",
    "web:",
]
NUMBERS = [-1, 0, 2**31, 2**63, 10**30]
WEB = {"name": "web", "image": "web", "memory": 64}


@pytest.fixture
def ecs(store_url: str) -> Iterator[Any]:
    plane = ServicesPlane(store_url)
    plane.register()
    plane.create(1)
    yield plane.ecs
    plane.close()


def calls_with_text(ecs: Any, text: str) -> list[Callable[[], Any]]:
    def register(**members: Any) -> Any:
        return ecs.register_task_definition(**{"family": "web", "containerDefinitions": [WEB], **members})

    def contain(**members: Any) -> Any:
        return register(containerDefinitions=[{**WEB, **members}])

    tag = {"key": text, "value": text}
    return [
        lambda: ecs.create_cluster(clusterName=text, tags=[tag]),
        lambda: ecs.describe_clusters(clusters=[text]),
        lambda: ecs.delete_cluster(cluster=text),
        lambda: ecs.describe_services(services=[text]),
        lambda: ecs.describe_services(cluster=text, services=["web"]),
        lambda: ecs.list_services(nextToken=text),
        lambda: ecs.update_service(service=text, desiredCount=1),
        lambda: ecs.update_service(service="web", taskDefinition=text),
        lambda: ecs.create_service(serviceName=text, taskDefinition="web", desiredCount=0),
        lambda: ecs.create_service(serviceName="new", taskDefinition=text, desiredCount=0),
        lambda: ecs.delete_service(service=text),
        lambda: ecs.describe_task_definition(taskDefinition=text),
        lambda: ecs.deregister_task_definition(taskDefinition=f"{text}:77"),
        lambda: ecs.delete_task_definitions(taskDefinitions=[text]),
        lambda: ecs.list_task_definitions(familyPrefix=text),
        lambda: ecs.list_task_definition_families(familyPrefix=text),
        lambda: ecs.list_tags_for_resource(resourceArn=text),
        lambda: ecs.tag_resource(resourceArn=text, tags=[{"key": "a", "value": "b"}]),
        lambda: ecs.tag_resource(resourceArn=f"{CLUSTER}default", tags=[tag]),
        lambda: ecs.put_attributes(attributes=[{"name": text, "value": text, "targetId": text}]),
        lambda: ecs.list_attributes(targetType="container-instance", attributeName=text),
        lambda: ecs.list_account_settings(principalArn=text, effectiveSettings=True),
        lambda: ecs.put_account_setting(name="awsvpcTrunking", value=text),
        lambda: ecs.put_account_setting(name="awsvpcTrunking", value="enabled", principalArn=text),
        lambda: register(family=text),
        lambda: register(cpu=text, memory=text),
        lambda: register(taskRoleArn=text, volumes=[{"name": text}]),
        lambda: contain(name=text),
        lambda: contain(image=text),
        lambda: contain(environment=[{"name": text, "value": text}], command=[text], user=text, hostname=text),
        lambda: contain(links=[text], dependsOn=[{"containerName": text, "condition": "START"}]),
    ]


def calls_with_number(ecs: Any, number: int) -> list[Callable[[], Any]]:
    def contain(**members: Any) -> Any:
        return ecs.register_task_definition(family="web", containerDefinitions=[{**WEB, **members}])

    percents = {"minimumHealthyPercent": number, "maximumPercent": number}
    return [
        lambda: ecs.update_service(service="web", desiredCount=number),
        lambda: ecs.update_service(service="web", healthCheckGracePeriodSeconds=number),
        lambda: ecs.update_service(service="web", deploymentConfiguration=percents),
        lambda: ecs.list_services(maxResults=number),
        lambda: contain(cpu=number),
        lambda: contain(memory=number),
        lambda: contain(memoryReservation=number),
        lambda: contain(portMappings=[{"containerPort": number, "hostPort": number}]),
        lambda: contain(healthCheck={"command": ["CMD", "true"], "interval": number}),
        lambda: contain(stopTimeout=number),
        lambda: contain(linuxParameters={"sharedMemorySize": number}),
    ]


def test_nonsense_gets_an_answer_or_an_error_of_the_callers(ecs: Any) -> None:
    calls = [call for text in TEXTS for call in calls_with_text(ecs, text)]
    calls += [call for number in NUMBERS for call in calls_with_number(ecs, number)]
    refused = 0
    for call in calls:
        try:
            call()
        except ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] < 500, error
            refused += 1
    assert refused > len(calls) // 2
