"""Signatures through boto3: made as cosign makes them, and believed only by the keys an operator gave."""

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from registry.signing import PAYLOAD, SIGNATURE, BadKey, fingerprint, read_public_key
from state.signing_keys import put_signing_key
from tests.support.loopback import Loopback
from tests.support.registry import OCI_MANIFEST, RegistryClient, descriptor, image_of

ARN = "arn:aws:signer:us-east-1:123456789012:/signing-profiles/release"
Sign = Callable[[bytes], bytes]


def ecdsa() -> tuple[Any, Sign]:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.public_key(), lambda payload: key.sign(payload, ec.ECDSA(hashes.SHA256()))


def edwards() -> tuple[Any, Sign]:
    key = ed25519.Ed25519PrivateKey.generate()
    return key.public_key(), key.sign


def rivest() -> tuple[Any, Sign]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.public_key(), lambda payload: key.sign(payload, padding.PKCS1v15(), hashes.SHA256())


def pem_of(key: Any) -> str:
    return str(key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode())


class Ground:
    """A repository with one image, and a rule that wants it signed."""

    def __init__(self, ecr: Any, plane: Loopback, registry: RegistryClient) -> None:
        self.ecr, self.plane, self.registry = ecr, plane, registry
        ecr.create_repository(repositoryName="web")
        self.digest = registry.push_image("web", "v1")
        ecr.put_signing_configuration(signingConfiguration={"rules": [{"signingProfileArn": ARN}]})

    def trust(self, key: Any, profile: str = "release") -> None:
        now = self.plane.clock.now()
        self.plane.store.transact(
            lambda session: put_signing_key(session, profile, fingerprint(key), pem_of(key), now=now)
        )

    def attach(self, sign: Sign, *, about: str | None = None, by_tag: bool = True) -> None:
        """Sign as ``cosign sign --key`` does; ``about`` is the digest that the payload names."""
        critical = {
            "image": {"docker-manifest-digest": about or self.digest},
            "type": "cosign container image signature",
        }
        payload = json.dumps({"critical": critical, "optional": None}).encode()
        self.registry.push_blob("web", payload)
        manifest = image_of()
        signature = b64encode(sign(payload)).decode()
        manifest["layers"] = [{**descriptor(payload, PAYLOAD), "annotations": {SIGNATURE: signature}}]
        self.registry.push_blob("web", b"{}")
        if by_tag:
            self.registry.push_manifest("web", manifest, f"{self.digest.replace(':', '-')}.sig")
        else:
            manifest["subject"] = {"mediaType": OCI_MANIFEST, "digest": self.digest, "size": 1}
            self.registry.push_manifest("web", manifest)

    def status(self) -> tuple[str, str | None]:
        answer = self.ecr.describe_image_signing_status(repositoryName="web", imageId={"imageTag": "v1"})
        (found,) = answer["signingStatuses"]
        assert found["signingProfileArn"] == ARN
        return found["status"], found.get("failureCode")


@pytest.fixture
def ground(ecr: Any, ecr_plane: Loopback, registry: RegistryClient) -> Ground:
    return Ground(ecr, ecr_plane, registry)


@pytest.mark.parametrize("kind", [ecdsa, edwards, rivest])
@pytest.mark.parametrize("by_tag", [True, False], ids=["by tag", "by subject"])
def test_a_signature_by_a_trusted_key_is_complete(
    ground: Ground, kind: Callable[[], tuple[Any, Sign]], by_tag: bool
) -> None:
    key, sign = kind()
    ground.trust(key)
    assert ground.status() == ("FAILED", "SignatureNotFound")
    ground.attach(sign, by_tag=by_tag)
    assert ground.status() == ("COMPLETE", None)


def test_a_key_may_be_trusted_by_the_whole_arn(ground: Ground) -> None:
    key, sign = ecdsa()
    ground.trust(key, ARN)
    ground.attach(sign)
    assert ground.status() == ("COMPLETE", None)


def test_without_a_key_nothing_is_believed(ground: Ground) -> None:
    _, sign = ecdsa()
    ground.attach(sign)
    assert ground.status() == ("FAILED", "NoVerificationKey")


def test_another_key_and_another_image_are_not_believed(ground: Ground) -> None:
    key, sign = ecdsa()
    _, stranger = ecdsa()
    ground.trust(key)
    ground.attach(stranger)
    assert ground.status() == ("FAILED", "SignatureInvalid")
    ground.attach(sign, about="sha256:" + "0" * 64)
    assert ground.status() == ("FAILED", "SignatureInvalid")
    ground.attach(sign)
    assert ground.status() == ("COMPLETE", None)


@pytest.mark.parametrize("signature", ["", "not base64!", "AAAA", 7, None])
def test_a_signature_that_is_none_is_told_and_harms_nothing(ground: Ground, signature: Any) -> None:
    key, _ = ecdsa()
    ground.trust(key)
    payload = b"[" * 1000
    ground.registry.push_blob("web", payload)
    ground.registry.push_blob("web", b"{}")
    manifest = image_of()
    manifest["layers"] = [{**descriptor(payload, PAYLOAD), "annotations": {SIGNATURE: signature}}]
    ground.registry.push_manifest("web", manifest, f"{ground.digest.replace(':', '-')}.sig")
    assert ground.status()[0] == "FAILED"


def test_the_configuration_is_kept_told_and_deleted(ground: Ground) -> None:
    ecr = ground.ecr
    filters = [{"filter": "prod/*", "filterType": "WILDCARD_MATCH"}]
    configuration = {"rules": [{"signingProfileArn": ARN, "repositoryFilters": filters}]}
    assert ecr.put_signing_configuration(signingConfiguration=configuration)["signingConfiguration"] == configuration
    told = ecr.describe_image_signing_status(repositoryName="web", imageId={"imageDigest": ground.digest})
    assert told["signingStatuses"] == []
    assert ecr.get_signing_configuration()["signingConfiguration"] == configuration
    assert ecr.delete_signing_configuration()["signingConfiguration"] == configuration
    for ask in (ecr.get_signing_configuration, ecr.delete_signing_configuration):
        with pytest.raises(ecr.exceptions.SigningConfigurationNotFoundException):
            ask()


def test_keys_that_are_too_weak_or_none_are_refused() -> None:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key()
    for pem in ("", "nonsense", pem_of(weak)):
        with pytest.raises(BadKey):
            read_public_key(pem)
