"""Resource policies: read from their JSON with precise refusals, and asked whether they allow or deny a request.

Pure: no store, no clock, no service's model. A policy says nothing (None) of what none of its statements is about;
a statement that denies wins over any that allows. Source: IAM User Guide, "IAM JSON policy elements reference" and
"Policy evaluation logic".
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from kit.aws.conditions import BadCondition, Holds, glob, read_condition

_ACCOUNT = re.compile(r"[0-9]{12}")
_IDENTITY = re.compile(
    r"arn:aws[a-z-]*:(?:iam::[0-9]{12}:(?:root|(?:user|role)/[\w+=,.@/-]+)"
    r"|sts::[0-9]{12}:(?:assumed-role/[\w+=,.@-]+/[\w+=,.@-]+|federated-user/[\w+=,.@-]+))"
)
_SERVICE = re.compile(r"[a-z0-9.-]+\.amazonaws\.com(?:\.cn)?")
_ELEMENTS = frozenset({"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource"})
_KEYS = frozenset(
    {
        "aws:principalarn",
        "aws:principalaccount",
        "aws:principaltype",
        "aws:principalisawsservice",
        "aws:username",
        "aws:sourceip",
        "aws:sourcearn",
        "aws:sourceaccount",
        "aws:currenttime",
        "aws:epochtime",
        "aws:securetransport",
        "aws:requestedregion",
        "aws:resourceaccount",
    }
)


class BadPolicy(ValueError):
    """The document is not a policy that can be kept; the message says why."""


class Verdict(Enum):
    """What a policy says of a request."""

    ALLOW = "allow"
    # It trusts the caller's account, whose own rules decide who of it may.
    DELEGATE = "delegate"
    DENY = "deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request, as conditions see it."""

    principal_arn: str
    action: str
    resource: str
    at: datetime
    region: str
    resource_account: str
    source_ip: str | None = None
    secure: bool = False
    # The name of an AWS service that asks for itself.
    service: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def account(self) -> str:
        return account_of(self.principal_arn)

    def value(self, key: str) -> str | None:
        """The request's value for a condition key (in lower case, but for the name of a tag)."""
        _, slash, tag = key.partition("/")
        if slash:
            return self.tags.get(tag)
        match key:
            case "aws:principalarn":
                return role_of(self.principal_arn) or self.principal_arn
            case "aws:principalaccount":
                return self.account
            case "aws:principaltype":
                return _type_of(self.principal_arn)
            case "aws:principalisawsservice":
                return str(self.service is not None).lower()
            case "aws:username":
                return self.principal_arn.rpartition("/")[2] if ":user/" in self.principal_arn else None
            case "aws:sourceip":
                return self.source_ip
            case "aws:currenttime":
                return self.at.isoformat()
            case "aws:epochtime":
                return str(int(self.at.timestamp()))
            case "aws:securetransport":
                return str(self.secure).lower()
            case "aws:requestedregion":
                return self.region
            case "aws:resourceaccount":
                return self.resource_account
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement, ready to be asked. An empty ``resources`` is about every resource."""

    denies: bool
    principals: tuple[str, ...]
    services: tuple[str, ...]
    but_principals: bool
    actions: tuple[re.Pattern[str], ...]
    but_actions: bool
    resources: tuple[re.Pattern[str], ...]
    but_resources: bool
    conditions: tuple[tuple[str, Holds], ...]

    def verdict(self, asked: Asked) -> Verdict | None:
        if any(each.fullmatch(asked.action) for each in self.actions) is self.but_actions:
            return None
        if self.resources and any(each.fullmatch(asked.resource) for each in self.resources) is self.but_resources:
            return None
        named = self._named(asked)
        if (named is not None) is self.but_principals:
            return None
        if not all(holds(asked.value(key)) for key, holds in self.conditions):
            return None
        return Verdict.DENY if self.denies else named

    def _named(self, asked: Asked) -> Verdict | None:
        """Whether the statement names the caller (ALLOW), the caller's account (DELEGATE) or neither."""
        if asked.service is not None:
            return Verdict.ALLOW if "*" in self.principals or asked.service in self.services else None
        arn, account = asked.principal_arn, asked.account
        if "*" in self.principals or arn in self.principals:
            return Verdict.ALLOW
        role = role_of(arn)
        if role is not None and any(_is_role(named, role) for named in self.principals):
            return Verdict.ALLOW
        root = f"arn:aws:iam::{account}:root"
        if account in self.principals or root in self.principals:
            return Verdict.ALLOW if arn == root else Verdict.DELEGATE
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A policy document, ready to be asked."""

    statements: tuple[Statement, ...]

    def verdict(self, asked: Asked) -> Verdict | None:
        """What the policy says; None where it says nothing."""
        found: Verdict | None = None
        for statement in self.statements:
            said = statement.verdict(asked)
            if said is Verdict.DENY:
                return said
            if said is Verdict.ALLOW or found is None:
                found = said or found
        return found

    @property
    def knows_tags(self) -> bool:
        """Whether an answer may depend on the resource's tags."""
        return any("/" in key for statement in self.statements for key, _ in statement.conditions)


def account_of(principal_arn: str) -> str:
    """The account in a principal's ARN, or nothing."""
    parts = principal_arn.split(":", 5)
    return parts[4] if len(parts) == 6 else ""


def role_of(principal_arn: str) -> str | None:
    """The ARN of the role, without its path, of which the principal is a session; None for other principals."""
    _, assumed, rest = principal_arn.partition(":assumed-role/")
    role = rest.partition("/")[0]
    return f"arn:aws:iam::{account_of(principal_arn)}:role/{role}" if assumed and role else None


def read_policy(
    text: str, *, service: str, actions: Collection[str] | None = None, needs_resource: bool = False
) -> Policy:
    """The policy of a JSON document; raises BadPolicy.

    Actions must be ``service``'s; with ``actions`` given (their names), each pattern must cover one of them at least.
    """
    try:
        document = json.loads(text, object_pairs_hook=_unique)
    except RecursionError:
        raise BadPolicy("the document is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise BadPolicy(f"the document is not JSON: {error.msg} at character {error.pos}") from None
    except BadPolicy:
        raise
    except ValueError:
        # A number of more digits than any number needs.
        raise BadPolicy("the document has a number that cannot be read") from None
    if not isinstance(document, dict):
        raise BadPolicy("the document must be a JSON object")
    _only(document, {"Version", "Id", "Statement"}, "the document")
    if document.get("Version", "2008-10-17") not in ("2008-10-17", "2012-10-17"):
        raise BadPolicy("Version must be 2012-10-17 or 2008-10-17")
    if not isinstance(document.get("Id", ""), str):
        raise BadPolicy("Id must be a string")
    if "Statement" not in document:
        raise BadPolicy("the document has no Statement")
    said = document["Statement"]
    statements = said if isinstance(said, list) else [said]
    if not statements:
        raise BadPolicy("Statement is empty")
    names = [each["Sid"] for each in statements if isinstance(each, dict) and "Sid" in each]
    for name in names:
        if not isinstance(name, str):
            raise BadPolicy("Sid must be a string")
        if name and names.count(name) > 1:
            raise BadPolicy(f"the Sid '{name[:80]}' is there twice")
    reader = _Reader(service, actions, needs_resource)
    return Policy(statements=tuple(reader.statement(each, place) for place, each in enumerate(statements, start=1)))


class _Reader:
    """Reads statements of one service's policies."""

    def __init__(self, service: str, actions: Collection[str] | None, needs_resource: bool) -> None:
        self._service = service
        self._known = None if actions is None else [f"{service}:{name}" for name in actions]
        self._needs_resource = needs_resource

    def statement(self, said: Any, place: int) -> Statement:
        where = f"statement {place}"
        if not isinstance(said, dict):
            raise BadPolicy(f"{where} is not a JSON object")
        _only(said, {*_ELEMENTS, "Condition"}, where)
        if said.get("Effect") not in ("Allow", "Deny"):
            raise BadPolicy(f"Effect of {where} must be Allow or Deny")
        denies = said["Effect"] == "Deny"
        principal, but_principals = _either(said, "Principal", where)
        if but_principals and not denies:
            raise BadPolicy(f"NotPrincipal of {where} goes with the Effect Deny alone")
        principals, services = _principals(principal, where)
        action, but_actions = _either(said, "Action", where)
        resources: Sequence[str] = ()
        but_resources = "NotResource" in said
        if self._needs_resource or "Resource" in said or but_resources:
            resource, but_resources = _either(said, "Resource", where)
            resources = [self._resource(each, where) for each in _texts(resource, f"Resource of {where}")]
        return Statement(
            denies=denies,
            principals=principals,
            services=services,
            but_principals=but_principals,
            actions=tuple(self._action(each, where) for each in _texts(action, f"Action of {where}")),
            but_actions=but_actions,
            resources=tuple(glob(each) for each in resources),
            but_resources=but_resources,
            conditions=self._conditions(said.get("Condition", {}), where),
        )

    def _action(self, text: str, where: str) -> re.Pattern[str]:
        pattern = glob(text, ignore_case=True)
        if text == "*":
            return pattern
        service, colon, _ = text.partition(":")
        if not colon or service.lower() != self._service:
            raise BadPolicy(f"the action '{text[:80]}' of {where} must be '{self._service}:' and a name, or '*'")
        if self._known is not None and not any(pattern.fullmatch(name) for name in self._known):
            raise BadPolicy(f"there is no action '{text[:80]}', which {where} names")
        return pattern

    def _resource(self, text: str, where: str) -> str:
        if text != "*" and (text.count(":") < 5 or not text.startswith("arn:")):
            raise BadPolicy(f"the resource '{text[:200]}' of {where} must be an ARN or '*'")
        return _plain(text, where)

    def _conditions(self, said: Any, where: str) -> tuple[tuple[str, Holds], ...]:
        if not isinstance(said, dict):
            raise BadPolicy(f"Condition of {where} is not a JSON object")
        found: list[tuple[str, Holds]] = []
        for name, keys in said.items():
            if not isinstance(keys, dict) or not keys:
                raise BadPolicy(f"the condition {name[:80]} of {where} must be a JSON object of keys and values")
            for key, value in keys.items():
                values = value if isinstance(value, list) else [value]
                for each in values:
                    _plain(each if isinstance(each, str) else "", where)
                try:
                    found.append((self._key(key, where), read_condition(name, values)))
                except BadCondition as error:
                    raise BadPolicy(f"{error} (Condition of {where})") from None
        return tuple(found)

    def _key(self, text: str, where: str) -> str:
        name, slash, tag = text.partition("/")
        if slash and tag and name.lower() in ("aws:resourcetag", f"{self._service}:resourcetag"):
            return f"{name.lower()}/{tag}"
        if text.lower() not in _KEYS:
            raise BadPolicy(f"the condition key '{text[:80]}' of {where} is not known here")
        return text.lower()


def _principals(said: Any, where: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The identities and the services that a statement names; ``*`` is everyone."""
    if said == "*":
        return ("*",), ()
    if not isinstance(said, dict) or not said:
        raise BadPolicy(f"Principal of {where} must be '*', or a JSON object with AWS or Service")
    _only(said, {"AWS", "Service"}, f"Principal of {where}")
    identities = _texts(said["AWS"], f"Principal of {where}") if "AWS" in said else []
    services = _texts(said["Service"], f"Principal of {where}") if "Service" in said else []
    for each in identities:
        if each != "*" and not _ACCOUNT.fullmatch(each) and not _IDENTITY.fullmatch(each):
            raise BadPolicy(
                f"the principal '{each[:200]}' of {where} must be an account's id, the ARN of an identity, or '*'"
            )
    for each in services:
        if not _SERVICE.fullmatch(each):
            raise BadPolicy(f"the service '{each[:200]}' of {where} must be like 'inspector2.amazonaws.com'")
    return tuple(identities), tuple(services)


def _either(said: Mapping[str, Any], name: str, where: str) -> tuple[Any, bool]:
    """The element or its opposite, of which there must be one alone."""
    if (name in said) == (f"Not{name}" in said):
        raise BadPolicy(f"{where} must have one of {name} and Not{name}")
    return (said[name], False) if name in said else (said[f"Not{name}"], True)


def _texts(said: Any, what: str) -> list[str]:
    found = said if isinstance(said, list) else [said]
    if not found or not all(isinstance(each, str) and each for each in found):
        raise BadPolicy(f"{what} must be a string or a list of strings, and not empty")
    return found


def _plain(text: str, where: str) -> str:
    if "${" in text:
        raise BadPolicy(f"{where} has a policy variable, '${{'; they are not replaced here")
    return text


def _only(said: Mapping[str, Any], known: Collection[str], where: str) -> None:
    for name in said:
        if name not in known:
            raise BadPolicy(f"{where} has an element '{name[:80]}', which is not known")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadPolicy("the document has an element twice")
    return found


def _is_role(named: str, role: str) -> bool:
    """Whether a principal of a policy is the role, whatever its path: a session's ARN does not tell it."""
    head, mark, name = named.partition(":role/")
    return bool(mark) and f"{head}{mark}{name.rpartition('/')[2]}" == role


def _type_of(principal_arn: str) -> str:
    if principal_arn.endswith(":root"):
        return "Account"
    return "AssumedRole" if ":assumed-role/" in principal_arn else "User"
