"""Who may do what to which repository: one judgement for ``/v2`` and for the ECR API.

A policy's explicit denial wins. Else, within the account, what the identity may or what a policy allows is enough;
for another account's identity both are needed. The registry policy speaks of three actions, and of all of them
once the account has chosen the scope V2. The root's own key can always read and change policies, or a policy
that denies everything to everyone would stay for ever.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from sqlalchemy.orm import Session

from kit.aws.access import allows
from kit.aws.policies import Asked, Policy, Verdict, account_of, read_policy
from kit.ids import Arns
from registry.errors import Denied
from registry.names import is_name
from state.registry_account import PolicyTexts, get_policy_texts
from state.repositories import Repository, get_repository, list_repository_policies

# Actions that are no operations of the API: others ask for them in a client's stead.
REPLICATE, IMPORT, CREATE = "ecr:ReplicateImage", "ecr:BatchImportUpstreamImage", "ecr:CreateRepository"
EVERY = "*"
PULL_LAYER = "ecr:GetDownloadUrlForLayer"
_SCOPE_V1 = frozenset({REPLICATE, IMPORT, CREATE})
_POLICY_ACTIONS = frozenset(
    f"ecr:{verb}{kind}Policy"
    for verb, kind in (
        *((verb, "Repository") for verb in ("Get", "Set", "Delete")),
        *((verb, "Registry") for verb in ("Get", "Put", "Delete")),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks: ``actions`` are the globs of what the identity itself may."""

    principal_arn: str
    actions: tuple[str, ...]
    source_ip: str | None = None
    secure: bool = False


def read_repository_policy(text: str, *, actions: Collection[str]) -> Policy:
    """The policy; ``actions`` are the names of the API's. Raises BadPolicy."""
    return read_policy(text, service="ecr", actions=_known(actions))


def read_registry_policy(text: str, *, actions: Collection[str]) -> Policy:
    """The policy, whose statements must name resources. Raises BadPolicy."""
    return read_policy(text, service="ecr", actions=_known(actions), needs_resource=True)


def check(session: Session, asker: Asker, action: str, repository: str | None, *, arns: Arns, now: datetime) -> None:
    """Raise Denied unless the asker may; ``repository`` need not exist, None is the registry as a whole."""
    trouble = refusal(session, asker, action, repository, arns=arns, now=now)
    if trouble is not None:
        raise Denied(trouble)


def may(session: Session, asker: Asker, action: str, repository: str | None, *, arns: Arns, now: datetime) -> bool:
    """Whether the asker may."""
    return refusal(session, asker, action, repository, arns=arns, now=now) is None


def refusal(
    session: Session, asker: Asker, action: str, repository: str | None, *, arns: Arns, now: datetime
) -> str | None:
    """Why the asker may not, in AWS's words; None when it may."""
    # Only what can be a name is looked up, and can have a policy.
    name = repository if repository is not None and is_name(repository) else None
    texts = get_policy_texts(session, name)

    def tags() -> Mapping[str, str]:
        return _tags_of(get_repository(session, name) if name is not None else None)

    return judge(asker, action, repository, texts, arns=arns, now=now, tags=tags)


def list_allowed(
    session: Session, asker: Asker, action: str, *, arns: Arns, now: datetime, after: str | None, limit: int
) -> list[str]:
    """At most ``limit`` names of repositories beyond ``after``, in order: of those to which the asker may do this.

    Whether the asker may do it to ``EVERY`` repository is asked before; here policies are that deny it for some.
    """
    registry, found = get_policy_texts(session, None), list[str]()
    while len(found) < limit:
        page = list_repository_policies(session, after=after, limit=limit)
        for name, policy in page:
            texts = PolicyTexts(repository=policy, registry=registry.registry, scope=registry.scope)

            def tags(name: str = name) -> Mapping[str, str]:
                return _tags_of(get_repository(session, name))

            if judge(asker, action, name, texts, arns=arns, now=now, tags=tags) is None:
                found.append(name)
        if len(page) < limit:
            break
        after = page[-1].name
    return found[:limit]


def judge(
    asker: Asker,
    action: str,
    repository: str | None,
    texts: PolicyTexts,
    *,
    arns: Arns,
    now: datetime,
    tags: Callable[[], Mapping[str, str]] = dict,
    root_right: bool = True,
) -> str | None:
    """Why the asker may not, given the policies; None when it may. Pure, and cheap where there is no policy."""
    own = allows(asker.actions, action)
    registry = texts.registry if texts.scope == "V2" or action in _SCOPE_V1 else None
    # Within the account, and with nothing that could deny, the identity's own right is all there is to know.
    if own and texts.repository is None and registry is None and account_of(asker.principal_arn) == arns.account:
        return None
    resource = "*" if repository is None else arns.of("ecr", f"repository/{repository}")
    said = f"User: {asker.principal_arn} is not authorized to perform: {action} on resource: {resource}"
    if root_right and action in _POLICY_ACTIONS and asker.principal_arn == f"arn:aws:iam::{arns.account}:root":
        return None if own else said
    policies = [_compiled(text) for text in (texts.repository, registry) if text is not None]
    asked = Asked(
        principal_arn=asker.principal_arn,
        action=action,
        resource=resource,
        at=now,
        region=arns.region,
        resource_account=arns.account,
        source_ip=asker.source_ip,
        secure=asker.secure,
        tags=tags() if any(policy.knows_tags for policy in policies) else {},
    )
    verdicts = {policy.verdict(asked) for policy in policies}
    if Verdict.DENY in verdicts:
        return f"{said} with an explicit deny in a resource-based policy"
    if asked.account == arns.account:
        if own or Verdict.ALLOW in verdicts:
            return None
        return f"{said} because no identity-based policy allows the {action} action"
    if not own:
        return f"{said} because no identity-based policy allows the {action} action"
    if Verdict.ALLOW in verdicts or Verdict.DELEGATE in verdicts:
        return None
    return f"{said} because no resource-based policy allows the {action} action"


def locks_out(asker: Asker, text: str, repository: str, *, registry: PolicyTexts, arns: Arns, now: datetime) -> bool:
    """Whether with this policy the asker could not set the repository's policy again, but for root's own right."""
    texts = PolicyTexts(repository=text, registry=registry.registry, scope=registry.scope)
    action = "ecr:SetRepositoryPolicy"
    return judge(asker, action, repository, texts, arns=arns, now=now, root_right=False) is not None


def _tags_of(repository: Repository | None) -> Mapping[str, str]:
    return {} if repository is None else {str(tag["Key"]): str(tag.get("Value", "")) for tag in repository.tags}


def _known(actions: Collection[str]) -> frozenset[str]:
    return frozenset({*actions, *(action.removeprefix("ecr:") for action in _SCOPE_V1)})


@lru_cache(maxsize=1024)
def _compiled(text: str) -> Policy:
    """The policy of a text that was read before it was kept."""
    return read_policy(text, service="ecr")
