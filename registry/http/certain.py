"""What can be said at once of who asks: that a header was verified a moment ago, and that its owner certainly may.

Whatever is uncertain, and every refusal, goes the ordinary way, which is the one that explains.
"""

from datetime import datetime
from typing import NoReturn

from starlette.types import Scope

from kit.ids import Arns
from registry.access import Grant
from registry.policies import Asker, judge
from state.registry_account import PolicyTexts


def certainly_may(
    grant: Grant, action: str, repository: str, policies: PolicyTexts, scope: Scope, *, arns: Arns, now: datetime
) -> bool:
    """Whether the request's sender certainly may do this to a repository of which these policies speak."""
    client = scope.get("client")
    asker = Asker(
        principal_arn=grant.principal_arn,
        actions=grant.actions,
        source_ip=client[0] if client is not None else None,
        secure=scope["scheme"] == "https",
    )
    try:
        return judge(asker, action, repository, policies, arns=arns, now=now, tags=_not_known_here) is None
    except _Uncertain:
        return False


class _Uncertain(Exception):
    """A policy asks for what is not known here."""


def _not_known_here() -> NoReturn:
    raise _Uncertain
