"""The specification's table of endpoints, row by row: what each must answer, and when it fails."""

import re
from typing import Any

import pytest
import requests

from tests.support.registry import OCI_INDEX, OCI_MANIFEST, RegistryClient, basic, sha256, sha512

DATA = b"a layer, more or less" * 100
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
MISSING = sha256(b"missing")


def begin(oci: RegistryClient) -> str:
    return oci.call("POST", "web/blobs/uploads/").headers["Location"]


def codes(answer: requests.Response) -> list[str]:
    return [error["code"] for error in answer.json()["errors"]]


def manifest(oci: RegistryClient, **members: Any) -> bytes:
    digest = oci.push_image("web", **members)
    return oci.call("GET", f"web/manifests/{digest}").content


def test_row_1_the_probe_asks_for_credentials_and_takes_them(oci: RegistryClient) -> None:
    for path in ("/v2/", "/v2"):
        assert oci.call("GET", path).status_code == 200
        refused = oci.call("GET", path, auth=("AWS", "nonsense"))
        assert (refused.status_code, codes(refused)) == (401, ["UNAUTHORIZED"])
        assert refused.headers["WWW-Authenticate"].startswith('Basic realm="')
    anonymous = requests.get(oci.url("/v2/"), timeout=10)
    assert (anonymous.status_code, codes(anonymous)) == (401, ["UNAUTHORIZED"])
    assert requests.get(oci.url("/v2/"), headers=basic(oci.password), timeout=10).status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_row_2_a_blob_is_read_and_asked_for(oci: RegistryClient, method: str) -> None:
    digest = oci.push_blob("web", DATA)
    answer = oci.call(method, f"web/blobs/{digest}")
    assert answer.status_code == 200
    assert answer.headers["Docker-Content-Digest"] == digest
    assert answer.headers["Content-Length"] == str(len(DATA))
    assert oci.call(method, f"web/blobs/{MISSING}").status_code == 404


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("reference", ["v1", "digest"])
def test_row_3_a_manifest_is_read_and_asked_for(oci: RegistryClient, method: str, reference: str) -> None:
    digest = oci.push_image("web", "v1")
    answer = oci.call(method, f"web/manifests/{digest if reference == 'digest' else reference}")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == OCI_MANIFEST
    assert answer.headers["Docker-Content-Digest"] == digest
    assert int(answer.headers["Content-Length"]) > 100
    assert sha256(answer.content) == digest or method == "HEAD"
    assert oci.call(method, f"web/manifests/{MISSING}").status_code == 404


@pytest.mark.parametrize("path", ["web/blobs/uploads/", "web/blobs/uploads"])
def test_row_4a_a_session_is_opened(oci: RegistryClient, path: str) -> None:
    answer = oci.call("POST", path)
    assert answer.status_code == 202
    assert UUID.search(answer.headers["Location"])
    assert oci.call("POST", "nope/blobs/uploads/").status_code == 404


def test_row_4b_a_blob_is_pushed_in_one_request(oci: RegistryClient) -> None:
    answer = oci.call("POST", f"web/blobs/uploads/?digest={sha256(DATA)}", data=DATA)
    assert (answer.status_code, answer.headers["Docker-Content-Digest"]) == (201, sha256(DATA))
    assert oci.call("GET", answer.headers["Location"]).content == DATA
    assert oci.call("POST", f"web/blobs/uploads/?digest={MISSING}", data=DATA).status_code == 400
    assert oci.call("POST", f"nope/blobs/uploads/?digest={sha256(DATA)}", data=DATA).status_code == 404


@pytest.mark.parametrize("declared", ["sha256", "sha512"])
@pytest.mark.parametrize("digest_of", [sha256, sha512])
def test_row_4c_the_algorithm_is_declared_and_another_may_come(
    oci: RegistryClient, declared: str, digest_of: Any
) -> None:
    answer = oci.call("POST", f"web/blobs/uploads/?digest-algorithm={declared}")
    assert answer.status_code == 202
    location = answer.headers["Location"]
    first = {"Content-Range": "0-99"}
    assert oci.call("PATCH", location, data=DATA[:100], headers=first).status_code == 202
    digest = digest_of(DATA)
    done = oci.call("PUT", location, params={"digest": digest}, data=DATA[100:])
    assert (done.status_code, done.headers["Docker-Content-Digest"]) == (201, digest)
    assert oci.call("GET", done.headers["Location"]).content == DATA


@pytest.mark.parametrize("declared", ["md5", "sha-512", "%00", "x" * 300])
def test_row_4c_an_unknown_algorithm_is_refused(oci: RegistryClient, declared: str) -> None:
    answer = oci.call("POST", f"web/blobs/uploads/?digest-algorithm={declared}")
    assert (answer.status_code, codes(answer)) == (400, ["DIGEST_INVALID"])


def test_row_5_a_chunk_is_appended(oci: RegistryClient) -> None:
    location = begin(oci)
    for first in (0, 500):
        headers = {"Content-Range": f"{first}-{first + 499}"}
        answer = oci.call("PATCH", location, data=DATA[first : first + 500], headers=headers)
        assert (answer.status_code, answer.headers["Range"]) == (202, f"0-{first + 499}")
        location = answer.headers["Location"]
    answer = oci.call("PATCH", location, data=DATA[1000:])
    assert (answer.status_code, answer.headers["Range"]) == (202, f"0-{len(DATA) - 1}")
    assert oci.call("PATCH", location, data=b"x", headers={"Content-Range": "5-5"}).status_code == 416
    assert oci.call("PATCH", "web/blobs/uploads/nonsense", data=b"x").status_code == 404


def test_row_6_a_session_is_closed(oci: RegistryClient) -> None:
    location = begin(oci)
    assert oci.call("PUT", f"{location}?digest=nonsense").status_code == 400
    early = oci.call("PUT", f"{location}?digest={sha256(DATA)}", data=DATA[5:], headers={"Content-Range": "5-2099"})
    assert (early.status_code, codes(early)) == (416, ["BLOB_UPLOAD_INVALID"])
    assert (early.headers["Location"], early.headers["Range"]) == (location, "0-0")
    done = oci.call("PUT", f"{location}?digest={sha256(DATA)}", data=DATA)
    assert (done.status_code, done.headers["Docker-Content-Digest"]) == (201, sha256(DATA))
    assert oci.call("GET", done.headers["Location"]).content == DATA
    assert oci.call("PUT", f"{location}?digest={sha256(DATA)}", data=DATA).status_code == 404


def test_row_7a_a_manifest_is_put(oci: RegistryClient) -> None:
    body = manifest(oci)
    answer = oci.call("PUT", "web/manifests/v1", data=body, headers={"Content-Type": f"{OCI_MANIFEST}; charset=utf-8"})
    assert (answer.status_code, answer.headers["Docker-Content-Digest"]) == (201, sha256(body))
    pulled = oci.call("GET", answer.headers["Location"])
    assert (pulled.content, pulled.headers["Content-Type"]) == (body, OCI_MANIFEST)
    assert oci.call("PUT", "nope/manifests/v1", data=body, headers={"Content-Type": OCI_MANIFEST}).status_code == 404


@pytest.mark.parametrize("reference", ["digest", "sha512", "tag"])
def test_row_7b_a_manifest_is_put_under_many_tags(oci: RegistryClient, reference: str) -> None:
    body = manifest(oci)
    digest = {"sha512": sha512(body)}.get(reference, sha256(body))
    tags = [f"t{number}" for number in range(10)]
    path = f"web/manifests/{'own' if reference == 'tag' else digest}"
    given: dict[str, Any] = {"data": body, "headers": {"Content-Type": OCI_MANIFEST}}
    answer = oci.call("PUT", path, params={"tag": [*tags, tags[0]]}, **given)
    assert (answer.status_code, answer.headers["Docker-Content-Digest"]) == (201, digest)
    assert answer.raw.headers.getlist("OCI-Tag") == tags
    for tag in tags:
        assert oci.call("HEAD", f"web/manifests/{tag}").headers["Docker-Content-Digest"] == digest
    most = [f"m{number}" for number in range(50)]
    assert oci.call("PUT", path, params={"tag": most}, **given).status_code == 201
    refused = oci.call("PUT", path, params={"tag": [*most, "one-more"]}, **given)
    assert refused.status_code == 414
    assert oci.call("HEAD", "web/manifests/one-more").status_code == 404


def test_row_8_tags_are_listed(oci: RegistryClient) -> None:
    for tag in ("b", "C", "a", "d"):
        oci.push_image("web", tag)
    assert oci.call("GET", "web/tags/list").json() == {"name": "web", "tags": ["C", "a", "b", "d"]}
    page = oci.call("GET", "web/tags/list?n=2")
    assert page.json()["tags"] == ["C", "a"]
    following = re.fullmatch(r'<([^>]+)>; rel="next"', page.headers["Link"])
    assert following
    assert oci.call("GET", following[1]).json()["tags"] == ["b", "d"]
    assert oci.call("GET", "web/tags/list?last=a").json()["tags"] == ["b", "d"]
    none = oci.call("GET", "web/tags/list?n=0")
    assert (none.json()["tags"], "Link" in none.headers) == ([], False)
    assert oci.call("GET", "nope/tags/list").status_code == 404


def test_row_9_a_manifest_is_deleted_by_tag_and_by_digest(oci: RegistryClient) -> None:
    digest = oci.push_image("web", "v1")
    oci.push_image("web", "v2")
    assert oci.call("DELETE", "web/manifests/v1").status_code == 202
    assert oci.call("HEAD", "web/manifests/v1").status_code == 404
    assert oci.call("HEAD", f"web/manifests/{digest}").status_code == 200
    assert oci.call("DELETE", f"web/manifests/{digest}").status_code == 202
    for reference in ("v2", digest):
        assert oci.call("HEAD", f"web/manifests/{reference}").status_code == 404
        assert codes(oci.call("DELETE", f"web/manifests/{reference}")) == ["MANIFEST_UNKNOWN"]
    assert oci.call("GET", "web/tags/list").json()["tags"] == []


def test_row_10_a_blob_is_deleted_from_one_repository(oci: RegistryClient) -> None:
    digest = oci.push_blob("web", DATA)
    oci.push_blob("other", DATA)
    assert oci.call("DELETE", f"web/blobs/{digest}").status_code == 202
    assert oci.call("HEAD", f"web/blobs/{digest}").status_code == 404
    assert oci.call("DELETE", f"web/blobs/{digest}").status_code == 404
    assert oci.call("HEAD", f"other/blobs/{digest}").status_code == 200


@pytest.mark.parametrize("source", ["&from=web", "&from=nope", ""])
@pytest.mark.parametrize("digest_of", [sha256, sha512])
def test_row_11_a_blob_is_mounted(oci: RegistryClient, source: str, digest_of: Any) -> None:
    digest = digest_of(DATA)
    oci.call("POST", f"web/blobs/uploads/?digest={digest}", data=DATA)
    mounted = oci.call("POST", f"other/blobs/uploads/?mount={digest}{source}")
    assert (mounted.status_code, mounted.headers["Docker-Content-Digest"]) == (201, digest)
    assert oci.call("GET", mounted.headers["Location"]).content == DATA
    begun = oci.call("POST", f"other/blobs/uploads/?mount={MISSING}{source}")
    assert begun.status_code == 202
    assert oci.call("GET", begun.headers["Location"]).status_code == 204
    assert oci.call("POST", f"nope/blobs/uploads/?mount={digest}{source}").status_code == 404


def test_row_12_referrers_are_listed_and_filtered(oci: RegistryClient) -> None:
    about: dict[str, Any] = {"subject": {"mediaType": OCI_MANIFEST, "digest": MISSING, "size": 7}}
    pushed = oci.push_image("web", artifactType="application/a", annotations={"k": "v"}, **about)
    oci.push_image("web", artifactType="application/b", **about)
    answer = oci.call("GET", f"web/referrers/{MISSING}?artifactType=application/a")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, OCI_INDEX)
    assert answer.headers["OCI-Filters-Applied"] == "artifactType"
    (found,) = answer.json()["manifests"]
    assert (found["digest"], found["artifactType"], found["annotations"]) == (pushed, "application/a", {"k": "v"})
    everything = oci.call("GET", f"web/referrers/{MISSING}")
    assert "OCI-Filters-Applied" not in everything.headers
    assert len(everything.json()["manifests"]) == 2
    assert oci.call("GET", "web/referrers/sha256:nonsense").status_code == 400


def test_row_13_a_session_tells_how_far_it_is(oci: RegistryClient) -> None:
    location = begin(oci)
    oci.call("PATCH", location, data=DATA)
    answer = oci.call("GET", location)
    assert (answer.status_code, answer.content) == (204, b"")
    assert (answer.headers["Location"], answer.headers["Range"]) == (location, f"0-{len(DATA) - 1}")
    assert codes(oci.call("GET", "web/blobs/uploads/nonsense")) == ["BLOB_UPLOAD_UNKNOWN"]


def test_row_14_a_session_is_cancelled(oci: RegistryClient) -> None:
    location = begin(oci)
    oci.call("PATCH", location, data=DATA)
    assert oci.call("DELETE", location).status_code == 204
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        assert oci.call(method, f"{location}?digest={sha256(DATA)}").status_code == 404
    assert list(oci.storage.uploads()) == []


def test_every_answer_about_content_names_its_digest(oci: RegistryClient) -> None:
    digest, body = oci.push_blob("web", DATA), manifest(oci)
    headers = {"Content-Type": OCI_MANIFEST}
    answers = {
        digest: [
            oci.call("POST", f"web/blobs/uploads/?digest={digest}", data=DATA),
            oci.call("PUT", f"{begin(oci)}?digest={digest}", data=DATA),
            oci.call("POST", f"other/blobs/uploads/?mount={digest}"),
            oci.call("GET", f"web/blobs/{digest}"),
            oci.call("HEAD", f"web/blobs/{digest}"),
            oci.call("GET", f"web/blobs/{digest}", headers={"Range": "bytes=5-9"}),
            oci.call("GET", f"web/blobs/{digest}", headers={"Range": "bytes=5-9,20-"}),
        ],
        sha256(body): [
            oci.call("PUT", "web/manifests/v1", data=body, headers=headers),
            oci.call("PUT", f"web/manifests/{sha256(body)}", data=body, headers=headers),
            oci.call("GET", "web/manifests/v1"),
            oci.call("HEAD", "web/manifests/v1"),
        ],
        sha512(body): [oci.call("PUT", f"web/manifests/{sha512(body)}", data=body, headers=headers)],
    }
    for expected, group in answers.items():
        assert [answer.headers.get("Docker-Content-Digest") for answer in group] == [expected] * len(group)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/"),
        ("PUT", "/v2/_catalog"),
        ("GET", "web/blobs/uploads/"),
        ("POST", "web/blobs/uploads/00000000-0000-4000-8000-000000000000"),
        ("PUT", f"web/blobs/{MISSING}"),
        ("POST", "web/manifests/v1"),
        ("PATCH", "web/manifests/v1"),
        ("DELETE", "web/tags/list"),
        ("POST", f"web/referrers/{MISSING}"),
        ("OPTIONS", "web/manifests/v1"),
    ],
)
def test_a_method_that_a_path_has_not_is_405_and_the_others_are_named(
    oci: RegistryClient, method: str, path: str
) -> None:
    answer = oci.call(method, path)
    assert (answer.status_code, codes(answer)) == (405, ["UNSUPPORTED"])
    assert method not in answer.headers["Allow"].split(", ")


def test_a_path_that_leads_nowhere_is_404(oci: RegistryClient) -> None:
    for path in ("/", "/v1/", "/v2/web", "/v2/web/tags", "/v2/web/nothing/here", "/healthz"):
        answer = oci.call("GET", path)
        assert (answer.status_code, codes(answer)) == (404, ["UNSUPPORTED"])
