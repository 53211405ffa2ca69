"""Signatures: finding those about an image, and verifying them with the public keys that an operator trusts.

A signature is cosign's: an image of its own, found by its ``subject`` or by the tag ``sha256-<hex>.sig``, whose layers
are payloads that name the image's digest, each with the signature of its bytes in an annotation.
Source: sigstore/cosign, "Cosign Signature Specification".
"""

import binascii
import json
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from kit.wildcards import matches_pattern
from registry.storage import NotStored, Storage
from state.blobs import linked_sizes
from state.images import get_image, get_tag, list_referrers
from state.store import Session

PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"
# Payloads are a few hundred bytes; whoever signs may push anything.
_LARGEST = 64 * 1024
_MOST = 50

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey


class BadKey(ValueError):
    """The text is no public key that signatures can be verified with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """One signature that is said to be an image's: the payload's digest and size, and the signature in base64."""

    payload: str
    size: int
    signature: str


def read_public_key(pem: str) -> PublicKey:
    """An ECDSA, Ed25519 or RSA (2,048 bits at least) key in PEM; raises BadKey."""
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadKey("this is no public key in PEM") from error
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048:
        return key
    if isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        return key
    raise BadKey("a key must be ECDSA, Ed25519, or RSA of 2,048 bits at least")


def fingerprint(key: PublicKey) -> str:
    """The SHA-256 of the key's DER form, in hexadecimal digits."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(der)
    return digest.finalize().hex()


def profiles_of(rules: Sequence[Mapping[str, Any]], repository: str) -> list[str]:
    """The ARNs of the signing profiles whose rules cover the repository, each once, in the rules' order."""
    found = [
        rule["signingProfileArn"]
        for rule in rules
        if not rule.get("repositoryFilters")
        or any(matches_pattern(each["filter"], repository) for each in rule["repositoryFilters"])
    ]
    return list(dict.fromkeys(found))


def list_signed(session: Session, repository: str, digest: str) -> list[Signed]:
    """Every signature that is kept about the image, as far as it could be one."""
    found: list[Signed] = []
    for body in _manifests(session, repository, digest):
        found += _layers(body)
    sizes = linked_sizes(session, repository, {each.payload for each in found})
    return [each for each in found if sizes.get(each.payload, _LARGEST + 1) <= _LARGEST][:_MOST]


def is_verified(storage: Storage, signed: Sequence[Signed], digest: str, keys: Sequence[PublicKey]) -> bool:
    """Whether one of the signatures is of this image, by one of the keys."""
    for each in signed:
        try:
            with storage.open(each.payload) as file:
                payload = file.read(_LARGEST + 1)
            signature = b64decode(each.signature, validate=True)
        except (NotStored, binascii.Error, ValueError):
            continue
        if _names(payload, digest) and any(_verifies(key, signature, payload) for key in keys):
            return True
    return False


def _manifests(session: Session, repository: str, digest: str) -> Iterator[bytes]:
    tag = get_tag(session, repository, f"{digest.replace(':', '-')}.sig")
    digests = [tag.digest] if tag is not None else []
    digests += [image.digest for image in list_referrers(session, repository, digest, after=None, limit=_MOST)]
    for each in dict.fromkeys(digests):
        image = get_image(session, repository, each, body=True)
        if image is not None:
            yield image.body


def _layers(body: bytes) -> Iterator[Signed]:
    """The signatures in a manifest; whoever pushed it may have written anything."""
    layers = json.loads(body).get("layers")
    for layer in layers if isinstance(layers, list) else ():
        annotations = layer.get("annotations")
        signature = annotations.get(SIGNATURE) if isinstance(annotations, dict) else None
        if layer.get("mediaType") == PAYLOAD and isinstance(signature, str) and len(signature) <= _LARGEST:
            yield Signed(payload=layer["digest"], size=layer["size"], signature=signature)


def _names(payload: bytes, digest: str) -> bool:
    """Whether the payload says that it is about the image."""
    try:
        critical = json.loads(payload)["critical"]
        return bool(critical["image"]["docker-manifest-digest"] == digest)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def _verifies(key: PublicKey, signature: bytes, payload: bytes) -> bool:
    try:
        match key:
            case ec.EllipticCurvePublicKey():
                key.verify(signature, payload, ec.ECDSA(hashes.SHA256()))
            case ed25519.Ed25519PublicKey():
                key.verify(signature, payload)
            case _:
                key.verify(signature, payload, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True
