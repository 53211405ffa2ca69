"""Secrets by filters and in pages, many values at once, and random passwords."""

import string
from typing import Any

import pytest

from tests.support.loopback import Loopback
from tests.support.refusals import refused


@pytest.fixture
def five(berth: Loopback, client: Any) -> Any:
    for name in ("b", "a", "prod/db", "prod/web", "Prod/x"):
        client.create_secret(
            Name=name,
            SecretString=name,
            Description=f"The {name} key",
            Tags=[{"Key": "stage", "Value": "prod" if "prod" in name else "test"}],
        )
        berth.clock.tick(seconds=1)
    return client


def names(answer: dict[str, Any]) -> list[str]:
    return [secret["Name"] for secret in answer["SecretList"]]


def test_secrets_are_listed_newest_first_or_as_asked(five: Any) -> None:
    assert names(five.list_secrets()) == ["Prod/x", "prod/web", "prod/db", "a", "b"]
    assert names(five.list_secrets(SortOrder="asc"))[0] == "b"
    assert names(five.list_secrets(SortBy="name", SortOrder="asc"))[-1] == "prod/web"
    five.get_secret_value(SecretId="a")
    assert names(five.list_secrets(SortBy="last-accessed-date"))[0] == "a"


@pytest.mark.parametrize("sort", ["created-date", "name", "last-changed-date", "last-accessed-date"])
def test_pages_hold_every_secret_once(five: Any, sort: str) -> None:
    pages = five.get_paginator("list_secrets").paginate(SortBy=sort, PaginationConfig={"PageSize": 2})
    assert sorted(name for page in pages for name in names(page)) == ["Prod/x", "a", "b", "prod/db", "prod/web"]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ([("name", ["prod/"])], {"prod/db", "prod/web"}),
        ([("name", ["!prod/"])], {"a", "b", "Prod/x"}),
        ([("name", ["a", "b"])], {"a", "b"}),
        ([("description", ["the PROD/"])], {"prod/db", "prod/web", "Prod/x"}),
        ([("tag-key", ["stage"]), ("tag-value", ["prod"])], {"prod/db", "prod/web"}),
        ([("tag-value", ["test"]), ("name", ["P"])], {"Prod/x"}),
        ([("all", ["web"])], {"prod/web"}),
        ([("all", ["PROD key"])], {"prod/db", "prod/web", "Prod/x"}),
        ([("owning-service", ["rds"])], set()),
    ],
)
def test_filters_choose_as_aws_says(five: Any, filters: list[tuple[str, list[str]]], found: set[str]) -> None:
    asked = [{"Key": key, "Values": values} for key, values in filters]
    assert set(names(five.list_secrets(Filters=asked))) == found


def test_filters_fill_pages_from_all_secrets(five: Any) -> None:
    asked = [{"Key": "name", "Values": ["prod/"]}]
    first = five.list_secrets(Filters=asked, MaxResults=1)
    second = five.list_secrets(Filters=asked, MaxResults=1, NextToken=first["NextToken"])
    assert names(first) + names(second) == ["prod/web", "prod/db"] and "NextToken" not in second
    with refused(five, "InvalidNextTokenException"):
        five.list_secrets(NextToken=first["NextToken"])


def test_many_values_are_read_at_once_and_what_fails_is_told(five: Any) -> None:
    got = five.batch_get_secret_value(SecretIdList=["a", "b", "nobody"])
    assert [value["SecretString"] for value in got["SecretValues"]] == ["a", "b"]
    assert [(error["SecretId"], error["ErrorCode"]) for error in got["Errors"]] == [
        ("nobody", "ResourceNotFoundException")
    ]
    filtered = five.batch_get_secret_value(Filters=[{"Key": "name", "Values": ["prod/"]}])
    assert [value["SecretString"] for value in filtered["SecretValues"]] == ["prod/web", "prod/db"]
    with refused(five, "InvalidParameterException"):
        five.batch_get_secret_value(SecretIdList=["a"], Filters=[{"Key": "name", "Values": ["a"]}])


def test_random_passwords_are_of_the_characters_asked_for(embedded: Any) -> None:
    usual = embedded.get_random_password()["RandomPassword"]
    assert len(usual) == 32
    for kind in (string.ascii_lowercase, string.ascii_uppercase, string.digits, string.punctuation):
        assert set(usual) & set(kind)
    plain = embedded.get_random_password(
        PasswordLength=200, ExcludePunctuation=True, ExcludeUppercase=True, ExcludeCharacters="aeiou0"
    )["RandomPassword"]
    assert set(plain) <= set(string.ascii_lowercase + string.digits) - set("aeiou0") and len(plain) == 200
    for wrong in ({"PasswordLength": 3}, {"ExcludeCharacters": string.printable}):
        with refused(embedded, "InvalidParameterException"):
            embedded.get_random_password(**wrong)
