"""Secrets: values from Secrets Manager and Parameter Store, fetched with the task's execution role at each launch.

A value goes from the answer into the container's create request and nowhere else: not on the disk, not into a log,
not into a reason. What can't be had now is asked for again later; what can't be had at all says why, in ECS's words.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.control.aws import RETRIED_CODES, ApiError, Calls, Unreachable
from agent.keys import Keys
from agent.runtime import RegistryLogin
from agent.tasks.launch import NO_SECRETS, PutOff, Unprepared, execution_role
from agent.tasks.secret_refs import Provider, SecretRef
from agent.tasks.spec import TaskSpec

MOST_PARAMETERS = 10
ARN_PARTS = 7
# Of these the last mean keys that have ended: new ones are on their way.
PASSING = (
    "TooManyRequestsException",
    "InternalServiceError",
    "ExpiredTokenException",
    "ExpiredToken",
    "RequestExpired",
)


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a secret, as GetSecretValue is asked for it."""

    secret: str
    stage: str = ""
    id: str = ""


class Secrets:
    """Raises Unprepared for what will never be had, and PutOff for what may be had later."""

    def __init__(self, *, aws: Calls) -> None:
        self._aws = aws

    def fetch(self, task: TaskSpec, refs: Sequence[SecretRef]) -> dict[SecretRef, str]:
        """The values, each distinct secret asked for once."""
        keys = execution_keys(task)
        found: dict[SecretRef, str] = {}
        kept: dict[Version, str] = {}
        for ref in refs:
            if ref.provider is Provider.ASM:
                version, key = read_reference(ref.value_from)
                if version not in kept:
                    kept[version] = self._secret(version, keys)
                found[ref] = member_of(kept[version], key, version.secret) if key else kept[version]
        found |= self._parameters([ref for ref in refs if ref.provider is Provider.SSM], keys)
        return found

    def login(self, task: TaskSpec, secret: str) -> RegistryLogin:
        """A registry's login, kept as JSON with ``username`` and ``password``."""
        text = self._secret(Version(secret), execution_keys(task))
        username, password = (member_of(text, name, secret) for name in ("username", "password"))
        return RegistryLogin(username=username, password=password, server="")

    def _secret(self, version: Version, keys: Keys) -> str:
        request = {"SecretId": version.secret, "VersionStage": version.stage, "VersionId": version.id}
        answer = _asked(
            "unable to retrieve secret from asm",
            lambda: self._aws.call(
                "secretsmanager", "GetSecretValue", {name: value for name, value in request.items() if value}, keys=keys
            ),
        )
        text = answer.get("SecretString")
        if not isinstance(text, str):
            raise Unprepared(f"{NO_SECRETS}unable to retrieve secret from asm: {version.secret} holds no text")
        return text

    def _parameters(self, refs: Sequence[SecretRef], keys: Keys) -> dict[SecretRef, str]:
        names = {ref: parameter_name(ref.value_from) for ref in refs}
        wanted = list(dict.fromkeys(names.values()))
        values: dict[str, str] = {}
        for first in range(0, len(wanted), MOST_PARAMETERS):
            part = wanted[first : first + MOST_PARAMETERS]
            answer = _asked(
                "unable to retrieve secrets from ssm",
                lambda part=part: self._aws.call(  # type: ignore[misc]
                    "ssm", "GetParameters", {"Names": part, "WithDecryption": True}, keys=keys
                ),
            )
            for parameter in answer.get("Parameters") or ():
                # One that was asked for in a version has that in its selector, and not in its name.
                name = f"{parameter.get('Name')}{parameter.get('Selector') or ''}"
                values[name] = str(parameter.get("Value", ""))
        missing = [name for name in wanted if name not in values]
        if missing:
            raise Unprepared(
                f"{NO_SECRETS}unable to retrieve secrets from ssm: invalid parameters: {', '.join(missing)}"
            )
        return {ref: values[name] for ref, name in names.items()}


def execution_keys(task: TaskSpec) -> Keys:
    """The execution role's keys. Raises Unprepared for a task without such a role, PutOff while they are not here."""
    role = execution_role(task)
    if role is None:
        raise Unprepared(f"{NO_SECRETS}the task has no execution role")
    return role.keys


def read_reference(value_from: str) -> tuple[Version, str]:
    """An ARN that may be followed by ``:json-key:version-stage:version-id``, as what to ask for and the key in it."""
    parts = value_from.split(":")
    if not value_from.startswith("arn:") or len(parts) <= ARN_PARTS:
        return Version(value_from), ""
    key, stage, version = (*parts[ARN_PARTS:], "", "", "")[:3]
    return Version(":".join(parts[:ARN_PARTS]), stage, version), key


def member_of(text: str, key: str, secret: str) -> str:
    """One member of a secret that is a JSON object; one that is no text is given as JSON."""
    try:
        held = json.loads(text)
    except ValueError:
        # Without the cause: its text would quote the secret.
        raise Unprepared(f"{NO_SECRETS}secret {secret} is not JSON, so it has no key {key}") from None
    if not isinstance(held, Mapping) or key not in held:
        raise Unprepared(f"{NO_SECRETS}retrieved secret from Secrets Manager did not contain json key {key}")
    value = held[key]
    return value if isinstance(value, str) else json.dumps(value)


def parameter_name(value_from: str) -> str:
    """A parameter's name, of its name or its ARN: only one in a hierarchy begins with a slash."""
    if not value_from.startswith("arn:"):
        return value_from
    path = value_from.split(":", 5)[-1].removeprefix("parameter")
    return path if path.count("/") > 1 else path.removeprefix("/")


def _asked(what: str, ask: Callable[[], Any]) -> Mapping[str, Any]:
    try:
        answer = ask()
    except Unreachable as error:
        raise PutOff(f"{NO_SECRETS}{what}", error) from error
    except ApiError as error:
        if error.status >= 500 or error.code in (*RETRIED_CODES, *PASSING):
            raise PutOff(f"{NO_SECRETS}{what}", error) from error
        raise Unprepared(f"{NO_SECRETS}{what}: {error}") from error
    return answer if isinstance(answer, Mapping) else {}
