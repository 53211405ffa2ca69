"""Sources: which upstream repository a repository's images are pulled from, as the pull-through rules have it."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from registry.prefixes import ROOT, prefixes_of
from registry.upstream import Address, read_address
from state.pull_through_rules import PullThroughRule, get_rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A repository of another registry, and under which ARN the credentials for it are."""

    address: Address
    repository: str
    credential_arn: str | None

    @property
    def scope(self) -> str:
        """What a token is asked for."""
        return f"repository:{self.repository}:pull"


def source_of(session: Session, name: str) -> Source | None:
    """Where the repository's images come from; None for one that is not a cache."""
    for prefix in prefixes_of(name):
        rule = get_rule(session, prefix)
        if rule is not None:
            return _source(rule, name)
    return None


def _source(rule: PullThroughRule, name: str) -> Source:
    address = read_address(rule.upstream_url)
    rest = name if rule.prefix == ROOT else name.removeprefix(f"{rule.prefix}/")
    before = rule.upstream_prefix if rule.upstream_prefix not in (None, ROOT) else None
    repository = rest if before is None else f"{before}/{rest}"
    if address.is_docker_hub and "/" not in repository:
        # As its own clients do.
        repository = f"library/{repository}"
    return Source(address=address, repository=repository, credential_arn=rule.credential_arn)
