"""Sparse manifests: with the setting for them, parts may be missing that nobody means to push."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.registry import (
    OCI_INDEX,
    OCI_MANIFEST,
    RegistryClient,
    image_of,
    running_registry,
    sha256,
)

AMD64 = image_of(b"amd64")
ARM64 = image_of(b"arm64")


def entry(manifest: dict[str, Any]) -> dict[str, Any]:
    body = json.dumps(manifest).encode()
    return {"mediaType": OCI_MANIFEST, "digest": sha256(body), "size": len(body)}


INDEX = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry(AMD64), entry(ARM64)]}


@pytest.fixture(scope="module")
def sparse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryClient]:
    with running_registry(tmp_path_factory.mktemp("sparse"), registry_sparse=True) as running:
        running.make_repository("web")
        yield running


def put(oci: RegistryClient, tag: str, manifest: dict[str, Any]) -> Any:
    body = json.dumps(manifest).encode()
    return oci.call("PUT", f"web/manifests/{tag}", data=body, headers={"Content-Type": manifest["mediaType"]})


def test_by_default_every_missing_part_is_an_error(oci: RegistryClient) -> None:
    answer = put(oci, "all", INDEX)
    assert answer.status_code == 404
    assert [(error["code"], error["detail"]["digest"]) for error in answer.json()["errors"]] == [
        ("MANIFEST_BLOB_UNKNOWN", entry(AMD64)["digest"]),
        ("MANIFEST_BLOB_UNKNOWN", entry(ARM64)["digest"]),
    ]
    assert oci.call("HEAD", "web/manifests/all").status_code == 404


def test_where_it_is_set_an_index_of_one_platform_among_many_is_taken_with_a_warning(sparse: RegistryClient) -> None:
    sparse.push_blob("web", b"{}")
    sparse.push_blob("web", b"amd64")
    sparse.push_manifest("web", AMD64)
    answer = put(sparse, "all", INDEX)
    assert answer.status_code == 201
    assert answer.headers["Warning"] == '299 - "1 part of this manifest is not in the repository yet"'
    assert sparse.call("GET", "web/manifests/all").json() == INDEX
    assert sparse.call("GET", f"web/manifests/{entry(AMD64)['digest']}").status_code == 200
    assert sparse.call("GET", f"web/manifests/{entry(ARM64)['digest']}").status_code == 404


def test_what_was_missing_may_come_later(sparse: RegistryClient) -> None:
    manifest = image_of(b"late", b"later")
    answer = put(sparse, "late", manifest)
    assert answer.headers["Warning"] == '299 - "2 parts of this manifest are not in the repository yet"'
    for data in (b"late", b"later"):
        sparse.push_blob("web", data)
    again = put(sparse, "late", manifest)
    assert (again.status_code, "Warning" in again.headers) == (201, False)


def test_a_manifest_that_is_none_stays_refused(sparse: RegistryClient) -> None:
    answer = put(sparse, "no", {"mediaType": OCI_MANIFEST, "schemaVersion": 2, "config": {}, "layers": []})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "MANIFEST_INVALID")


def test_where_it_is_set_a_part_is_deleted_and_its_list_stays(sparse: RegistryClient) -> None:
    part = sparse.push_image("web")
    entries = [{"mediaType": OCI_MANIFEST, "digest": part, "size": 1}]
    held = sparse.push_manifest("web", {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})
    assert sparse.call("DELETE", f"web/manifests/{part}").status_code == 202
    assert sparse.call("DELETE", f"web/manifests/{part}").status_code == 404
    assert sparse.call("GET", f"web/manifests/{held}").status_code == 200
