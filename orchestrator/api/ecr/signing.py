"""Signing over the ECR API: which profiles are to have signed which images, and whether they have.

Berth signs nothing by itself: there is no AWS Signer here. Whoever builds an image signs it (``cosign sign --key``);
the status tells whether a signature by a key of the profile is there. Keys are the operator's to give.
"""

from typing import Any

from kit.aws.errors import InvalidParameterException
from orchestrator.api.ecr.errors import ImageNotFoundException, SigningConfigurationNotFoundException
from orchestrator.api.ecr.finding import Missed, find_named_repository, look_up
from orchestrator.api.ecr.wire import ecr
from orchestrator.call import Call
from orchestrator.errand import Errand
from registry.signing import PublicKey, Signed, is_verified, list_signed, profiles_of, read_public_key
from state.registry_rules import SIGNING, delete_rules, get_rules, put_rules
from state.signing_keys import keys_of


@ecr.operation("PutSigningConfiguration")
def put_signing_configuration(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Say by which profiles images are to be signed."""
    configuration = request["signingConfiguration"]
    profiles = [rule["signingProfileArn"] for rule in configuration["rules"] if not rule.get("repositoryFilters")]
    if len(set(profiles)) < len(profiles):
        raise InvalidParameterException("Two rules without repository filters name the same signing profile.")
    put_rules(call.session, SIGNING, configuration, now=call.now)
    return {"signingConfiguration": configuration}


@ecr.operation("GetSigningConfiguration")
def get_signing_configuration(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """The configuration, as it was put."""
    found = get_rules(call.session, SIGNING)
    if found is None:
        raise SigningConfigurationNotFoundException
    return {"registryId": call.settings.account, "signingConfiguration": found}


@ecr.operation("DeleteSigningConfiguration")
def delete_signing_configuration(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Expect no signatures any more; those there are stay."""
    found = delete_rules(call.session, SIGNING)
    if found is None:
        raise SigningConfigurationNotFoundException
    return {"registryId": call.settings.account, "signingConfiguration": found}


@ecr.operation("DescribeImageSigningStatus", outside=True)
def describe_image_signing_status(errand: Errand, request: dict[str, Any]) -> dict[str, Any]:
    """For each profile that is to have signed the image, whether one of its keys has."""

    def look(call: Call) -> tuple[dict[str, Any], str, list[Signed], dict[str, list[PublicKey]]]:
        repository = find_named_repository(call, request)
        image = look_up(call, repository.name, request["imageId"])
        if isinstance(image, Missed):
            raise ImageNotFoundException(image.reason)
        rules = (get_rules(call.session, SIGNING) or {}).get("rules", ())
        keys = {
            arn: [read_public_key(key.pem) for key in keys_of(call.session, [arn, arn.rpartition("/")[2]])]
            for arn in profiles_of(rules, repository.name)
        }
        answer = {
            "repositoryName": repository.name,
            "imageId": {"imageDigest": image.digest, **request["imageId"]},
            "registryId": call.settings.account,
        }
        return answer, image.digest, list_signed(call.session, repository.name, image.digest), keys

    answer, digest, signed, keys = errand.read(look)
    statuses = [{"signingProfileArn": arn, **_status(errand, signed, digest, found)} for arn, found in keys.items()]
    return {**answer, "signingStatuses": statuses}


def _status(errand: Errand, signed: list[Signed], digest: str, keys: list[PublicKey]) -> dict[str, str]:
    if not keys:
        return _failed(
            "NoVerificationKey",
            "No public key is known for the profile. An operator gives one with: berth registry keys add PROFILE FILE",
        )
    if not signed:
        return _failed("SignatureNotFound", "No signature of the image is kept. Sign it with: cosign sign --key …")
    if not is_verified(errand.tools.storage, signed, digest, keys):
        return _failed("SignatureInvalid", "None of the image's signatures was made with a key of the profile.")
    return {"status": "COMPLETE"}


def _failed(code: str, reason: str) -> dict[str, str]:
    return {"status": "FAILED", "failureCode": code, "failureReason": reason}
