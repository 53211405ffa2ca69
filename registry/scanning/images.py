"""One image: its layers to an inventory, and its bill of materials put beside it."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from registry.images import Push, put_image
from registry.manifests import IMAGES, OCI_MANIFEST, read_manifest
from registry.names import digest_of
from registry.scanning.layers import Layers
from registry.scanning.limits import Limits, TooLarge, Unscannable, Unsupported
from registry.scanning.packages import Inventory
from registry.scanning.sbom import EMPTY, render_sbom, render_sbom_manifest
from registry.scanning.streams import Budget
from registry.storage import NotStored, Storage
from registry.uploads import Uploads
from state.images import Image
from state.store import Session

_ELSEWHERE = (".foreign.", ".nondistributable.")


def read_layers(storage: Storage, image: Image, limits: Limits, alive: Callable[[], None] = lambda: None) -> Inventory:
    """The packages of an image, which was read with its body. Raises Unscannable."""
    if image.media_type not in IMAGES:
        raise Unsupported("This is a list of images or another artifact: only single images are scanned.")
    # It was checked when it was pushed.
    manifest: Mapping[str, Any] = json.loads(image.body)
    descriptors = manifest["layers"]
    if len(descriptors) > limits.layers:
        raise TooLarge(f"The image has {len(descriptors)} layers; up to {limits.layers} are scanned.")
    if sum(each["size"] for each in descriptors) > limits.compressed:
        raise TooLarge(f"The image's layers have more than {limits.compressed} bytes.")
    for each in descriptors:
        _check_type(each)
    budget, layers = Budget(limits, alive), Layers(limits)
    for each in descriptors:
        try:
            blob = storage.open(each["digest"])
        except NotStored:
            raise Unscannable(f"The layer {each['digest']} is not in the registry's storage.") from None
        with blob:
            layers.add(each["digest"], blob, budget)
    inventory = layers.inventory()
    if len(inventory.packages) > limits.packages:
        raise TooLarge(f"The image has more than {limits.packages} packages.")
    if inventory.system is None and not inventory.packages:
        noted = f" Not read: {'; '.join(inventory.notes)}." if inventory.notes else ""
        raise Unsupported(f"The operating system and/or package manager are not supported.{noted}")
    return inventory


def put_sbom_blobs(uploads: Uploads, repository: str, body: bytes) -> None:
    """Put the document and the empty configuration into the repository, before the manifest that needs them.

    Raises what the registry raises. What a crash leaves is an upload or a blob that nothing refers to, which is swept.
    """
    for data in (EMPTY, body):
        upload = uploads.begin(repository)
        incoming = uploads.write(repository, upload, at=0)
        try:
            incoming.write(data)
            incoming.finish(digest_of(data))
        finally:
            incoming.close()


def sbom_of(inventory: Inventory, image: Image) -> bytes:
    """The image's bill of materials."""
    return render_sbom(inventory, repository=image.repository, digest=image.digest)


def put_sbom(session: Session, image: Image, body: bytes, *, account: str, now: datetime) -> str:
    """Put the document beside the image as a referrer, by the way every push goes; answers its manifest's digest."""
    subject = {"mediaType": image.media_type, "digest": image.digest, "size": image.body_size}
    manifest = render_sbom_manifest(body, subject)
    push = Push(digest=digest_of(manifest), body=manifest, manifest=read_manifest(manifest, OCI_MANIFEST), tags=[])
    return put_image(session, image.repository, push, account=account, now=now).digest


def _check_type(descriptor: Mapping[str, Any]) -> None:
    media_type = descriptor["mediaType"]
    if any(part in media_type for part in _ELSEWHERE) or descriptor.get("urls"):
        raise Unsupported("A layer is kept elsewhere by its owner's wish, so it cannot be read.")
    if media_type.endswith("+encrypted"):
        raise Unsupported("A layer is encrypted.")
    if "tar" not in media_type.replace("+", ".").split("."):
        raise Unsupported(f"A layer of type '{media_type[:200]}' is no file system.")
