"""Identity documents: what EC2 says of an instance is read, nothing is no trouble, and nonsense is refused."""

import json

import pytest

from orchestrator.api.ecs.errors import ClientException
from orchestrator.api.ecs.instance_identity import InstanceIdentity, read_identity

DOCUMENT = {
    "accountId": "123456789012",
    "architecture": "arm64",
    "availabilityZone": "us-east-1c",
    "imageId": "ami-0abcdef1234567890",
    "instanceId": "i-0123456789abcdef0",
    "instanceType": "m6g.large",
    "kernelId": None,
    "privateIp": "10.0.0.4",
    "region": "us-east-1",
    "version": "2017-09-30",
}


def test_an_ec2_document_names_the_instance_and_its_kind() -> None:
    identity = read_identity(json.dumps(DOCUMENT, indent=2))

    assert identity.instance_id == "i-0123456789abcdef0"
    assert identity.attributes == {
        "ecs.cpu-architecture": "arm64",
        "ecs.availability-zone": "us-east-1c",
        "ecs.instance-type": "m6g.large",
        "ecs.ami-id": "ami-0abcdef1234567890",
    }


@pytest.mark.parametrize("document", ["", "{}", '{"instanceId": null, "instanceType": ""}'])
def test_a_document_that_says_nothing_is_no_trouble(document: str) -> None:
    assert read_identity(document) == InstanceIdentity()


@pytest.mark.parametrize(
    "document", ["no json", "7", "[]", "null", "[" * 100_000, '{"instanceId": 7}', f'{{"imageId": "{"a" * 256}"}}']
)
def test_a_document_that_makes_no_sense_is_refused(document: str) -> None:
    with pytest.raises(ClientException):
        read_identity(document)
