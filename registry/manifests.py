"""Manifests: reading what a pushed manifest says, without changing a byte of it.

Source: OCI image-spec, manifest.md and image-index.md; Docker image manifest version 2, schema 2.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from registry.errors import ManifestInvalid
from registry.names import is_digest

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
IMAGES = (OCI_MANIFEST, DOCKER_MANIFEST)
LISTS = (OCI_INDEX, DOCKER_LIST)
# ECR's quota, and what the distribution specification asks a registry to accept.
LARGEST = 4 * 1024 * 1024
# Lenient about the shape, strict about what could not be stored or sent in a header.
_MEDIA_TYPE = re.compile(r"[!-~]([ -~]{0,253}[!-~])?")
_SIGNED_FORMS = (
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a manifest says: its type, what it needs, and what it is about."""

    media_type: str
    artifact_type: str | None
    subject: str | None
    annotations: dict[str, str]
    # Digests that must be in the repository, in the order listed, each once.
    blobs: tuple[str, ...]
    images: tuple[str, ...]
    # The sum of the sizes of its configuration and layers, as listed, in bytes.
    listed_size: int


def read_manifest(body: bytes, content_type: str | None) -> Manifest:
    """What ``body`` says; ``content_type`` is how it was pushed, parameters ignored. Raises ManifestInvalid."""
    document = _parse(body)
    media_type = _media_type(document, content_type)
    if document.get("schemaVersion") != 2:
        raise ManifestInvalid("the manifest's schemaVersion must be 2")
    subject = document.get("subject")
    if subject is not None:
        subject = _descriptor(subject, "subject")["digest"]
    annotations = document.get("annotations")
    if annotations is None:
        annotations = {}
    if not isinstance(annotations, dict) or not all(isinstance(value, str) for value in annotations.values()):
        raise ManifestInvalid("the manifest's annotations must map texts to texts")
    artifact_type = document.get("artifactType")
    if artifact_type == "":
        artifact_type = None
    if artifact_type is not None and not is_media_type(artifact_type):
        raise ManifestInvalid("the manifest's artifactType must be a media type")
    if media_type in LISTS:
        children = _descriptors(document, "manifests")
        return Manifest(
            media_type=media_type,
            artifact_type=artifact_type,
            subject=subject,
            annotations=annotations,
            blobs=(),
            images=tuple(dict.fromkeys(child["digest"] for child in children)),
            listed_size=0,
        )
    config = _descriptor(document.get("config"), "config")
    layers = _descriptors(document, "layers")
    here = [config, *(layer for layer in layers if not _is_foreign(layer))]
    return Manifest(
        media_type=media_type,
        artifact_type=artifact_type or config.get("mediaType"),
        subject=subject,
        annotations=annotations,
        blobs=tuple(dict.fromkeys(descriptor["digest"] for descriptor in here)),
        images=(),
        listed_size=sum(descriptor["size"] for descriptor in here),
    )


def _parse(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ManifestInvalid("the manifest is not a JSON document") from error
    if not isinstance(document, dict):
        raise ManifestInvalid("the manifest is not a JSON object")
    return document


def _media_type(document: Mapping[str, Any], content_type: str | None) -> str:
    said = document.get("mediaType")
    pushed = (content_type or "").partition(";")[0].strip()
    if said is not None and not isinstance(said, str):
        raise ManifestInvalid("the manifest's mediaType must be a text")
    if said and pushed and said != pushed:
        raise ManifestInvalid(f"the manifest's mediaType is '{said[:200]}' but it was sent as '{pushed[:200]}'")
    media_type = said or pushed or (OCI_INDEX if "manifests" in document else OCI_MANIFEST)
    if media_type in _SIGNED_FORMS:
        raise ManifestInvalid("manifests of schema version 1 are not supported; push the image with a newer client")
    if media_type not in (*IMAGES, *LISTS):
        raise ManifestInvalid(f"'{media_type[:200]}' is not the media type of an image or of a list of images")
    other = "layers" if media_type in LISTS else "manifests"
    if other in document:
        raise ManifestInvalid(f"a manifest of type '{media_type}' has no '{other}'")
    return media_type


def _descriptors(document: Mapping[str, Any], member: str) -> list[dict[str, Any]]:
    found = document.get(member)
    if not isinstance(found, list):
        raise ManifestInvalid(f"the manifest's {member} must be a list")
    return [_descriptor(item, f"{member}[{index}]") for index, item in enumerate(found)]


def _descriptor(item: Any, where: str) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise ManifestInvalid(f"the manifest's {where} must be a descriptor")
    digest, size, media_type = item.get("digest"), item.get("size"), item.get("mediaType")
    if not isinstance(digest, str) or not is_digest(digest):
        raise ManifestInvalid(f"the manifest's {where} has no valid digest")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 2**53:
        raise ManifestInvalid(f"the manifest's {where} has no valid size")
    if not is_media_type(media_type):
        raise ManifestInvalid(f"the manifest's {where} has no valid mediaType")
    return item


def is_media_type(text: Any) -> bool:
    """Whether the text can be a media type, of an artifact for instance."""
    return isinstance(text, str) and _MEDIA_TYPE.fullmatch(text) is not None


def _is_foreign(layer: Mapping[str, Any]) -> bool:
    """Whether the layer is kept elsewhere by its owner's wish: such layers are never pushed."""
    media_type = str(layer["mediaType"])
    return ".foreign." in media_type or ".nondistributable." in media_type or bool(layer.get("urls"))
