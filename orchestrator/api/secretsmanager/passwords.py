"""Random passwords, drawn from the system's source of randomness and kept nowhere."""

import secrets as randomness
import string
from typing import Any

from kit.aws.errors import InvalidParameterException
from orchestrator.api.secretsmanager.wire import secretsmanager
from orchestrator.call import Call

KINDS = {
    "ExcludeLowercase": string.ascii_lowercase,
    "ExcludeUppercase": string.ascii_uppercase,
    "ExcludeNumbers": string.digits,
    "ExcludePunctuation": string.punctuation,
}
USUAL_LENGTH = 32


@secretsmanager.operation("GetRandomPassword")
def get_random_password(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetRandomPassword.html"""
    length = request.get("PasswordLength") or USUAL_LENGTH
    unwanted = set(request.get("ExcludeCharacters") or "")
    kinds = [characters for member, characters in KINDS.items() if not request.get(member)]
    if request.get("IncludeSpace"):
        kinds.append(" ")
    kinds = ["".join(character for character in kind if character not in unwanted) for kind in kinds]
    kinds = [kind for kind in kinds if kind]
    if not kinds:
        raise InvalidParameterException("Your character exclusion criteria leave no characters for a password.")
    drawn = []
    # Berth's model gives no default for this; AWS's documentation does.
    if request.get("RequireEachIncludedType", True):
        if length < len(kinds):
            raise InvalidParameterException(
                f"A password of length {length} cannot hold a character of each of the {len(kinds)} included types."
            )
        drawn = [randomness.choice(kind) for kind in kinds]
    every = "".join(kinds)
    drawn += [randomness.choice(every) for _ in range(length - len(drawn))]
    randomness.SystemRandom().shuffle(drawn)
    return {"RandomPassword": "".join(drawn)}
