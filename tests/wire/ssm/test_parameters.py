"""Parameters: put, read, deleted, and what is said of them."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from tests.support.loopback import ROOT, Loopback
from tests.support.refusals import refused
from tests.wire.ssm.parameters import put

ARN = "arn:aws:ssm:us-east-1:123456789012:parameter"


def test_a_parameter_is_read_by_name_and_by_arn(berth: Loopback, client: Any) -> None:
    assert put(client, "/prod/db", "x")["Version"] == 1
    put(client, "plain", "y")
    got = client.get_parameter(Name="/prod/db")["Parameter"]
    assert (got["Name"], got["Type"], got["Value"], got["Version"]) == ("/prod/db", "String", "x", 1)
    assert (got["ARN"], got["DataType"]) == (f"{ARN}/prod/db", "text")
    assert abs(got["LastModifiedDate"] - berth.clock.now()) < timedelta(seconds=1)
    assert client.get_parameter(Name=got["ARN"])["Parameter"]["Value"] == "x"
    assert client.get_parameter(Name=f"{ARN}/plain")["Parameter"]["Value"] == "y"
    for name in ("prod/db", "/prod", f"{ARN}/prod", ARN.replace("us-east-1", "eu-west-1") + "/plain"):
        with refused(client, "ParameterNotFound"):
            client.get_parameter(Name=name)


def test_a_secure_string_is_answered_in_clear_only_where_asked_for(client: Any) -> None:
    put(client, "s", "hunter2", "SecureString")
    sealed = client.get_parameter(Name="s")["Parameter"]["Value"]
    assert sealed != "hunter2" and len(sealed) > 40
    assert client.get_parameter(Name="s", WithDecryption=True)["Parameter"]["Value"] == "hunter2"
    assert client.describe_parameters()["Parameters"][0]["KeyId"] == "alias/aws/ssm"


@pytest.mark.parametrize("kind", ["String", "StringList", "SecureString"])
def test_no_value_lies_in_the_store_in_clear(berth: Loopback, client: Any, kind: str) -> None:
    put(client, "s", "correct horse battery", kind)
    with berth.store.engine.connect() as connection:
        for table in ("parameters", "parameter_versions", "client_tokens"):
            assert "correct" not in str(connection.execute(text(f"SELECT * FROM {table}")).all())


def test_a_parameter_is_overwritten_only_on_request_and_keeps_its_history(client: Any) -> None:
    put(client, "p", "1", Description="first")
    with refused(client, "ParameterAlreadyExists"):
        put(client, "p", "2")
    assert client.put_parameter(Name="p", Value="2", Overwrite=True)["Version"] == 2
    with refused(client, "HierarchyTypeMismatchException"):
        put(client, "p", "3", "SecureString", Overwrite=True)
    history = client.get_parameter_history(Name="p")["Parameters"]
    assert [(one["Version"], one["Value"], one.get("Description")) for one in history] == [
        (1, "1", "first"),
        (2, "2", None),
    ]
    assert history[0]["LastModifiedUser"] == ROOT
    first = client.get_parameter_history(Name="p", MaxResults=1)
    second = client.get_parameter_history(Name="p", MaxResults=1, NextToken=first["NextToken"])
    assert second["Parameters"][0]["Version"] == 2 and "NextToken" not in second
    with refused(client, "InvalidNextToken"):
        client.get_parameter_history(Name="p", NextToken="nonsense")


def test_versions_and_labels_are_read_behind_a_colon(client: Any) -> None:
    put(client, "/a/p", "1")
    put(client, "/a/p", "2", Overwrite=True)
    client.label_parameter_version(Name="/a/p", ParameterVersion=1, Labels=["old"])
    for name, value, selector in (
        ("/a/p", "2", None),
        ("/a/p:1", "1", ":1"),
        ("/a/p:old", "1", ":old"),
        (f"{ARN}/a/p:1", "1", ":1"),
    ):
        got = client.get_parameter(Name=name)["Parameter"]
        assert (got["Value"], got.get("Selector")) == (value, selector)
    for name in ("/a/p:3", "/a/p:never"):
        with refused(client, "ParameterVersionNotFound"):
            client.get_parameter(Name=name)


def test_labels_move_and_are_ten_at_most(client: Any) -> None:
    put(client, "p", "1")
    put(client, "p", "2", Overwrite=True)
    told = client.label_parameter_version(Name="p", Labels=["live", "1st", "aws-x"])
    assert (told["InvalidLabels"], told["ParameterVersion"]) == (["1st", "aws-x"], 2)
    client.label_parameter_version(Name="p", ParameterVersion=1, Labels=["live"])
    assert [one.get("Labels") for one in client.get_parameter_history(Name="p")["Parameters"]] == [["live"], None]
    with refused(client, "ParameterVersionLabelLimitExceeded"):
        client.label_parameter_version(Name="p", ParameterVersion=1, Labels=[f"l{n}" for n in range(10)])
    with refused(client, "ParameterVersionNotFound"):
        client.label_parameter_version(Name="p", ParameterVersion=7, Labels=["x"])
    gone = client.unlabel_parameter_version(Name="p", ParameterVersion=1, Labels=["live", "never"])
    assert (gone["RemovedLabels"], gone["InvalidLabels"]) == (["live"], ["never"])


def test_several_are_read_at_once_and_the_unknown_ones_are_told(client: Any) -> None:
    put(client, "a", "1")
    put(client, "b", "2", "SecureString")
    got = client.get_parameters(Names=["a", "b:1", "c", "a:9"], WithDecryption=True)
    assert [(one["Name"], one["Value"]) for one in got["Parameters"]] == [("a", "1"), ("b", "2")]
    assert got["InvalidParameters"] == ["c", "a:9"]


def test_only_a_hundred_versions_are_kept_and_a_labelled_one_is_never_lost(client: Any) -> None:
    put(client, "p", "1")
    for number in range(2, 102):
        client.put_parameter(Name="p", Value=str(number), Overwrite=True)
    history = client.get_paginator("get_parameter_history").paginate(Name="p")
    versions = [one["Version"] for page in history for one in page["Parameters"]]
    assert versions == list(range(2, 102))
    client.label_parameter_version(Name="p", ParameterVersion=2, Labels=["keep"])
    with refused(client, "ParameterMaxVersionLimitExceeded"):
        client.put_parameter(Name="p", Value="more", Overwrite=True)


def test_parameters_are_deleted_with_their_versions(client: Any) -> None:
    for name in ("a", "b"):
        put(client, name)
    client.delete_parameter(Name="a")
    with refused(client, "ParameterNotFound"):
        client.delete_parameter(Name="a")
    gone = client.delete_parameters(Names=["a", "b"])
    assert (gone["DeletedParameters"], gone["InvalidParameters"]) == (["b"], ["a"])
    assert put(client, "a")["Version"] == 1


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"Name": "a b"}, "ValidationException"),
        ({"Name": "a/b"}, "ValidationException"),
        ({"Name": "ssm-x"}, "ValidationException"),
        ({"Name": "/aws/x"}, "AccessDeniedException"),
        ({"Name": "/1" * 16}, "HierarchyLevelLimitExceededException"),
        ({"Type": None}, "ValidationException"),
        ({"Value": "x" * 4097}, "ValidationException"),
        ({"Value": "x" * 8193, "Tier": "Advanced"}, "ValidationException"),
        ({"Value": "{{ssm:other}}"}, "ValidationException"),
        ({"KeyId": "alias/mine", "Type": "SecureString"}, "InvalidKeyId"),
        ({"Policies": '[{"Type":"Expiration"}]'}, "InvalidPolicyTypeException"),
        ({"AllowedPattern": r"\d+"}, "ParameterPatternMismatchException"),
        ({"AllowedPattern": "("}, "InvalidAllowedPatternException"),
        ({"AllowedPattern": "(a+)+b", "Value": "a" * 60}, "InvalidAllowedPatternException"),
        ({"DataType": "aws:ec2:image"}, "ValidationException"),
        ({"Tags": [{"Key": "aws:x", "Value": ""}]}, "ValidationException"),
        ({"Tags": [{"Key": "x", "Value": ""}], "Overwrite": True}, "ValidationException"),
    ],
)
def test_what_cannot_be_a_parameter_is_refused(embedded: Any, request_: dict[str, Any], code: str) -> None:
    whole = {"Name": "p", "Value": "v", "Type": "String", **request_}
    with refused(embedded, code):
        embedded.put_parameter(**{member: value for member, value in whole.items() if value is not None})


def test_tiers_grow_and_never_shrink(embedded: Any) -> None:
    assert put(embedded, "p", "x")["Tier"] == "Standard"
    assert put(embedded, "p", "x" * 5000, Overwrite=True, Tier="Intelligent-Tiering")["Tier"] == "Advanced"
    assert put(embedded, "p", "x", Overwrite=True)["Tier"] == "Advanced"
    with refused(embedded, "ValidationException"):
        put(embedded, "p", "x", Overwrite=True, Tier="Standard")


def test_a_value_that_the_allowed_pattern_fits_is_kept_with_it(embedded: Any) -> None:
    put(embedded, "p", "123", AllowedPattern=r"^\d+$")
    assert embedded.describe_parameters()["Parameters"][0]["AllowedPattern"] == r"^\d+$"


def test_tags_are_added_listed_and_taken_away(client: Any) -> None:
    put(client, "p", Tags=[{"Key": "a", "Value": "1"}])
    named = {"ResourceType": "Parameter", "ResourceId": "p"}
    client.add_tags_to_resource(**named, Tags=[{"Key": "a", "Value": "2"}, {"Key": "b", "Value": "3"}])
    client.remove_tags_from_resource(**named, TagKeys=["a"])
    assert client.list_tags_for_resource(**named)["TagList"] == [{"Key": "b", "Value": "3"}]
    with refused(client, "TooManyTagsError"):
        client.add_tags_to_resource(**named, Tags=[{"Key": str(n), "Value": ""} for n in range(50)])
    with refused(client, "InvalidResourceId"):
        client.list_tags_for_resource(ResourceType="Parameter", ResourceId="q")
    with refused(client, "InvalidResourceType"):
        client.list_tags_for_resource(ResourceType="Document", ResourceId="p")
