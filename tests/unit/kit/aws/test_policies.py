"""Resource policies: what is refused, and what allows or denies."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from kit.aws.conditions import glob
from kit.aws.policies import Asked, BadPolicy, Verdict, read_policy

ACCOUNT = "123456789012"
USER = f"arn:aws:iam::{ACCOUNT}:user/ann"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/run-1"
REPOSITORY = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/team/web"
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
ALLOW, DENY, DELEGATE = Verdict.ALLOW, Verdict.DENY, Verdict.DELEGATE


def statement(**elements: Any) -> dict[str, Any]:
    said = {"Effect": "Allow", "Principal": "*", "Action": "ecr:*", **elements}
    return {name: value for name, value in said.items() if value is not None}


def verdict(*statements: dict[str, Any], **asked: Any) -> Verdict | None:
    given = {
        "principal_arn": USER,
        "action": "ecr:BatchGetImage",
        "resource": REPOSITORY,
        "at": NOW,
        "region": "us-east-1",
        "resource_account": ACCOUNT,
        "source_ip": "10.0.0.7",
        "secure": True,
        "tags": {"team": "blue"},
        **asked,
    }
    text = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    return read_policy(text, service="ecr").verdict(Asked(**given))


@pytest.mark.parametrize(
    ("principal", "asking", "expected"),
    [
        ("*", USER, ALLOW),
        ({"AWS": "*"}, USER, ALLOW),
        ({"AWS": USER}, USER, ALLOW),
        ({"AWS": [ROOT, USER]}, USER, ALLOW),
        ({"AWS": f"{USER}y"}, USER, None),
        # An account is trusted to know who of it may.
        ({"AWS": ACCOUNT}, USER, DELEGATE),
        ({"AWS": ROOT}, USER, DELEGATE),
        ({"AWS": ROOT}, ROOT, ALLOW),
        ({"AWS": ACCOUNT}, ROOT, ALLOW),
        ({"AWS": "210987654321"}, USER, None),
        ({"AWS": f"arn:aws:iam::{ACCOUNT}:role/deploy"}, SESSION, ALLOW),
        ({"AWS": f"arn:aws:iam::{ACCOUNT}:role/some/path/deploy"}, SESSION, ALLOW),
        ({"AWS": f"arn:aws:iam::{ACCOUNT}:role/deployer"}, SESSION, None),
        ({"AWS": SESSION}, SESSION, ALLOW),
        ({"AWS": f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/run-2"}, SESSION, None),
        ({"Service": "inspector2.amazonaws.com"}, USER, None),
    ],
)
def test_a_principal_is_named_in_many_ways(principal: Any, asking: str, expected: Verdict | None) -> None:
    assert verdict(statement(Principal=principal), principal_arn=asking) is expected


def test_a_service_is_no_identity() -> None:
    named = statement(Principal={"Service": "inspector2.amazonaws.com"})
    assert verdict(named, service="inspector2.amazonaws.com") is ALLOW
    assert verdict(named, service="other.amazonaws.com") is None
    assert verdict(statement(Principal={"AWS": USER}), service="inspector2.amazonaws.com") is None


@pytest.mark.parametrize(("asking", "expected"), [(USER, None), (SESSION, DENY), (ROOT, DENY)])
def test_everyone_but_somebody_is_denied(asking: str, expected: Verdict | None) -> None:
    but = statement(Effect="Deny", Principal=None, NotPrincipal={"AWS": USER})
    assert verdict(but, principal_arn=asking) is expected


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"Action": "*"}, ALLOW),
        ({"Action": "ecr:BatchGetImage"}, ALLOW),
        ({"Action": "ECR:batchgetimage"}, ALLOW),
        ({"Action": ["ecr:PutImage", "ecr:Batch*"]}, ALLOW),
        ({"Action": "ecr:BatchGetImag?"}, ALLOW),
        ({"Action": "ecr:PutImage"}, None),
        ({"Action": None, "NotAction": "ecr:PutImage"}, ALLOW),
        ({"Action": None, "NotAction": "ecr:Batch*"}, None),
        ({"Resource": "*"}, ALLOW),
        ({"Resource": f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/team/*"}, ALLOW),
        ({"Resource": [f"arn:aws:ecr:*:{ACCOUNT}:repository/other", REPOSITORY]}, ALLOW),
        ({"Resource": f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/team"}, None),
        ({"NotResource": f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/team/*"}, None),
        ({"NotResource": f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/other/*"}, ALLOW),
    ],
)
def test_a_statement_is_about_actions_and_resources(elements: Any, expected: Verdict | None) -> None:
    assert verdict(statement(**elements)) is expected


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"StringEquals": {"aws:PrincipalAccount": ACCOUNT}}, True),
        ({"StringEquals": {"aws:principalaccount": ["210987654321", ACCOUNT]}}, True),
        ({"StringNotEquals": {"aws:PrincipalAccount": ["210987654321", ACCOUNT]}}, False),
        ({"StringEqualsIgnoreCase": {"aws:PrincipalType": "USER"}}, True),
        ({"StringLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/a?n"}}, True),
        ({"StringNotLike": {"aws:username": "b*"}}, True),
        ({"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:user/*"}}, True),
        ({"ArnLike": {"aws:PrincipalArn": "arn:*:user/ann:x:y:z"}}, False),
        ({"ArnNotEquals": {"aws:PrincipalArn": USER}}, False),
        ({"Bool": {"aws:SecureTransport": True}}, True),
        ({"Bool": {"aws:SecureTransport": "false"}}, False),
        ({"IpAddress": {"aws:SourceIp": ["192.168.0.0/16", "10.0.0.0/8"]}}, True),
        ({"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, False),
        ({"IpAddress": {"aws:SourceIp": "2001:db8::/32"}}, False),
        ({"DateLessThan": {"aws:CurrentTime": "2026-07-01T12:00:01Z"}}, True),
        ({"DateGreaterThan": {"aws:CurrentTime": "2026-07-01T12:00:00+00:00"}}, False),
        ({"DateGreaterThanEquals": {"aws:EpochTime": "2026-07-01"}}, True),
        ({"NumericLessThan": {"aws:EpochTime": 10}}, False),
        ({"StringEquals": {"ecr:ResourceTag/team": "blue"}}, True),
        ({"StringEquals": {"aws:ResourceTag/Team": "blue"}}, False),
        # What the request has no value for is no value, also not a wrong one.
        ({"StringEquals": {"aws:SourceArn": "x"}}, False),
        ({"StringNotEquals": {"aws:SourceArn": "x"}}, True),
        ({"StringEqualsIfExists": {"aws:SourceArn": "x"}}, True),
        ({"ForAnyValue:StringNotEquals": {"aws:SourceArn": "x"}}, False),
        ({"ForAllValues:StringEquals": {"aws:SourceArn": "x"}}, True),
        ({"Null": {"aws:SourceArn": "true"}}, True),
        ({"Null": {"aws:SourceIp": True}}, False),
        # All of them must hold.
        ({"Bool": {"aws:SecureTransport": True}, "StringEquals": {"aws:RequestedRegion": "eu-west-1"}}, False),
        ({"StringEquals": {"aws:RequestedRegion": "us-east-1", "aws:username": "bob"}}, False),
    ],
)
def test_conditions_look_at_the_request(condition: Any, holds: bool) -> None:
    assert verdict(statement(Condition=condition)) is (ALLOW if holds else None)


def test_a_role_session_has_the_roles_arn() -> None:
    condition = {"StringEquals": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/deploy"}}
    assert verdict(statement(Condition=condition), principal_arn=SESSION) is ALLOW


def test_a_denial_wins_wherever_it_stands() -> None:
    allow, deny = statement(), statement(Effect="Deny", Action="ecr:Batch*")
    assert verdict(allow, deny) is verdict(deny, allow) is DENY
    assert verdict(allow, deny, action="ecr:PutImage") is ALLOW
    assert verdict(statement(Principal={"AWS": ACCOUNT}), allow) is ALLOW
    assert verdict(allow, statement(Principal={"AWS": ACCOUNT})) is ALLOW


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 10_000, "nested too deeply|not JSON"),
        ('{"Statement": ' + "1" * 5000 + "}", "number that cannot be read"),
        ("[]", "must be a JSON object"),
        ("{}", "no Statement"),
        ('{"Statement": []}', "empty"),
        ('{"Statement": [], "Statement": []}', "twice"),
        ('{"Statement": ["x"]}', "statement 1 is not a JSON object"),
        ('{"Version": "2020-01-01", "Statement": []}', "Version"),
        ('{"Id": 1, "Statement": []}', "Id must"),
        ('{"Statements": []}', "'Statements', which is not known"),
    ],
)
def test_what_is_no_document_is_refused(text: str, why: str) -> None:
    with pytest.raises(BadPolicy, match=why):
        read_policy(text, service="ecr")


@pytest.mark.parametrize(
    ("elements", "why"),
    [
        ({"Effect": "allow"}, "Effect of statement 1"),
        ({"Effect": None}, "Effect of statement 1"),
        ({"Sid": 1}, "Sid must be a string"),
        ({"Resources": "*"}, "'Resources', which is not known"),
        ({"Principal": None}, "one of Principal and NotPrincipal"),
        ({"NotPrincipal": "*"}, "one of Principal and NotPrincipal"),
        ({"Principal": None, "NotPrincipal": "*"}, "goes with the Effect Deny alone"),
        ({"Principal": "somebody"}, "must be '\\*', or a JSON object"),
        ({"Principal": {}}, "must be '\\*', or a JSON object"),
        ({"Principal": {"Federated": "x"}}, "'Federated', which is not known"),
        ({"Principal": {"AWS": []}}, "not empty"),
        ({"Principal": {"AWS": [1]}}, "list of strings"),
        ({"Principal": {"AWS": "1234"}}, "'1234' of statement 1 must be an account"),
        ({"Principal": {"AWS": "arn:aws:iam::123456789012:user/*"}}, "must be an account"),
        ({"Principal": {"AWS": "arn:aws:s3:::bucket"}}, "must be an account"),
        ({"Principal": {"Service": "inspector"}}, "must be like"),
        ({"Action": None}, "one of Action and NotAction"),
        ({"NotAction": "ecr:*"}, "one of Action and NotAction"),
        ({"Action": ""}, "not empty"),
        ({"Action": "PutImage"}, "must be 'ecr:' and a name"),
        ({"Action": "s3:GetObject"}, "must be 'ecr:' and a name"),
        ({"Action": "ecr:PutImages"}, "no action 'ecr:PutImages'"),
        ({"Resource": "team/web"}, "must be an ARN"),
        ({"Resource": "*", "NotResource": "*"}, "one of Resource and NotResource"),
        ({"Resource": "arn:aws:ecr:us-east-1:1:repository/${aws:username}"}, "policy variable"),
        ({"Condition": []}, "not a JSON object"),
        ({"Condition": {"StringEquals": "x"}}, "keys and values"),
        ({"Condition": {"StringMatches": {"aws:username": "x"}}}, "'StringMatches' is not known"),
        ({"Condition": {"StringEquals": {"aws:Nothing": "x"}}}, "'aws:Nothing' of statement 1 is not known"),
        ({"Condition": {"StringEquals": {"s3:ResourceTag/a": "x"}}}, "is not known here"),
        ({"Condition": {"StringEquals": {"aws:username": []}}}, "has no value"),
        ({"Condition": {"StringEquals": {"aws:username": {}}}}, "no text, number or boolean"),
        ({"Condition": {"StringEquals": {"aws:username": "${aws:username}"}}}, "policy variable"),
        ({"Condition": {"Bool": {"aws:SecureTransport": "yes"}}}, "neither true nor false"),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/64"}}}, "no IP address"),
        ({"Condition": {"DateLessThan": {"aws:CurrentTime": "tomorrow"}}}, "no date"),
        ({"Condition": {"NumericEquals": {"aws:EpochTime": "nan"}}}, "no number"),
        ({"Condition": {"ArnLike": {"aws:PrincipalArn": "ann"}}}, "not an ARN"),
        ({"Condition": {"Null": {"aws:SourceIp": "maybe"}}}, "takes true or false"),
    ],
)
def test_a_statement_that_cannot_be_meant_is_refused(elements: Any, why: str) -> None:
    text = json.dumps({"Statement": statement(**elements)})
    with pytest.raises(BadPolicy, match=why):
        read_policy(text, service="ecr", actions=["PutImage", "BatchGetImage"])


def test_two_statements_have_two_names() -> None:
    with pytest.raises(BadPolicy, match="'new statement' is there twice"):
        verdict(statement(Sid="new statement"), statement(Sid="new statement"))


def test_a_policy_of_everything_must_say_of_what() -> None:
    with pytest.raises(BadPolicy, match="one of Resource and NotResource"):
        read_policy(json.dumps({"Statement": statement()}), service="ecr", needs_resource=True)


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("*", "", True),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "acb", False),
        ("*a", "banana", True),
        ("a**b", "ab", True),
        ("a?c", "a\nc", True),
        ("a.c", "abc", False),
        ("", "a", False),
        ("ab*ba", "aba", False),
    ],
)
def test_a_star_stands_for_any_run(pattern: str, text: str, fits: bool) -> None:
    assert (glob(pattern).fullmatch(text) is not None) is fits


def test_many_stars_cost_no_more_than_one() -> None:
    # With backtracking this would not end.
    assert glob("*a" * 60 + "*b").fullmatch("a" * 5000) is None
