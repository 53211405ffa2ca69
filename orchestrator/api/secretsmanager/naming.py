"""How secrets are named: by name, by ARN, or by an ARN without the six characters that end it."""

import re
import secrets as randomness
import string
from datetime import UTC, datetime
from typing import Any

from kit.aws.errors import InvalidParameterException
from kit.ids import Arns
from orchestrator.api.secretsmanager.errors import MarkedForDeletion, ResourceNotFoundException
from orchestrator.call import Call
from state.secrets import Secret, get_secret

_NAME = re.compile(r"[A-Za-z0-9/_+=.@!-]{1,512}")
_SUFFIXED = re.compile(r"(.+)-([A-Za-z0-9]{6})")


def secret_arn(arns: Arns, secret: Secret) -> str:
    return arns.of("secretsmanager", f"secret:{secret.name}-{secret.suffix}")


def without_suffix(arn: str) -> str:
    """A secret's ARN as those may name it who do not know the six characters that end it."""
    return arn[: -len("-123456")]


def new_suffix() -> str:
    """The six characters that end a secret's ARN."""
    return "".join(randomness.choice(string.ascii_letters + string.digits) for _ in range(6))


def check_name(name: str) -> str:
    """The name itself; raises InvalidParameterException unless a secret may be called so."""
    if _NAME.fullmatch(name) is None:
        raise InvalidParameterException(
            "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!"
        )
    return name


def find_secret(call: Call, secret_id: str, *, hold: bool = False, deleted: bool = False) -> Secret:
    """The secret, or ResourceNotFoundException. One that waits for its end is refused unless ``deleted``."""
    secret = _find(call, secret_id, hold)
    if secret is None:
        raise ResourceNotFoundException
    if secret.deleted_at is not None and not deleted:
        raise MarkedForDeletion
    return secret


def summary(call: Call, secret: Secret, **members: Any) -> dict[str, Any]:
    """``ARN`` and ``Name``, as nearly every answer begins, and further members."""
    return {"ARN": secret_arn(call.arns, secret), "Name": secret.name, **members}


def day_of(at: datetime) -> datetime:
    """Midnight of the day, to which AWS rounds when a secret was last read."""
    return datetime(at.year, at.month, at.day, tzinfo=UTC)


def _find(call: Call, secret_id: str, hold: bool) -> Secret | None:
    name = secret_id
    if secret_id.startswith("arn:"):
        kind, _, name = (call.arns.own("secretsmanager", secret_id) or "").partition(":")
        if kind != "secret":
            return None
        whole = _SUFFIXED.fullmatch(name)
        if whole is not None and _NAME.fullmatch(whole[1]):
            secret = get_secret(call.session, whole[1], now=call.now, hold=hold)
            if secret is not None and secret.suffix == whole[2]:
                return secret
    return get_secret(call.session, name, now=call.now, hold=hold) if _NAME.fullmatch(name) else None
