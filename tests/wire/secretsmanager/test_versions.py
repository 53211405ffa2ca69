"""Versions of secrets and their staging labels."""

from typing import Any

import pytest

from state.secrets import MOST_DEPRECATED
from tests.support.refusals import refused


def token(number: int) -> str:
    return f"{number:032}"


def stages(client: Any) -> dict[str, list[str]]:
    told = client.describe_secret(SecretId="s")["VersionIdsToStages"]
    return {str(int(version)): labels for version, labels in told.items()}


@pytest.fixture
def three(client: Any) -> Any:
    client.create_secret(Name="s", SecretString="1", ClientRequestToken=token(1))
    client.put_secret_value(SecretId="s", SecretString="2", ClientRequestToken=token(2))
    client.put_secret_value(SecretId="s", SecretString="3", ClientRequestToken=token(3), VersionStages=["NEXT"])
    return client


def test_values_are_read_by_version_and_by_label(three: Any) -> None:
    assert stages(three) == {"1": ["AWSPREVIOUS"], "2": ["AWSCURRENT"], "3": ["NEXT"]}
    read = three.get_secret_value
    assert read(SecretId="s")["SecretString"] == "2"
    assert read(SecretId="s", VersionStage="AWSPREVIOUS")["SecretString"] == "1"
    assert read(SecretId="s", VersionId=token(3))["SecretString"] == "3"
    assert read(SecretId="s", VersionId=token(3), VersionStage="NEXT")["SecretString"] == "3"
    for wrong in ({"VersionStage": "GONE"}, {"VersionId": token(9)}):
        with refused(three, "ResourceNotFoundException"):
            read(SecretId="s", **wrong)
    with refused(three, "InvalidRequestException"):
        read(SecretId="s", VersionId=token(3), VersionStage="AWSCURRENT")


def test_putting_a_version_again_changes_nothing_unless_its_value_differs(three: Any) -> None:
    again = three.put_secret_value(SecretId="s", SecretString="1", ClientRequestToken=token(1))
    assert again["VersionStages"] == ["AWSPREVIOUS"]
    with refused(three, "ResourceExistsException"):
        three.put_secret_value(SecretId="s", SecretString="other", ClientRequestToken=token(1))
    with refused(three, "ResourceExistsException"):
        three.put_secret_value(SecretId="s", SecretBinary=b"1", ClientRequestToken=token(1))


def test_moving_the_current_label_leaves_the_previous_one_behind(three: Any) -> None:
    three.update_secret_version_stage(
        SecretId="s", VersionStage="AWSCURRENT", MoveToVersionId=token(3), RemoveFromVersionId=token(2)
    )
    assert stages(three) == {"2": ["AWSPREVIOUS"], "3": ["NEXT", "AWSCURRENT"]}
    # Back to what was there before.
    three.update_secret_version_stage(
        SecretId="s", VersionStage="AWSCURRENT", MoveToVersionId=token(2), RemoveFromVersionId=token(3)
    )
    assert stages(three) == {"2": ["AWSCURRENT"], "3": ["NEXT", "AWSPREVIOUS"]}


def test_labels_move_only_from_where_they_are_said_to_be(three: Any) -> None:
    move = three.update_secret_version_stage
    move(SecretId="s", VersionStage="mine", MoveToVersionId=token(1))
    for wrong in (
        {"MoveToVersionId": token(2)},
        {"MoveToVersionId": token(2), "RemoveFromVersionId": token(3)},
        {"RemoveFromVersionId": token(3)},
        {},
    ):
        with refused(three, "InvalidParameterException"):
            move(SecretId="s", VersionStage="mine", **wrong)
    with refused(three, "InvalidParameterException"):
        move(SecretId="s", VersionStage="AWSCURRENT", RemoveFromVersionId=token(2))
    with refused(three, "ResourceNotFoundException"):
        move(SecretId="s", VersionStage="mine", MoveToVersionId=token(9))
    move(SecretId="s", VersionStage="mine", RemoveFromVersionId=token(1))
    assert stages(three)["1"] == ["AWSPREVIOUS"]


def test_a_version_has_at_most_twenty_labels(three: Any) -> None:
    for number in range(19):
        three.update_secret_version_stage(SecretId="s", VersionStage=f"l{number}", MoveToVersionId=token(1))
    with refused(three, "LimitExceededException"):
        three.update_secret_version_stage(SecretId="s", VersionStage="more", MoveToVersionId=token(1))


def test_versions_are_listed_in_pages_without_the_deprecated_ones(three: Any) -> None:
    three.put_secret_value(SecretId="s", SecretString="4", ClientRequestToken=token(4))
    listed = three.list_secret_version_ids(SecretId="s")["Versions"]
    assert {version["VersionId"] for version in listed} == {token(2), token(3), token(4)}
    seen, more = [], {}
    while True:
        page = three.list_secret_version_ids(SecretId="s", MaxResults=3, IncludeDeprecated=True, **more)
        seen += [version["VersionId"] for version in page["Versions"]]
        if "NextToken" not in page:
            break
        more = {"NextToken": page["NextToken"]}
    assert sorted(seen) == [token(number) for number in (1, 2, 3, 4)]
    with refused(three, "InvalidNextTokenException"):
        three.list_secret_version_ids(SecretId="s", NextToken="nonsense")


def test_the_oldest_versions_without_a_label_are_forgotten(client: Any) -> None:
    client.create_secret(Name="s", SecretString="0", ClientRequestToken=token(0))
    for number in range(1, MOST_DEPRECATED + 4):
        client.put_secret_value(SecretId="s", SecretString=str(number), ClientRequestToken=token(number))
    listed = client.list_secret_version_ids(SecretId="s", IncludeDeprecated=True, MaxResults=100)
    assert len(listed["Versions"]) == 100 and "NextToken" in listed
    with refused(client, "ResourceNotFoundException"):
        client.get_secret_value(SecretId="s", VersionId=token(0))
    assert client.get_secret_value(SecretId="s", VersionId=token(3))["SecretString"] == "3"
