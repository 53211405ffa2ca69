"""Filters of secrets: within one any of its values may match, and every filter must.

Source: Secrets Manager API, Filter: prefixes, of descriptions in either case, and words anywhere for ``all``. A value
that begins with an exclamation mark is one that must not match.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from kit.aws.errors import InvalidParameterException
from state.secrets import Secret

_WORD = re.compile(r"[^\s/_+=.@!:-]+")


def check_filters(filters: Sequence[Mapping[str, Any]]) -> None:
    """Raise InvalidParameterException for a filter without a key or values."""
    for one in filters:
        if not one.get("Key"):
            raise InvalidParameterException("Invalid filter key: a filter needs a Key.")
        if not one.get("Values"):
            raise InvalidParameterException(f"Invalid filter values for key: {one['Key']}")


def fits(secret: Secret, filters: Sequence[Mapping[str, Any]]) -> bool:
    """Whether every filter lets the secret through."""
    return all(_fits(secret, one["Key"], one["Values"]) for one in filters)


def _fits(secret: Secret, key: str, values: Sequence[str]) -> bool:
    wanted = [value for value in values if not value.startswith("!")]
    unwanted = [value[1:] for value in values if value.startswith("!")]
    if any(_matches(secret, key, value) for value in unwanted):
        return False
    return not wanted or any(_matches(secret, key, value) for value in wanted)


def _matches(secret: Secret, key: str, value: str) -> bool:
    match key:
        case "name":
            return secret.name.startswith(value)
        case "description":
            return (secret.description or "").lower().startswith(value.lower())
        case "tag-key":
            return any(tag["Key"].startswith(value) for tag in secret.tags)
        case "tag-value":
            return any(tag["Value"].startswith(value) for tag in secret.tags)
        case "primary-region":
            # A secret that is replicated nowhere has no primary region.
            return False
        case "owning-service":
            return False
        case _:
            texts = [secret.name, secret.description or "", *(part for tag in secret.tags for part in tag.values())]
            words = [word for text in texts for word in _WORD.findall(text.lower())]
            return all(any(word.startswith(each) for word in words) for each in _WORD.findall(value.lower()))
