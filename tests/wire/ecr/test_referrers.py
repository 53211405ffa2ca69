"""ListImageReferrers through boto3, beside pushes to the running registry."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from kit.aws.paging import encode_token
from state.images import Image
from tests.support.registry import OCI_MANIFEST, RegistryClient, sha256

SUBJECT = sha256(b"the image that was signed")


@pytest.fixture(autouse=True)
def repository(ecr: Any) -> None:
    ecr.create_repository(repositoryName="web")


def sign(registry: RegistryClient, number: int, kind: str = "application/x.sig", **members: Any) -> str:
    subject = {"mediaType": OCI_MANIFEST, "digest": SUBJECT, "size": 2}
    return registry.push_image("web", layer=b"%d" % number, artifactType=kind, subject=subject, **members)


def listed(ecr: Any, **given: Any) -> list[dict[str, Any]]:
    answer = ecr.list_image_referrers(repositoryName="web", subjectId={"imageDigest": SUBJECT}, **given)
    found: list[dict[str, Any]] = answer["referrers"]
    return found


def test_a_referrer_is_told_with_what_it_says(ecr: Any, registry: RegistryClient) -> None:
    digest = sign(registry, 1, annotations={"by": "me"})
    size = int(registry.call("HEAD", f"web/manifests/{digest}").headers["Content-Length"])
    assert listed(ecr) == [
        {
            "digest": digest,
            "mediaType": OCI_MANIFEST,
            "artifactType": "application/x.sig",
            "size": size,
            "annotations": {"by": "me"},
            "artifactStatus": "ACTIVE",
        }
    ]


def test_nothing_is_about_an_image_nobody_has_heard_of(ecr: Any) -> None:
    assert listed(ecr) == []


def test_referrers_are_filtered_by_types_and_status(ecr: Any, registry: RegistryClient) -> None:
    first, second, third = (sign(registry, number, f"application/x.{number}") for number in range(3))

    def archive(session: Any) -> None:
        session.get(Image, ("web", third)).status = "ARCHIVED"

    registry.store.transact(archive)

    def digests(**filters: Any) -> set[str]:
        return {found["digest"] for found in listed(ecr, filter=filters)}

    assert digests() == {first, second}
    assert digests(artifactTypes=["application/x.1", "application/x.2"]) == {second}
    assert digests(artifactStatus="ARCHIVED") == {third}
    assert digests(artifactStatus="ACTIVATING") == set()
    assert digests(artifactStatus="ANY") == {first, second, third}
    assert digests(artifactStatus="ANY", artifactTypes=["application/none"]) == set()


def test_referrers_are_paged_by_digest(ecr: Any, registry: RegistryClient) -> None:
    pushed = sorted(sign(registry, number) for number in range(7))
    found, token = list[str](), dict[str, str]()
    for _ in range(3):
        answer = ecr.list_image_referrers(
            repositoryName="web", subjectId={"imageDigest": SUBJECT}, maxResults=3, **token
        )
        found += [each["digest"] for each in answer["referrers"]]
        token = {"nextToken": answer.get("nextToken")}
    assert found == pushed
    assert token == {"nextToken": None}


def test_a_page_of_large_referrers_is_shorter_and_goes_on(ecr: Any, registry: RegistryClient) -> None:
    long = {f"org.example.{number}": "x" * 10_000 for number in range(380)}
    pushed = sorted(sign(registry, number, annotations=long) for number in range(3))
    answer = ecr.list_image_referrers(repositoryName="web", subjectId={"imageDigest": SUBJECT})
    assert [each["digest"] for each in answer["referrers"]] == pushed[:2]
    assert [each["digest"] for each in listed(ecr, nextToken=answer["nextToken"])] == pushed[2:]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"repositoryName": "nope"}, "RepositoryNotFoundException"),
        ({"registryId": "999999999999"}, "RepositoryNotFoundException"),
        ({"subjectId": {"imageDigest": "nonsense"}}, "InvalidParameterException"),
        ({"subjectId": {"imageDigest": "sha256:\0"}}, "InvalidParameterException"),
        ({"nextToken": "nonsense"}, "InvalidParameterException"),
        ({"nextToken": encode_token("sha256:0", scope="another")}, "InvalidParameterException"),
        ({"maxResults": 51}, "InvalidParameterException"),
        ({"filter": {"artifactStatus": "GONE"}}, "InvalidParameterException"),
        ({"filter": {"artifactTypes": ["x"] * 6}}, "InvalidParameterException"),
    ],
)
def test_nonsense_is_refused(ecr: Any, given: dict[str, Any], code: str) -> None:
    with pytest.raises(ClientError) as caught:
        ecr.list_image_referrers(**{"repositoryName": "web", "subjectId": {"imageDigest": SUBJECT}, **given})
    assert caught.value.response["Error"]["Code"] == code
