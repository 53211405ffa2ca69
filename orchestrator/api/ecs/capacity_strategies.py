"""Capacity provider strategies: which providers Berth knows, and what a strategy of them may say."""

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.api.ecs.errors import InvalidParameterException

PROVIDERS = ("FARGATE", "FARGATE_SPOT")
MOST_IN_STRATEGY = 20


def check_providers(given: Sequence[str] | None) -> list[str]:
    """The named capacity providers, without repeats; raises InvalidParameterException for one that is not known."""
    for name in given or ():
        if name not in PROVIDERS:
            raise InvalidParameterException(
                f"The specified capacity provider '{name}' was not found. Berth provides {' and '.join(PROVIDERS)}."
            )
    return list(dict.fromkeys(given or ()))


def check_strategy(given: Sequence[Mapping[str, Any]] | None, providers: Sequence[str]) -> list[dict[str, Any]]:
    """The strategy with ``weight`` and ``base`` filled in; every provider must be one of the cluster's.

    Raises InvalidParameterException. Source: ECS API, CapacityProviderStrategyItem.
    """
    strategy = [
        {
            "capacityProvider": item["capacityProvider"],
            "weight": item.get("weight") or 0,
            "base": item.get("base") or 0,
        }
        for item in given or ()
    ]
    names = [item["capacityProvider"] for item in strategy]
    if len(strategy) > MOST_IN_STRATEGY:
        raise InvalidParameterException(
            f"The specified capacity provider strategy cannot contain more than {MOST_IN_STRATEGY} capacity providers."
        )
    if len(set(names)) != len(names):
        raise InvalidParameterException("The specified capacity provider strategy names a capacity provider twice.")
    if any(name not in providers for name in names):
        raise InvalidParameterException(
            "The specified capacity provider strategy cannot contain a capacity provider that is not associated with "
            "the cluster. Associate the capacity provider with the cluster and try again."
        )
    if sum(item["base"] > 0 for item in strategy) > 1:
        raise InvalidParameterException("Only one capacity provider in a strategy can have a base defined.")
    if len(strategy) > 1 and not any(item["weight"] for item in strategy):
        raise InvalidParameterException(
            "The specified capacity provider strategy must contain at least one capacity provider with a weight "
            "value greater than zero."
        )
    if len(strategy) == 1 and not strategy[0]["weight"]:
        # A strategy of one provider: its weight decides nothing, and ECS takes 1 where none was given.
        strategy[0]["weight"] = 1
    return strategy
