"""The traps that conformance suites lay, one by one: each is where some registry has fallen."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.registry import (
    OCI_INDEX,
    OCI_MANIFEST,
    RegistryClient,
    descriptor,
    image_of,
    sha256,
    sha512,
)

DATA = bytes(range(256)) * 8
MISSING = sha256(b"never pushed")


def put(oci: RegistryClient, reference: str, manifest: dict[str, Any]) -> Any:
    body = json.dumps(manifest).encode()
    return oci.call("PUT", f"web/manifests/{reference}", data=body, headers={"Content-Type": manifest["mediaType"]})


def test_referrers_and_tags_are_asked_for_before_anything_is_pushed(oci: RegistryClient) -> None:
    answer = oci.call("GET", f"web/referrers/{MISSING}")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, OCI_INDEX)
    assert answer.json() == {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}
    assert oci.call("GET", "web/tags/list").json()["tags"] == []


@pytest.mark.parametrize("arrived", [0, 700])
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_after_a_416_the_same_location_tells_where_to_go_on(oci: RegistryClient, arrived: int, method: str) -> None:
    location = oci.call("POST", "web/blobs/uploads/").headers["Location"]
    if arrived:
        oci.call("PATCH", location, data=DATA[:arrived], headers={"Content-Range": f"0-{arrived - 1}"})
    digest, wrong = sha256(DATA), {"Content-Range": "1000-2047"}
    query = f"?digest={digest}" if method == "PUT" else ""
    refused = oci.call(method, location + query, data=DATA[1000:], headers=wrong)
    assert refused.status_code == 416
    status = oci.call("GET", location)
    assert (status.status_code, status.headers["Range"]) == (204, f"0-{max(arrived - 1, 0)}")
    for answer in (refused, status):
        assert (answer.headers["Location"], answer.headers["Range"]) == (location, status.headers["Range"])
    rest = {"Content-Range": f"{arrived}-2047"}
    done = oci.call("PUT", f"{location}?digest={digest}", data=DATA[arrived:], headers=rest)
    assert done.status_code == 201
    assert oci.call("GET", done.headers["Location"]).content == DATA


@pytest.mark.parametrize("digest_of", [sha256, sha512])
@pytest.mark.parametrize("data", [b"", b"{}", DATA])
@pytest.mark.parametrize("way", ["post", "put", "patch", "stream"])
def test_blobs_of_both_algorithms_come_without_a_hint(
    oci: RegistryClient, way: str, data: bytes, digest_of: Callable[[bytes], str]
) -> None:
    digest = digest_of(data)
    if way == "post":
        done = oci.call("POST", f"web/blobs/uploads/?digest={digest}", data=data)
    else:
        location = oci.call("POST", "web/blobs/uploads/").headers["Location"]
        if way == "patch" and data:
            oci.call("PATCH", location, data=data, headers={"Content-Range": f"0-{len(data) - 1}"})
        elif way == "stream":
            oci.call("PATCH", location, data=iter([data]) if data else b"")
        done = oci.call("PUT", location, params={"digest": digest}, data=data if way == "put" else b"")
    assert (done.status_code, done.headers["Docker-Content-Digest"]) == (201, digest)
    pulled = oci.call("GET", done.headers["Location"])
    assert (pulled.content, pulled.headers["Docker-Content-Digest"]) == (data, digest)


def test_a_manifest_and_all_it_needs_may_be_of_sha512(oci: RegistryClient) -> None:
    for data in (b"{}", b"layer"):
        oci.call("POST", f"web/blobs/uploads/?digest={sha512(data)}", data=data)
    manifest = image_of(b"layer")
    for part, data in ((manifest["config"], b"{}"), (manifest["layers"][0], b"layer")):
        part["digest"] = sha512(data)
    body = json.dumps(manifest).encode()
    pushed = oci.call("PUT", f"web/manifests/{sha512(body)}?tag=v1", data=body, headers={"Content-Type": OCI_MANIFEST})
    assert (pushed.status_code, pushed.headers["OCI-Tag"]) == (201, "v1")
    for reference in (sha512(body), "v1"):
        pulled = oci.call("GET", f"web/manifests/{reference}")
        assert (pulled.content, pulled.headers["Docker-Content-Digest"]) == (body, sha512(body))
    entry = {"mediaType": OCI_MANIFEST, "digest": sha512(body), "size": len(body)}
    about = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry], "subject": entry}
    assert put(oci, "all", about).headers["OCI-Subject"] == sha512(body)
    (found,) = oci.call("GET", f"web/referrers/{sha512(body)}").json()["manifests"]
    assert found["digest"] == sha256(json.dumps(about).encode())


@pytest.mark.parametrize(
    "digest", ["sha256:baddigeststring", "sha256:" + "z" * 64, "sha512:" + "0" * 64, "sha1:" + "0" * 40]
)
def test_a_digest_that_is_none_is_refused_everywhere(oci: RegistryClient, digest: str) -> None:
    location = oci.call("POST", "web/blobs/uploads/").headers["Location"]
    asked = [
        ("PUT", f"{location}?digest={digest}"),
        ("POST", f"web/blobs/uploads/?digest={digest}"),
        ("POST", f"web/blobs/uploads/?mount={digest}"),
        ("GET", f"web/blobs/{digest}"),
        ("HEAD", f"web/blobs/{digest}"),
        ("DELETE", f"web/blobs/{digest}"),
        ("GET", f"web/manifests/{digest}"),
        ("HEAD", f"web/manifests/{digest}"),
        ("PUT", f"web/manifests/{digest}"),
        ("DELETE", f"web/manifests/{digest}"),
        ("GET", f"web/referrers/{digest}"),
    ]
    for method, path in asked:
        answer = oci.call(method, path, data=b"{}" if method in ("PUT", "POST") else b"")
        assert answer.status_code == 400, (method, path)
        assert method == "HEAD" or answer.json()["errors"][0]["code"] == "DIGEST_INVALID"


@pytest.mark.parametrize("way", ["location of a put", "location of a post", "location of a mount"])
def test_the_location_of_a_blob_is_read_at_once(oci: RegistryClient, way: str) -> None:
    digest = sha256(DATA)
    if way == "location of a put":
        location = oci.call("POST", "web/blobs/uploads/").headers["Location"]
        answer = oci.call("PUT", f"{location}?digest={digest}", data=DATA)
    else:
        answer = oci.call("POST", f"web/blobs/uploads/?digest={digest}", data=DATA)
    if way == "location of a mount":
        answer = oci.call("POST", f"other/blobs/uploads/?mount={digest}&from=web")
    assert answer.status_code == 201
    assert oci.call("GET", answer.headers["Location"]).content == DATA


def test_what_nobody_knows_of_stays_byte_for_byte(oci: RegistryClient) -> None:
    config = b'{ "architecture":"amd64",  "org.example.unknown": {"a": [1, 1.50, "\\u00e9"]} }\n'
    oci.push_blob("web", config)
    manifest = image_of(config=config, **{"org.example.unknown": {"b": None}})
    manifest["config"]["org.example.unknown"] = [True]
    text = json.dumps(manifest, indent=7).replace('"schemaVersion"', '"schemaVersion" ')
    oci.push_manifest("web", text.encode(), "v1")
    assert oci.call("GET", "web/manifests/v1").text == text
    assert oci.call("GET", f"web/blobs/{sha256(config)}").content == config
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "org.example.unknown": "é"}
    body = json.dumps(index, ensure_ascii=False, indent=1).encode()
    oci.push_manifest("web", body, "all")
    assert oci.call("GET", "web/manifests/all").content == body


def test_descriptors_may_carry_their_data(oci: RegistryClient) -> None:
    oci.push_blob("web", b"{}")
    oci.push_blob("web", b"layer")
    manifest = image_of(b"layer")
    manifest["config"]["data"] = "e30="
    manifest["layers"][0]["data"] = "bGF5ZXI="
    oci.push_manifest("web", manifest, "v1")
    assert oci.call("GET", "web/manifests/v1").json() == manifest


def test_an_artifact_has_the_empty_configuration_and_may_have_no_layers(oci: RegistryClient) -> None:
    oci.push_blob("web", b"{}")
    manifest = image_of(artifactType="application/vnd.example+type")
    manifest["config"] = descriptor(b"{}", "application/vnd.oci.empty.v1+json")
    for tag, layers in (("none", []), ("empty", [manifest["config"]])):
        oci.push_manifest("web", {**manifest, "layers": layers}, tag)
        assert oci.call("GET", f"web/manifests/{tag}").json()["layers"] == layers


def test_layers_kept_elsewhere_are_never_pushed(oci: RegistryClient) -> None:
    oci.push_blob("web", b"{}")
    manifest = image_of()
    kinds = ("nondistributable.v1.tar", "nondistributable.v1.tar+gzip", "nondistributable.v1.tar+zstd")
    manifest["layers"] = [
        {**descriptor(kind.encode(), f"application/vnd.oci.image.layer.{kind}"), "urls": ["https://example.com/x"]}
        for kind in kinds
    ]
    oci.push_manifest("web", manifest, "far")
    assert oci.call("HEAD", f"web/blobs/{manifest['layers'][0]['digest']}").status_code == 404


def test_a_subject_that_is_missing_is_taken_and_told(oci: RegistryClient) -> None:
    oci.push_blob("web", b"{}")
    answer = put(oci, "sig", image_of(subject={"mediaType": OCI_MANIFEST, "digest": MISSING, "size": 1}))
    assert (answer.status_code, answer.headers["OCI-Subject"]) == (201, MISSING)


def test_deletes_are_done_when_they_are_answered(oci: RegistryClient) -> None:
    for number in range(10):
        digest = oci.push_image("web", "v1", layer=b"%d" % number)
        layer = sha256(b"%d" % number)
        for gone in ("manifests/v1", f"manifests/{digest}", f"blobs/{layer}"):
            assert oci.call("DELETE", f"web/{gone}").status_code == 202
            assert oci.call("HEAD", f"web/{gone}").status_code == 404
            assert oci.call("DELETE", f"web/{gone}").status_code == 404


def test_credentials_are_asked_for_and_a_user_name_of_ecrs_suffices(oci: RegistryClient) -> None:
    refused = oci.call("GET", "web/tags/list", auth=("AWS", "wrong"))
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"].startswith("Basic realm=")
    assert oci.call("GET", "web/tags/list", auth=("AWS", oci.password)).status_code == 200
    assert oci.call("GET", "web/tags/list", auth=("somebody", oci.password)).status_code == 401
