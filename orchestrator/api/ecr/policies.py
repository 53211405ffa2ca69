"""Policies over the ECR API: who may do what to a repository, and to the registry as a whole."""

from collections.abc import Callable, Collection
from typing import Any

from kit.aws.errors import InvalidParameterException
from kit.aws.policies import BadPolicy, Policy
from orchestrator.api.ecr.access import asker_of
from orchestrator.api.ecr.errors import RegistryPolicyNotFoundException, RepositoryPolicyNotFoundException
from orchestrator.api.ecr.finding import find_named_repository
from orchestrator.api.ecr.wire import ecr
from orchestrator.call import Call
from registry.policies import locks_out, read_registry_policy, read_repository_policy
from state.registry_account import get_policy_texts, get_registry_account, lock_registry_account
from state.repositories import Repository, lock_repository


@ecr.operation("SetRepositoryPolicy")
def set_repository_policy(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Say who may do what to the repository; ``force`` also where the caller could not say it again."""
    lock_repository(call.session, request["repositoryName"])
    repository, text = find_named_repository(call, request), request["policyText"]
    checked_repository_policy(text)
    if not request.get("force") and locks_out(
        asker_of(call),
        text,
        repository.name,
        registry=get_policy_texts(call.session, None),
        arns=call.arns,
        now=call.now,
    ):
        raise InvalidParameterException(
            "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'The policy would keep you from setting "
            "another policy on this repository; give force to set it all the same'"
        )
    repository.policy = text
    return _answer(call, repository, text)


@ecr.operation("GetRepositoryPolicy")
def get_repository_policy(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """The repository's policy, as it was given."""
    repository = find_named_repository(call, request)
    return _answer(call, repository, _policy_of(call, repository))


@ecr.operation("DeleteRepositoryPolicy")
def delete_repository_policy(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Take the repository's policy away; answers what it was."""
    lock_repository(call.session, request["repositoryName"])
    repository = find_named_repository(call, request)
    text = _policy_of(call, repository)
    repository.policy = None
    return _answer(call, repository, text)


@ecr.operation("PutRegistryPolicy")
def put_registry_policy(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Say who may do what to the registry as a whole, in place of what was said before."""
    text = request["policyText"]
    _checked(read_registry_policy, text, "Invalid registry policy provided")
    lock_registry_account(call.session).policy = text
    return {"registryId": call.settings.account, "policyText": text}


@ecr.operation("GetRegistryPolicy")
def get_registry_policy(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """The registry's policy, as it was given."""
    return {"registryId": call.settings.account, "policyText": _registry_policy(call)}


@ecr.operation("DeleteRegistryPolicy")
def delete_registry_policy(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Take the registry's policy away; answers what it was."""
    account = lock_registry_account(call.session)
    text = _registry_policy(call)
    account.policy = None
    return {"registryId": call.settings.account, "policyText": text}


def checked_repository_policy(text: str) -> str:
    """The text itself; raises InvalidParameterException where it is no policy for a repository."""
    _checked(read_repository_policy, text, "Invalid repository policy provided")
    return text


def _checked(read: Callable[..., Policy], text: str, trouble: str) -> None:
    try:
        read(text, actions=_actions())
    except BadPolicy as error:
        raise InvalidParameterException(
            f"Invalid parameter at 'PolicyText' failed to satisfy constraint: '{trouble}: {error}'"
        ) from None


def _actions() -> Collection[str]:
    return tuple(ecr.model.operation_names)


def _policy_of(call: Call, repository: Repository) -> str:
    if repository.policy is None:
        raise RepositoryPolicyNotFoundException(
            f"Repository policy does not exist for the repository with name '{repository.name}' in the registry with "
            f"id '{call.settings.account}'"
        )
    return repository.policy


def _registry_policy(call: Call) -> str:
    text = get_registry_account(call.session).policy
    if text is None:
        raise RegistryPolicyNotFoundException(
            f"Registry policy does not exist in the registry with id '{call.settings.account}'"
        )
    return text


def _answer(call: Call, repository: Repository, text: str) -> dict[str, Any]:
    return {"registryId": call.settings.account, "repositoryName": repository.name, "policyText": text}
