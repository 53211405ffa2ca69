"""A service's deployment configuration: ECS's defaults, its rules, and what Berth does not roll out yet."""

from collections.abc import Mapping
from typing import Any

from orchestrator.api.ecs.errors import InvalidParameterException

LARGEST_PERCENT = 2_147_483_647
DEFAULTS = {
    "REPLICA": {"maximumPercent": 200, "minimumHealthyPercent": 100},
    "DAEMON": {"maximumPercent": 100, "minimumHealthyPercent": 0},
}
NOT_BUILT = ("lifecycleHooks", "linearConfiguration", "canaryConfiguration", "bakeTimeInMinutes")


def read_deployment_configuration(
    given: Mapping[str, Any] | None, strategy: str, before: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The configuration as it is kept: ``before`` (or the defaults of the scheduling strategy) with ``given`` on top.

    Raises InvalidParameterException. Source: ECS API, DeploymentConfiguration.
    """
    given = {member: value for member, value in (given or {}).items() if value is not None}
    _refuse_unbuilt(given)
    read: dict[str, Any] = {
        "deploymentCircuitBreaker": {"enable": False, "rollback": False},
        "strategy": "ROLLING",
        **DEFAULTS[strategy],
        **(before or {}),
    }
    for member in ("maximumPercent", "minimumHealthyPercent", "deploymentCircuitBreaker"):
        if member in given:
            read[member] = given[member]
    _check_percents(read)
    _check_breaker(read["deploymentCircuitBreaker"])
    return read


def _refuse_unbuilt(given: Mapping[str, Any]) -> None:
    if given.get("strategy", "ROLLING") != "ROLLING":
        raise InvalidParameterException(f"Deployment strategy {given['strategy']} is not supported by Berth: ROLLING.")
    for member in NOT_BUILT:
        if given.get(member):
            raise InvalidParameterException(f"deploymentConfiguration.{member} is not supported by Berth yet.")
    if (given.get("alarms") or {}).get("enable"):
        raise InvalidParameterException("deploymentConfiguration.alarms is not supported by Berth yet.")
    if (given.get("earlySuccessCriteria") or {}).get("enable"):
        raise InvalidParameterException("deploymentConfiguration.earlySuccessCriteria is not supported by Berth yet.")


def _check_percents(read: Mapping[str, Any]) -> None:
    least, most = read["minimumHealthyPercent"], read["maximumPercent"]
    if not 0 <= least <= 100:
        raise InvalidParameterException(f"minimumHealthyPercent must be between 0 and 100, not {least}.")
    if not 100 <= most <= LARGEST_PERCENT:
        raise InvalidParameterException(f"maximumPercent must be at least 100, not {most}.")
    if least == most == 100:
        raise InvalidParameterException(
            "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments."
        )


def _check_breaker(breaker: Mapping[str, Any]) -> None:
    threshold = breaker.get("thresholdConfiguration")
    if threshold and threshold["value"] < 1:
        raise InvalidParameterException("deploymentCircuitBreaker.thresholdConfiguration.value must be at least 1.")
