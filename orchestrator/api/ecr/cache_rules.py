"""Pull-through cache rules over the ECR API. Any registry can be an upstream, not AWS's list of them alone."""

from typing import Any

from kit.aws.errors import InvalidParameterException
from kit.aws.paging import encode_token, scope_of
from orchestrator.api.ecr.errors import (
    LimitExceededException,
    PullThroughCacheRuleAlreadyExistsException,
    PullThroughCacheRuleNotFoundException,
    SecretNotFoundException,
    UnableToDecryptSecretValueException,
    UnsupportedUpstreamRegistryException,
)
from orchestrator.api.ecr.finding import check_registry, page_start
from orchestrator.api.ecr.wire import ecr
from orchestrator.call import Call
from orchestrator.errand import Errand
from registry.cache.upstreams import PROBED_WITHIN, connect, name_of, probe
from registry.credentials import NoCredentials, SealedElsewhere, open_login
from registry.prefixes import ROOT, bare
from registry.upstream import Address, BadAddress, Login, UpstreamError, read_address
from state.pull_through_rules import PullThroughRule, count_rules, get_rule, list_rules

_PAGE = 100
# ECR's quota.
_MOST = 50
WAKE = "pull_through_rules"


@ecr.operation("CreatePullThroughCacheRule")
def create_pull_through_cache_rule(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """From now on names beneath the prefix are pulled from the upstream registry."""
    check_registry(call, request)
    prefix, url = bare(request["ecrRepositoryPrefix"]), request["upstreamRegistryUrl"]
    address = _address(call, url)
    known = name_of(address)
    if request.get("upstreamRegistry") not in (None, known):
        raise InvalidParameterException(
            f"Invalid parameter at 'upstreamRegistry' failed to satisfy constraint: '{url}' is not "
            f"'{request['upstreamRegistry']}'"
        )
    upstream_prefix = bare(request.get("upstreamRepositoryPrefix") or ROOT)
    if prefix == ROOT and upstream_prefix != ROOT:
        raise InvalidParameterException(
            "Invalid parameter at 'upstreamRepositoryPrefix' failed to satisfy constraint: it can be set only where "
            "'ecrRepositoryPrefix' is not ROOT"
        )
    if get_rule(call.session, prefix) is not None:
        raise PullThroughCacheRuleAlreadyExistsException(
            f"A pull through cache rule with the repository prefix '{prefix}' already exists in the registry with id "
            f"'{call.settings.account}'"
        )
    if count_rules(call.session) >= _MOST:
        raise LimitExceededException(f"A registry has {_MOST} pull through cache rules at most.")
    _login(call, request.get("credentialArn"))
    rule = PullThroughRule(
        prefix=prefix,
        upstream_url=url,
        upstream_registry=known,
        upstream_prefix=upstream_prefix,
        credential_arn=request.get("credentialArn"),
        custom_role_arn=request.get("customRoleArn"),
        created_at=call.now,
        updated_at=call.now,
    )
    call.session.add(rule)
    call.session.wake(WAKE)
    return _render(call, rule, "upstreamRegistryUrl", "upstreamRegistry", "createdAt")


@ecr.operation("UpdatePullThroughCacheRule")
def update_pull_through_cache_rule(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Give the rule other credentials."""
    rule = _find(call, request)
    if request.get("credentialArn") is not None:
        _login(call, request["credentialArn"])
        rule.credential_arn = request["credentialArn"]
    if request.get("customRoleArn") is not None:
        rule.custom_role_arn = request["customRoleArn"]
    rule.updated_at = call.now
    call.session.wake(WAKE)
    return _render(call, rule, "updatedAt")


@ecr.operation("DeletePullThroughCacheRule")
def delete_pull_through_cache_rule(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Nothing more is pulled from the upstream. What was stays, in repositories like any other."""
    rule = _find(call, request)
    call.session.delete(rule)
    call.session.wake(WAKE)
    return _render(call, rule, "upstreamRegistryUrl", "createdAt")


@ecr.operation("DescribePullThroughCacheRules")
def describe_pull_through_cache_rules(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """The rules named, or all of them by prefix, a page at a time."""
    members = ("upstreamRegistryUrl", "upstreamRegistry", "createdAt", "updatedAt")
    check_registry(call, request)
    prefixes, token = request.get("ecrRepositoryPrefixes"), request.get("nextToken")
    if prefixes:
        if token or request.get("maxResults"):
            raise InvalidParameterException(
                "Invalid parameter: nextToken and maxResults cannot be given together with ecrRepositoryPrefixes"
            )
        found = [_find(call, {"ecrRepositoryPrefix": prefix}) for prefix in dict.fromkeys(prefixes)]
        return {"pullThroughCacheRules": [_render(call, rule, *members) for rule in found]}
    scope, limit = scope_of("DescribePullThroughCacheRules"), request.get("maxResults") or _PAGE
    page = list_rules(call.session, after=page_start(token, scope), limit=limit + 1)
    answer: dict[str, Any] = {"pullThroughCacheRules": [_render(call, rule, *members) for rule in page[:limit]]}
    if len(page) > limit:
        answer["nextToken"] = encode_token(page[limit - 1].prefix, scope=scope)
    return answer


@ecr.operation("ValidatePullThroughCacheRule", outside=True)
def validate_pull_through_cache_rule(errand: Errand, request: dict[str, Any]) -> dict[str, Any]:
    """Ask the upstream whether it lets us in; ``failure`` tells why not."""

    def look(call: Call) -> tuple[dict[str, Any], Address, Login | None, str | None]:
        rule = _find(call, request)
        answer = _render(call, rule, "upstreamRegistryUrl")
        try:
            login, failure = _login(call, rule.credential_arn), None
        except (SecretNotFoundException, UnableToDecryptSecretValueException) as error:
            login, failure = None, error.message
        return answer, read_address(rule.upstream_url), login, failure

    answer, address, login, failure = errand.read(look)
    if failure is None:
        connection = connect(address, login, clock=errand.tools.clock, silent_at_most=PROBED_WITHIN)
        try:
            probe(connection)
        except UpstreamError as error:
            failure = str(error)
        finally:
            connection.close()
    return {**answer, "isValid": failure is None, **({} if failure is None else {"failure": failure})}


def _find(call: Call, request: dict[str, Any]) -> PullThroughRule:
    check_registry(call, request)
    prefix = bare(request["ecrRepositoryPrefix"])
    rule = get_rule(call.session, prefix)
    if rule is None:
        raise PullThroughCacheRuleNotFoundException(
            f"The pull through cache rule with the repository prefix '{prefix}' was not found in the registry with id "
            f"'{call.settings.account}'"
        )
    return rule


def _address(call: Call, url: str) -> Address:
    try:
        address = read_address(url)
    except BadAddress as error:
        raise UnsupportedUpstreamRegistryException(f"The upstream registry is not supported: {error}") from None
    if len(url) > 512 or not url.isprintable():
        raise UnsupportedUpstreamRegistryException
    if f"{address.host}:{address.port}" == call.settings.registry:
        raise UnsupportedUpstreamRegistryException("A registry cannot be its own upstream.")
    return address


def _login(call: Call, arn: str | None) -> Login | None:
    """The credentials under the ARN, to know that they are there and can be opened."""
    if arn is None:
        return None
    try:
        return open_login(call.session, call.secrets, arn)
    except NoCredentials:
        raise SecretNotFoundException(
            f"There are no credentials '{arn}'; hand them over with 'berth registry credentials set'."
        ) from None
    except SealedElsewhere:
        raise UnableToDecryptSecretValueException from None


def _render(call: Call, rule: PullThroughRule, *members: str) -> dict[str, Any]:
    """What every answer tells, and the ``members`` that this one tells besides."""
    further = {
        "upstreamRegistryUrl": rule.upstream_url,
        "upstreamRegistry": rule.upstream_registry,
        "createdAt": rule.created_at,
        "updatedAt": rule.updated_at,
    }
    found = {
        "ecrRepositoryPrefix": rule.prefix,
        "registryId": call.settings.account,
        "credentialArn": rule.credential_arn,
        "customRoleArn": rule.custom_role_arn,
        "upstreamRepositoryPrefix": rule.upstream_prefix,
        **{member: further[member] for member in members},
    }
    return {member: value for member, value in found.items() if value is not None}
