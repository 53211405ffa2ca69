"""What containers get beyond their definition: secrets, logins of registries, and environment files.

All three are fetched by the agent with the task's execution role. Source: ECS API, Secret, RepositoryCredentials,
EnvironmentFile; developer guide, "Pass sensitive data to an Amazon ECS container".
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kit.settings import Settings
from orchestrator.api.ecs.errors import ClientException

MOST_FILES = 10
_OBJECT = re.compile(r"arn:[a-z0-9-]+:s3:::[a-z0-9][a-z0-9.-]{1,62}/.+")
_SECRET = re.compile(
    r"arn:[a-z0-9-]+:secretsmanager:[a-z0-9-]+:\d{12}:secret:[A-Za-z0-9/_+=.@!-]{1,519}(?::[^:]*){0,3}"
)
_PARAMETER = re.compile(r"arn:[a-z0-9-]+:ssm:[a-z0-9-]+:\d{12}:parameter/[A-Za-z0-9_./-]{1,1011}")
_PARAMETER_NAME = re.compile(r"[A-Za-z0-9_./-]{1,1011}")
_SECRET_NAME = re.compile(r"[A-Za-z0-9/_+=.@!-]{1,512}")
SECRETS_MANAGER = re.compile(r"arn:[a-z0-9-]+:secretsmanager:")
NO_STORE = (
    "is not supported by this Berth: it has no S3 store to read from. Set BERTH_TASK_S3_ENDPOINT to the URL of one."
)


def check_secrets(container: Mapping[str, Any], *, role: bool, settings: Settings) -> None:
    """Raise ClientException for a secret, a login or a file that the agent could not fetch."""
    name = container["name"]
    options = (container.get("logConfiguration") or {}).get("secretOptions") or ()
    secrets = container.get("secrets") or ()
    for secret in secrets:
        if not secret["name"] or "=" in secret["name"]:
            raise ClientException(f"Container '{name}': invalid secret name '{secret['name']}'.")
    check_names(secrets, container.get("environment") or ())
    for secret in (*secrets, *options):
        _reference(name, secret)
    if (secrets or options) and not role:
        raise ClientException(
            "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'."
        )
    credentials = container.get("repositoryCredentials")
    if credentials:
        _login(name, credentials["credentialsParameter"], role=role)
    check_files(container.get("environmentFiles") or (), f"Container '{name}': environmentFiles", settings=settings)
    if container.get("environmentFiles") and not role:
        raise ClientException(
            "When you are specifying environment files, you must also specify a value for 'executionRoleArn'."
        )


def check_files(files: Sequence[Mapping[str, Any]], where: str, *, settings: Settings) -> None:
    """Raise ClientException for environment files that the agent could not read."""
    if files and not settings.task_s3_endpoint:
        raise ClientException(f"{where} {NO_STORE}")
    if len(files) > MOST_FILES:
        raise ClientException(
            "The maximum number of environment files was exceeded. Specify ten or less and try again."
        )
    for file in files:
        value = file.get("value") or ""
        if _OBJECT.fullmatch(value) is None:
            raise ClientException(f"Invalid arn syntax. {where}: '{value}' is not the ARN of an object in Amazon S3.")
        if not value.endswith(".env"):
            raise ClientException(f"{where}: '{value}' must have the file extension .env.")


def check_names(secrets: Iterable[Mapping[str, Any]], environment: Iterable[Mapping[str, Any]]) -> None:
    """Raise ClientException for a secret that has another's name, or that of an environment variable."""
    taken = {variable.get("name") for variable in environment}
    for secret in secrets:
        name = secret["name"]
        if name in taken:
            raise ClientException(
                "The secret name must be unique and not shared with any new or existing environment variables set on "
                f"the container, such as '{name}'."
            )
        taken.add(name)


def _reference(container: str, secret: Mapping[str, Any]) -> None:
    value = secret["valueFrom"]
    if SECRETS_MANAGER.match(value):
        if _SECRET.fullmatch(value) is None:
            raise ClientException(
                f"Container '{container}': secret '{secret['name']}': '{value}' is not the ARN of a Secrets Manager "
                "secret."
            )
        return
    pattern = _PARAMETER if value.startswith("arn:") else _PARAMETER_NAME
    if pattern.fullmatch(value) is None:
        raise ClientException(
            f"The Systems Manager parameter name specified for secret {secret['name']} is invalid. '{value}' is "
            "neither the name nor the ARN of a parameter, nor the ARN of a Secrets Manager secret."
        )


def _login(container: str, parameter: str, *, role: bool) -> None:
    pattern = _SECRET if parameter.startswith("arn:") else _SECRET_NAME
    if pattern.fullmatch(parameter) is None:
        raise ClientException(
            f"Container '{container}': repositoryCredentials.credentialsParameter '{parameter}' is neither the name "
            "nor the ARN of a Secrets Manager secret."
        )
    if not role:
        raise ClientException(
            "Private repository authentication requires that the task definition specify a value for executionRoleArn."
        )
