"""Reading manifests: whatever is sent is either understood or refused, and never changed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.errors import ManifestInvalid
from registry.manifests import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, read_manifest
from tests.support.registry import descriptor, image_of, sha256

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
MEMBERS = ["mediaType", "artifactType", "config", "layers", "manifests", "subject", "annotations", "schemaVersion"]


@given(body=st.binary(max_size=200), content_type=st.none() | st.text(max_size=40))
def test_any_bytes_are_refused_as_no_manifest(body: bytes, content_type: str | None) -> None:
    with pytest.raises(ManifestInvalid):
        read_manifest(body, content_type)


@given(member=st.sampled_from(MEMBERS), value=JSON)
def test_any_value_of_a_member_is_understood_or_refused(member: str, value: Any) -> None:
    document = {**image_of(b"layer"), member: value}
    try:
        manifest = read_manifest(json.dumps(document).encode(), None)
    except ManifestInvalid:
        return
    assert manifest.media_type in (OCI_MANIFEST, DOCKER_MANIFEST)


def test_what_a_manifest_needs_is_listed_once_and_its_size_is_the_sum_as_listed() -> None:
    document = image_of(b"one", b"three", b"one", config=b"{}")
    manifest = read_manifest(json.dumps(document).encode(), OCI_MANIFEST)
    assert manifest.blobs == (sha256(b"{}"), sha256(b"one"), sha256(b"three"))
    assert manifest.listed_size == 2 + 3 + 5 + 3
    assert manifest.images == ()


def test_layers_kept_elsewhere_are_not_needed_and_not_counted() -> None:
    document = image_of(b"here")
    document["layers"].append({**descriptor(b"far away", "application/x.layer"), "urls": ["http://example.com"]})
    manifest = read_manifest(json.dumps(document).encode(), OCI_MANIFEST)
    assert manifest.blobs == (sha256(b"{}"), sha256(b"here"))
    assert manifest.listed_size == 6


@pytest.mark.parametrize(
    ("said", "pushed", "expected"),
    [
        (None, OCI_MANIFEST, OCI_MANIFEST),
        (None, DOCKER_MANIFEST + ";charset=utf-8", DOCKER_MANIFEST),
        (OCI_MANIFEST, None, OCI_MANIFEST),
        (OCI_MANIFEST, OCI_MANIFEST, OCI_MANIFEST),
        (None, None, OCI_MANIFEST),
        (OCI_MANIFEST, DOCKER_MANIFEST, None),
        (OCI_INDEX, None, None),
        (DOCKER_LIST, DOCKER_LIST, None),
        ("application/json", None, None),
    ],
)
def test_the_type_is_what_it_says_and_was_sent_as(said: str | None, pushed: str | None, expected: str | None) -> None:
    document = {**image_of(), "mediaType": said}
    if said is None:
        del document["mediaType"]
    if expected is None:
        with pytest.raises(ManifestInvalid):
            read_manifest(json.dumps(document).encode(), pushed)
    else:
        assert read_manifest(json.dumps(document).encode(), pushed).media_type == expected


def test_the_artifact_type_of_an_image_is_its_own_or_its_configurations() -> None:
    def read(**members: Any) -> str | None:
        return read_manifest(json.dumps({**image_of(), **members}).encode(), None).artifact_type

    assert read(artifactType="application/x") == "application/x"
    assert read() == read(artifactType="") == "application/vnd.oci.image.config.v1+json"
