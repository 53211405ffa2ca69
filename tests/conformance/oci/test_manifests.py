"""Manifests over HTTP, as the OCI distribution specification has them."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from registry.manifests import DOCKER_LIST, DOCKER_MANIFEST, LARGEST
from tests.support.registry import (
    OCI_INDEX,
    OCI_MANIFEST,
    RegistryClient,
    descriptor,
    image_of,
    sha256,
    sha512,
)

MISSING = "sha256:" + "0" * 64


def put(oci: RegistryClient, reference: str, body: bytes, media_type: str = OCI_MANIFEST, **given: Any) -> Any:
    return oci.call("PUT", f"web/manifests/{reference}", data=body, headers={"Content-Type": media_type}, **given)


def index_of(*children: dict[str, Any], media_type: str = OCI_INDEX, **members: Any) -> dict[str, Any]:
    return {"schemaVersion": 2, "mediaType": media_type, "manifests": list(children), **members}


@pytest.mark.parametrize("digest_of", [sha256, sha512])
def test_a_manifest_comes_back_byte_for_byte(oci: RegistryClient, digest_of: Callable[[bytes], str]) -> None:
    oci.push_blob("web", b"{}")
    body = json.dumps(image_of(unknown={"kept": [1, 2]}), indent=3).encode() + b"\n \n"
    digest = digest_of(body)
    pushed = put(oci, digest, body, OCI_MANIFEST + "; charset=utf-8")
    assert (pushed.status_code, pushed.headers["Docker-Content-Digest"]) == (201, digest)
    pulled = oci.call("GET", pushed.headers["Location"])
    assert (pulled.status_code, pulled.content) == (200, body)
    assert pulled.headers["Content-Type"] == OCI_MANIFEST
    assert pulled.headers["Docker-Content-Digest"] == digest
    head = oci.call("HEAD", f"web/manifests/{digest}")
    assert (head.status_code, head.headers["Content-Length"], head.content) == (200, str(len(body)), b"")


def test_a_tag_moves_to_the_newest_manifest(oci: RegistryClient) -> None:
    first = oci.push_image("web", "v1")
    second = oci.push_image("web", "v1", layer=b"newer")
    assert oci.call("GET", "web/manifests/v1").headers["Docker-Content-Digest"] == second
    assert oci.call("GET", f"web/manifests/{first}").status_code == 200


def test_pushing_again_changes_nothing(oci: RegistryClient) -> None:
    assert oci.push_image("web", "v1") == oci.push_image("web", "v1")
    assert oci.call("GET", "web/tags/list").json()["tags"] == ["v1"]


def test_many_tags_are_given_in_one_push(oci: RegistryClient) -> None:
    oci.push_image("web", "first")
    body = oci.call("GET", "web/manifests/first").content
    tags = [f"t{number}" for number in range(12)]
    pushed = put(oci, sha256(body), body, params={"tag": tags})
    assert pushed.status_code == 201
    assert pushed.raw.headers.getlist("OCI-Tag") == tags
    assert oci.call("GET", "web/tags/list").json()["tags"] == sorted(["first", *tags])
    assert put(oci, sha256(body), body, params={"tag": [f"x{n}" for n in range(51)]}).status_code == 414
    assert put(oci, sha256(body), body, params={"tag": ["fine", "not fine"]}).status_code == 400
    assert oci.call("GET", "web/manifests/fine").status_code == 404


def test_a_manifest_of_nearly_four_megabytes_is_taken(oci: RegistryClient) -> None:
    oci.push_blob("web", b"{}")
    annotations = {f"org.example.{number}": "x" * 10_000 for number in range(390)}
    digest = oci.push_manifest("web", image_of(annotations=annotations), "big")
    assert sha256(oci.call("GET", "web/manifests/big").content) == digest


def test_a_manifest_of_the_largest_size_is_taken_and_one_byte_more_is_413(oci: RegistryClient) -> None:
    oci.push_blob("web", b"{}")
    body = json.dumps(image_of()).encode()
    assert put(oci, "most", body.ljust(LARGEST)).status_code == 201
    for data in (body.ljust(LARGEST + 1), iter([body, b" " * LARGEST])):
        answer = put(oci, "more", data)  # type: ignore[arg-type]
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (413, "MANIFEST_INVALID")


def test_parts_that_are_missing_are_each_named(oci: RegistryClient) -> None:
    oci.push_blob("web", b"there")
    answer = put(oci, "v1", json.dumps(image_of(b"there", b"one", b"two")).encode())
    assert answer.status_code == 404
    assert {(error["code"], error["detail"]["digest"]) for error in answer.json()["errors"]} == {
        ("MANIFEST_BLOB_UNKNOWN", sha256(data)) for data in (b"{}", b"one", b"two")
    }


def test_layers_of_another_repository_do_not_count(oci: RegistryClient) -> None:
    oci.push_blob("web", b"{}")
    oci.push_blob("other", b"layer")
    assert put(oci, "v1", json.dumps(image_of(b"layer")).encode()).status_code == 404


def test_foreign_layers_need_not_be_pushed(oci: RegistryClient) -> None:
    oci.push_blob("web", b"{}")
    manifest = image_of()
    manifest["layers"] = [
        descriptor(b"far", "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"),
        descriptor(b"away", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
    ]
    oci.push_manifest("web", manifest, "v1")


def test_dockers_manifests_and_lists_are_taken(oci: RegistryClient) -> None:
    oci.push_blob("web", b"{}")
    child = oci.push_manifest("web", {**image_of(), "mediaType": DOCKER_MANIFEST})
    entry = {"mediaType": DOCKER_MANIFEST, "digest": child, "size": 1, "platform": {"architecture": "amd64"}}
    oci.push_manifest("web", index_of(entry, media_type=DOCKER_LIST), "all")
    assert oci.call("GET", "web/manifests/all").headers["Content-Type"] == DOCKER_LIST


def test_indexes_may_be_empty_or_hold_indexes(oci: RegistryClient) -> None:
    empty = oci.push_manifest("web", index_of(), "empty")
    entry = {"mediaType": OCI_INDEX, "digest": empty, "size": 1}
    oci.push_manifest("web", index_of(entry), "nested")
    missing = index_of({**entry, "digest": MISSING})
    answer = put(oci, "sparse", json.dumps(missing).encode(), OCI_INDEX)
    assert answer.json()["errors"][0]["code"] == "MANIFEST_BLOB_UNKNOWN"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        json.dumps(image_of(schemaVersion=1)).encode(),
        b'{"schemaVersion": 2}',
        json.dumps(image_of() | {"artifactType": "\ud800"}).encode(),
        json.dumps(image_of()).encode("utf-16"),
        json.dumps(image_of() | {"config": "text"}).encode(),
        json.dumps(image_of() | {"layers": {}}).encode(),
        json.dumps(image_of() | {"layers": [{"digest": "sha256:no", "size": 1, "mediaType": "x"}]}).encode(),
        json.dumps(image_of() | {"layers": [{"digest": MISSING, "size": -1, "mediaType": "x"}]}).encode(),
        json.dumps(image_of() | {"layers": [{"digest": MISSING, "size": 1}]}).encode(),
        json.dumps(image_of() | {"mediaType": OCI_INDEX}).encode(),
        json.dumps(image_of() | {"mediaType": 7}).encode(),
        json.dumps(image_of() | {"subject": {"digest": "x"}}).encode(),
        json.dumps(image_of() | {"annotations": {"a": 1}}).encode(),
        json.dumps(image_of() | {"artifactType": []}).encode(),
        json.dumps(image_of() | {"manifests": []}).encode(),
    ],
)
def test_what_is_no_manifest_is_refused(oci: RegistryClient, body: bytes) -> None:
    oci.push_blob("web", b"{}")
    answer = put(oci, "v1", body)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "MANIFEST_INVALID")


@pytest.mark.parametrize("media_type", ["text/plain", "application/vnd.docker.distribution.manifest.v1+prettyjws"])
def test_a_type_that_is_no_image_is_refused(oci: RegistryClient, media_type: str) -> None:
    body = json.dumps({"schemaVersion": 2, "config": {}, "layers": []}).encode()
    assert put(oci, "v1", body, media_type).json()["errors"][0]["code"] == "MANIFEST_INVALID"


def test_a_digest_that_is_not_the_bodys_is_refused(oci: RegistryClient) -> None:
    oci.push_blob("web", b"{}")
    body = json.dumps(image_of()).encode()
    for reference in (MISSING, "sha256:baddigeststring", sha512(b"other")):
        answer = put(oci, reference, body)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "DIGEST_INVALID")


@pytest.mark.parametrize("reference", ["v9", MISSING, "-no-tag", "x" * 129])
def test_an_unknown_manifest_is_404(oci: RegistryClient, reference: str) -> None:
    for method in ("GET", "DELETE"):
        answer = oci.call(method, f"web/manifests/{reference}")
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, "MANIFEST_UNKNOWN")
    assert oci.call("HEAD", f"web/manifests/{reference}").status_code == 404


def test_deleting_a_tag_takes_the_tag_only(oci: RegistryClient) -> None:
    digest = oci.push_image("web", "v1")
    assert oci.call("DELETE", "web/manifests/v1").status_code == 202
    assert oci.call("HEAD", "web/manifests/v1").status_code == 404
    assert oci.call("GET", f"web/manifests/{digest}").status_code == 200


def test_deleting_by_digest_takes_every_tag_on_it(oci: RegistryClient) -> None:
    digest = oci.push_image("web", "v1")
    oci.push_image("web", "v2")
    oci.push_image("web", "stays", layer=b"another")
    assert oci.call("DELETE", f"web/manifests/{digest}").status_code == 202
    assert oci.call("HEAD", f"web/manifests/{digest}").status_code == 404
    assert oci.call("GET", "web/tags/list").json()["tags"] == ["stays"]


def test_a_part_of_a_list_goes_after_its_list_alone(oci: RegistryClient) -> None:
    part = oci.push_image("web", "part")
    entries = [{"mediaType": OCI_MANIFEST, "digest": part, "size": 1}]
    held = oci.push_manifest("web", {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})
    answer = oci.call("DELETE", f"web/manifests/{part}")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (405, "UNSUPPORTED")
    assert answer.json()["errors"][0]["detail"] == {"digest": part, "lists": [held]}
    assert oci.call("GET", "web/manifests/part").status_code == 200
    assert oci.call("DELETE", "web/manifests/part").status_code == 202
    for digest in (held, part):
        assert oci.call("DELETE", f"web/manifests/{digest}").status_code == 202
        assert oci.call("HEAD", f"web/manifests/{digest}").status_code == 404


@pytest.mark.parametrize("name", ["WEB", "web//x", "-web", "web/", "a" * 256])
def test_a_name_that_is_none_is_refused(oci: RegistryClient, name: str) -> None:
    answer = oci.call("GET", f"{name}/manifests/v1")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "NAME_INVALID")
