"""Tags, repositories and referrers over HTTP, as the OCI distribution specification has them."""

import re
from typing import Any

import pytest

from state.images import Image
from tests.support.registry import OCI_INDEX, OCI_MANIFEST, RegistryClient, image_of, sha256

NOTHING = sha256(b"never pushed")


def follow(oci: RegistryClient, path: str, member: str) -> list[list[Any]]:
    """Every page of ``member``, by the Link headers."""
    pages = []
    while path:
        answer = oci.call("GET", path)
        assert answer.status_code == 200
        pages.append(answer.json()[member])
        found = re.fullmatch(r'<([^>]+)>; rel="next"', answer.headers.get("Link", ""))
        path = found[1] if found else ""
    return pages


def subject_of(digest: str) -> dict[str, Any]:
    return {"subject": {"mediaType": OCI_MANIFEST, "digest": digest, "size": 2}}


def test_lists_are_empty_before_anything_is_pushed(oci: RegistryClient) -> None:
    answer = oci.call("GET", f"web/referrers/{NOTHING}")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == OCI_INDEX
    assert answer.json() == {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}
    assert oci.call("GET", "web/tags/list").json() == {"name": "web", "tags": []}


def test_the_tags_of_an_unknown_repository_are_404_and_its_referrers_are_none(oci: RegistryClient) -> None:
    answer = oci.call("GET", "nope/tags/list")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, "NAME_UNKNOWN")
    # With 404 a client would take it that the registry has no referrers, and keep them under tags.
    answer = oci.call("GET", f"nope/referrers/{NOTHING}")
    assert (answer.status_code, answer.json()["manifests"]) == (200, [])


def test_tags_are_sorted_and_paged(oci: RegistryClient) -> None:
    tags = ["Zeta", "a", "b", "v1", "v10", "v2", "_x"]
    for tag in tags:
        oci.push_image("web", tag)
    assert follow(oci, "web/tags/list", "tags") == [sorted(tags)]
    pages = follow(oci, "web/tags/list?n=3", "tags")
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [tag for page in pages for tag in page] == sorted(tags)
    assert oci.call("GET", "web/tags/list?n=2&last=b").json()["tags"] == ["v1", "v10"]
    assert oci.call("GET", "web/tags/list?last=v10").json()["tags"] == ["v2"]
    assert oci.call("GET", "web/tags/list?last=zzz").json()["tags"] == []


def test_a_full_last_page_has_no_next(oci: RegistryClient) -> None:
    for tag in ("a", "b"):
        oci.push_image("web", tag)
    assert "Link" not in oci.call("GET", "web/tags/list?n=2").headers


def test_a_page_of_none_is_empty(oci: RegistryClient) -> None:
    oci.push_image("web", "v1")
    answer = oci.call("GET", "web/tags/list?n=0")
    assert (answer.json()["tags"], "Link" in answer.headers) == ([], False)


@pytest.mark.parametrize("size", ["-1", "x", "1.5", "%C2%B2", ""])
def test_a_page_size_that_is_none_is_refused(oci: RegistryClient, size: str) -> None:
    assert oci.call("GET", f"web/tags/list?n={size}").status_code == 400


@pytest.mark.parametrize("path", ["web/tags/list", "_catalog", f"web/referrers/{NOTHING}"])
@pytest.mark.parametrize("last", ["%00", "x" * 2000])
def test_a_page_cannot_begin_at_nonsense(oci: RegistryClient, path: str, last: str) -> None:
    answer = oci.call("GET", f"{path}?last={last}")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "PAGINATION_NUMBER_INVALID")


@pytest.mark.parametrize("last", ["%ff", "%ed%a0%80", "%F0%9F%90%B3", "'; --", "zzzz"])
def test_a_page_may_begin_where_nothing_is(oci: RegistryClient, last: str) -> None:
    for path in ("web/tags/list", "_catalog", f"web/referrers/{NOTHING}"):
        assert oci.call("GET", f"{path}?last={last}").status_code == 200


def test_repositories_are_paged(oci: RegistryClient) -> None:
    oci.make_repository("a/b")
    assert follow(oci, "_catalog?n=2", "repositories") == [["a/b", "other"], ["web"]]


def test_a_referrer_is_listed_with_what_it_says(oci: RegistryClient) -> None:
    target = oci.push_image("web", "v1")
    signature = oci.push_image(
        "web", layer=b"sig", artifactType="application/x.sig", annotations={"by": "me"}, **subject_of(target)
    )
    answer = oci.call("GET", f"web/referrers/{target}")
    size = int(oci.call("HEAD", f"web/manifests/{signature}").headers["Content-Length"])
    assert answer.json()["manifests"] == [
        {
            "mediaType": OCI_MANIFEST,
            "digest": signature,
            "size": size,
            "artifactType": "application/x.sig",
            "annotations": {"by": "me"},
        }
    ]
    assert oci.call("GET", f"other/referrers/{target}").json()["manifests"] == []


def test_a_subject_need_not_exist_and_is_acknowledged(oci: RegistryClient) -> None:
    oci.push_blob("web", b"{}")
    manifest = image_of(**subject_of(NOTHING))
    answer = oci.call("PUT", "web/manifests/sig", json=manifest, headers={"Content-Type": OCI_MANIFEST})
    assert (answer.status_code, answer.headers["OCI-Subject"]) == (201, NOTHING)
    (found,) = oci.call("GET", f"web/referrers/{NOTHING}").json()["manifests"]
    # Without an artifact type of its own it is of its configuration's.
    assert found["artifactType"] == manifest["config"]["mediaType"]


def test_an_index_may_refer_and_has_a_type_only_if_it_says_so(oci: RegistryClient) -> None:
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], **subject_of(NOTHING)}
    oci.push_manifest("web", index)
    (found,) = oci.call("GET", f"web/referrers/{NOTHING}").json()["manifests"]
    assert (found["mediaType"], "artifactType" in found) == (OCI_INDEX, False)


def test_referrers_are_filtered_by_type(oci: RegistryClient) -> None:
    wanted = oci.push_image("web", artifactType="application/a+json", **subject_of(NOTHING))
    oci.push_image("web", artifactType="application/b", **subject_of(NOTHING))
    answer = oci.call("GET", f"web/referrers/{NOTHING}", params={"artifactType": "application/a+json"})
    assert [found["digest"] for found in answer.json()["manifests"]] == [wanted]
    assert answer.headers["OCI-Filters-Applied"] == "artifactType"
    none = oci.call("GET", f"web/referrers/{NOTHING}?artifactType=application/c")
    assert none.json()["manifests"] == []


@pytest.mark.parametrize("wanted", ["%00", "%ff", "x" * 300, "a%0Ab"])
def test_of_a_type_that_cannot_be_there_are_no_referrers(oci: RegistryClient, wanted: str) -> None:
    oci.push_image("web", artifactType="application/b", **subject_of(NOTHING))
    answer = oci.call("GET", f"web/referrers/{NOTHING}?artifactType={wanted}")
    assert (answer.status_code, answer.json()["manifests"]) == (200, [])


def test_filtered_referrers_are_paged_too(oci: RegistryClient) -> None:
    long = {f"org.example.{number}": "x" * 10_000 for number in range(150)}
    pushed = set()
    for number in range(8):
        kind = "application/a" if number % 2 else "application/b"
        digest = oci.push_image("web", artifactType=kind, annotations={**long, "n": str(number)}, **subject_of(NOTHING))
        pushed |= {digest} if number % 2 else set()
    pages = follow(oci, f"web/referrers/{NOTHING}?artifactType=application/a", "manifests")
    assert len(pages) > 1
    assert {found["digest"] for page in pages for found in page} == pushed


def test_what_an_index_under_the_tag_schema_lists_is_a_referrer_once(oci: RegistryClient) -> None:
    # As a client left it behind that pushed when the registry had no referrers: oras, regctl and others.
    signature = oci.push_image("web", layer=b"sig", artifactType="application/x.sig", **subject_of(NOTHING))
    size = int(oci.call("HEAD", f"web/manifests/{signature}").headers["Content-Length"])
    other = oci.push_image("web", layer=b"no subject")
    listed = [{"mediaType": OCI_MANIFEST, "digest": digest, "size": size} for digest in (signature, other)]
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}
    oci.push_manifest("web", index, NOTHING.replace(":", "-"))
    (found,) = oci.call("GET", f"web/referrers/{NOTHING}").json()["manifests"]
    assert found["digest"] == signature


def test_an_archived_referrer_is_not_listed(oci: RegistryClient) -> None:
    digest = oci.push_image("web", **subject_of(NOTHING))

    def archive(session: Any) -> None:
        session.get(Image, ("web", digest)).status = "ARCHIVED"

    oci.store.transact(archive)
    assert oci.call("GET", f"web/referrers/{NOTHING}").json()["manifests"] == []


def test_referrers_too_many_for_one_index_are_paged(oci: RegistryClient) -> None:
    long = {f"org.example.{number}": "x" * 10_000 for number in range(150)}
    pushed = {oci.push_image("web", annotations={**long, "n": str(n)}, **subject_of(NOTHING)) for n in range(5)}
    pages = follow(oci, f"web/referrers/{NOTHING}", "manifests")
    assert len(pages) > 1
    assert sorted(found["digest"] for page in pages for found in page) == sorted(pushed)


def test_a_deleted_referrer_is_listed_no_more(oci: RegistryClient) -> None:
    digest = oci.push_image("web", **subject_of(NOTHING))
    oci.call("DELETE", f"web/manifests/{digest}")
    assert oci.call("GET", f"web/referrers/{NOTHING}").json()["manifests"] == []


def test_referrers_of_no_digest_are_400(oci: RegistryClient) -> None:
    assert oci.call("GET", "web/referrers/nonsense").status_code == 400
