"""The judgement of a request: identity and policies together, within the account and from another one."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from kit.ids import Arns
from registry.policies import CREATE, IMPORT, REPLICATE, Asker, judge
from state.registry_account import PolicyTexts

ARNS = Arns()
NOW = datetime(2026, 7, 1, tzinfo=UTC)
PULL = "ecr:BatchGetImage"
HERE, ELSEWHERE = "arn:aws:iam::123456789012:user/ann", "arn:aws:iam::210987654321:user/ann"


def text(effect: str, principal: Any, action: str = "ecr:*", **more: Any) -> str:
    return json.dumps({"Statement": {"Effect": effect, "Principal": principal, "Action": action, **more}})


def is_let_in(arn: str, *may: str, action: str = PULL, **texts: Any) -> bool:
    asker = Asker(principal_arn=arn, actions=may)
    return judge(asker, action, "web", PolicyTexts(**texts), arns=ARNS, now=NOW) is None


OPEN, CLOSED = text("Allow", "*"), text("Deny", "*")
TRUSTING = text("Allow", {"AWS": ["123456789012", "210987654321"]})


@pytest.mark.parametrize(
    ("arn", "may", "policy", "expected"),
    [
        (HERE, ("ecr:*",), None, True),
        (HERE, (), None, False),
        (HERE, (), OPEN, True),
        (HERE, (), TRUSTING, False),
        (HERE, ("ecr:*",), TRUSTING, True),
        (HERE, ("*",), CLOSED, False),
        (HERE, ("ecr:*",), text("Allow", "*", "ecr:PutImage"), True),
        (ELSEWHERE, ("*",), None, False),
        (ELSEWHERE, (), OPEN, False),
        (ELSEWHERE, ("ecr:*",), OPEN, True),
        (ELSEWHERE, ("ecr:*",), TRUSTING, True),
        (ELSEWHERE, (), TRUSTING, False),
        (ELSEWHERE, ("*",), CLOSED, False),
        ("nonsense", ("*",), None, False),
    ],
)
def test_identity_and_policy_meet(arn: str, may: tuple[str, ...], policy: str | None, expected: bool) -> None:
    assert is_let_in(arn, *may, repository=policy) is expected


@pytest.mark.parametrize("action", [CREATE, IMPORT, REPLICATE])
def test_the_registry_policy_always_speaks_of_three_actions(action: str) -> None:
    assert is_let_in(HERE, action=action, registry=text("Allow", "*", action, Resource="*"))
    assert not is_let_in(HERE, "*", action=action, registry=text("Deny", "*", action, Resource="*"))


def test_the_registry_policy_speaks_of_others_in_its_second_scope_alone() -> None:
    opened, closed = text("Allow", "*", Resource="*"), text("Deny", "*", Resource="*")
    assert not is_let_in(HERE, registry=opened)
    assert is_let_in(HERE, "*", registry=closed)
    assert is_let_in(HERE, registry=opened, scope="V2")
    assert not is_let_in(HERE, "*", registry=closed, scope="V2")
    # Whichever of the two denies, denies.
    assert not is_let_in(HERE, "*", registry=closed, repository=OPEN, scope="V2")
    assert not is_let_in(HERE, "*", registry=opened, repository=CLOSED, scope="V2")


@pytest.mark.parametrize("action", ["ecr:SetRepositoryPolicy", "ecr:DeleteRepositoryPolicy", "ecr:PutRegistryPolicy"])
def test_root_can_always_change_a_policy(action: str) -> None:
    root = "arn:aws:iam::123456789012:root"
    assert is_let_in(root, "*", action=action, repository=CLOSED)
    assert not is_let_in(root, "ecs:*", action=action, repository=CLOSED)
    assert not is_let_in(root, "*", repository=CLOSED)
    assert not is_let_in("arn:aws:iam::210987654321:root", "*", action=action, repository=OPEN.replace("ecr:*", PULL))
