"""Tags of secrets."""

from collections.abc import Sequence
from typing import Any

from kit.aws.errors import InvalidParameterException
from orchestrator.api.secretsmanager.naming import find_secret
from orchestrator.api.secretsmanager.wire import secretsmanager
from orchestrator.call import Call

MOST_TAGS = 50


@secretsmanager.operation("TagResource")
def tag_resource(call: Call, request: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_TagResource.html"""
    secret = find_secret(call, request["SecretId"], hold=True)
    secret.tags = check_tags(secret.tags, request["Tags"])


@secretsmanager.operation("UntagResource")
def untag_resource(call: Call, request: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UntagResource.html"""
    secret = find_secret(call, request["SecretId"], hold=True)
    secret.tags = [tag for tag in secret.tags if tag["Key"] not in request["TagKeys"]]


def check_tags(kept: Sequence[dict[str, Any]], given: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The kept tags and those given, which go before them; raises InvalidParameterException."""
    tags = {tag["Key"]: tag.get("Value", "") for tag in kept}
    for tag in given:
        key, value = tag.get("Key"), tag.get("Value") or ""
        if not key:
            raise InvalidParameterException("A tag needs a Key.")
        if key.lower().startswith("aws:"):
            raise InvalidParameterException("Tag keys that begin with aws: are reserved for AWS.")
        tags[key] = value
    if len(tags) > MOST_TAGS:
        raise InvalidParameterException(f"A secret can have at most {MOST_TAGS} tags.")
    return [{"Key": key, "Value": value} for key, value in tags.items()]
