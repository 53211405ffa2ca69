"""Secrets: created, described, changed, deleted and restored."""

import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text, update

from scheduler.loops.housekeeping import HousekeepingLoop
from state.loop import Leases
from state.secrets import Secret
from state.store import Session
from tests.support.loopback import Loopback
from tests.support.refusals import refused

TOKEN = "0" * 31 + "1"
OTHER = "0" * 31 + "2"


def test_a_secret_is_found_by_its_name_its_arn_and_its_arn_without_the_end(client: Any) -> None:
    made = client.create_secret(Name="prod/db", SecretString="hunter2", ClientRequestToken=TOKEN)
    assert re.fullmatch(r"arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/db-[A-Za-z0-9]{6}", made["ARN"])
    assert (made["Name"], made["VersionId"]) == ("prod/db", TOKEN)
    for name in ("prod/db", made["ARN"], made["ARN"][:-7]):
        got = client.get_secret_value(SecretId=name)
        assert (got["ARN"], got["SecretString"], got["VersionStages"]) == (made["ARN"], "hunter2", ["AWSCURRENT"])
    for name in ("prod", made["ARN"][:-1], made["ARN"].replace("us-east-1", "eu-west-1"), "arn:aws:secretsmanager:"):
        with refused(client, "ResourceNotFoundException"):
            client.get_secret_value(SecretId=name)


def test_a_secret_whose_name_ends_like_an_arn_is_found_by_its_partial_arn(client: Any) -> None:
    made = client.create_secret(Name="key-abcdef", SecretString="v")
    assert client.get_secret_value(SecretId=made["ARN"])["Name"] == "key-abcdef"
    assert client.get_secret_value(SecretId=made["ARN"][:-7])["Name"] == "key-abcdef"


def test_binary_values_come_back_as_bytes(client: Any) -> None:
    client.create_secret(Name="s", SecretBinary=b"\x00\xff\x80")
    got = client.get_secret_value(SecretId="s")
    assert got["SecretBinary"] == b"\x00\xff\x80" and "SecretString" not in got


def test_no_value_lies_in_the_store_in_clear_and_no_trace_of_the_request(berth: Loopback, client: Any) -> None:
    client.create_secret(Name="s", SecretString="correct horse battery", ClientRequestToken=TOKEN)
    client.put_secret_value(SecretId="s", SecretBinary=b"correct horse staple")
    with berth.store.engine.connect() as connection:
        for table in ("secrets", "secret_versions", "client_tokens", "events"):
            rows = connection.execute(text(f"SELECT * FROM {table}")).all()
            assert "correct horse" not in str(rows)
        assert connection.execute(text("SELECT count(*) FROM client_tokens")).scalar() == 0


def test_creating_again_with_the_same_token_and_value_changes_nothing(berth: Loopback, client: Any) -> None:
    first = client.create_secret(Name="s", SecretString="v", ClientRequestToken=TOKEN)
    again = client.create_secret(Name="s", SecretString="v", ClientRequestToken=TOKEN)
    assert (again["ARN"], again["VersionId"]) == (first["ARN"], first["VersionId"])
    for value, token in (("w", TOKEN), ("v", OTHER)):
        with refused(client, "ResourceExistsException"):
            client.create_secret(Name="s", SecretString=value, ClientRequestToken=token)


def test_a_secret_may_be_without_a_value_until_one_is_put(client: Any) -> None:
    made = client.create_secret(Name="s")
    assert "VersionId" not in made
    with refused(client, "ResourceNotFoundException"):
        client.get_secret_value(SecretId="s")
    client.put_secret_value(SecretId="s", SecretString="v")
    assert client.get_secret_value(SecretId="s")["SecretString"] == "v"


def test_describing_tells_all_but_the_value(berth: Loopback, client: Any) -> None:
    tags = [{"Key": "team", "Value": "db"}]
    client.create_secret(Name="s", SecretString="v", ClientRequestToken=TOKEN, Description="d", Tags=tags)
    told = client.describe_secret(SecretId="s")
    assert (told["Description"], told["Tags"], told["VersionIdsToStages"]) == ("d", tags, {TOKEN: ["AWSCURRENT"]})
    assert abs(told["CreatedDate"] - berth.clock.now()) < timedelta(seconds=1)
    assert not {"LastAccessedDate", "DeletedDate", "KmsKeyId", "SecretString"} & told.keys()
    client.get_secret_value(SecretId="s")
    accessed = client.describe_secret(SecretId="s")["LastAccessedDate"]
    assert accessed.timestamp() % 86400 == 0 and timedelta() <= berth.clock.now() - accessed < timedelta(days=1)


def test_updating_changes_the_description_and_puts_a_version(client: Any) -> None:
    client.create_secret(Name="s", SecretString="v", ClientRequestToken=TOKEN, Description="old")
    assert "VersionId" not in client.update_secret(SecretId="s", Description="new")
    assert client.update_secret(SecretId="s", SecretString="w", ClientRequestToken=OTHER)["VersionId"] == OTHER
    told = client.describe_secret(SecretId="s")
    assert told["Description"] == "new"
    assert told["VersionIdsToStages"] == {TOKEN: ["AWSPREVIOUS"], OTHER: ["AWSCURRENT"]}


def test_a_deleted_secret_keeps_its_name_and_can_be_restored_within_its_window(berth: Loopback, client: Any) -> None:
    client.create_secret(Name="s", SecretString="v")
    gone = client.delete_secret(SecretId="s", RecoveryWindowInDays=7)
    assert abs(gone["DeletionDate"] - berth.clock.now() - timedelta(days=7)) < timedelta(seconds=1)
    assert "DeletedDate" in client.describe_secret(SecretId="s")
    assert client.list_secrets()["SecretList"] == []
    assert [one["Name"] for one in client.list_secrets(IncludePlannedDeletion=True)["SecretList"]] == ["s"]
    for attempt in (
        lambda: client.get_secret_value(SecretId="s"),
        lambda: client.put_secret_value(SecretId="s", SecretString="w"),
        lambda: client.create_secret(Name="s", SecretString="v"),
        lambda: client.delete_secret(SecretId="s"),
        lambda: client.tag_resource(SecretId="s", Tags=[{"Key": "a", "Value": "b"}]),
    ):
        with refused(client, "InvalidRequestException"):
            attempt()
    client.restore_secret(SecretId="s")
    assert client.get_secret_value(SecretId="s")["SecretString"] == "v"


@pytest.fixture
def past(berth: Loopback, client: Any) -> str:
    """The ARN of a secret whose recovery window has just ended."""
    made = client.create_secret(Name="s", SecretString="v")
    client.delete_secret(SecretId="s")

    def end(session: Session) -> None:
        session.execute(update(Secret).values(gone_at=berth.clock.now()))

    berth.store.transact(end)
    return str(made["ARN"])


def test_after_its_window_a_secret_is_gone_and_another_may_have_its_name(client: Any, past: str) -> None:
    with refused(client, "ResourceNotFoundException"):
        client.restore_secret(SecretId="s")
    assert client.list_secrets(IncludePlannedDeletion=True)["SecretList"] == []
    assert client.create_secret(Name="s", SecretString="w")["ARN"] != past
    assert client.get_secret_value(SecretId="s")["SecretString"] == "w"


@pytest.mark.usefixtures("past")
def test_after_its_window_nothing_of_a_secret_is_kept(berth: Loopback) -> None:
    leases = Leases(berth.store, berth.clock, "one")
    HousekeepingLoop(berth.store, berth.clock, leases, task_retention=timedelta(hours=1)).step()
    with berth.store.engine.connect() as connection:
        for table in ("secrets", "secret_versions"):
            assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar() == 0


def test_a_secret_deleted_by_force_is_gone_at_once(client: Any) -> None:
    first = client.create_secret(Name="s", SecretString="v")
    client.delete_secret(SecretId="s", ForceDeleteWithoutRecovery=True)
    with refused(client, "ResourceNotFoundException"):
        client.describe_secret(SecretId="s")
    assert client.delete_secret(SecretId="s", ForceDeleteWithoutRecovery=True)["Name"] == "s"
    assert client.create_secret(Name="s", SecretString="v")["ARN"] != first["ARN"]


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"Name": "a b"}, "InvalidParameterException"),
        ({"Name": "s", "SecretString": "v", "SecretBinary": b"v"}, "InvalidParameterException"),
        ({"Name": "s", "KmsKeyId": "alias/mine"}, "InvalidParameterException"),
        ({"Name": "s", "AddReplicaRegions": [{"Region": "eu-west-1"}]}, "InvalidParameterException"),
        ({"Name": "s", "Description": "a\0b"}, "ValidationException"),
        ({"Name": "s", "Tags": [{"Key": "aws:x", "Value": ""}]}, "InvalidParameterException"),
        ({"Name": "s", "Tags": [{"Key": str(n), "Value": ""} for n in range(51)]}, "InvalidParameterException"),
    ],
)
def test_what_cannot_be_a_secret_is_refused(embedded: Any, request_: dict[str, Any], code: str) -> None:
    with refused(embedded, code):
        embedded.create_secret(**request_)


@pytest.mark.parametrize(
    "request_",
    [
        {"RecoveryWindowInDays": 6},
        {"RecoveryWindowInDays": 31},
        {"RecoveryWindowInDays": 7, "ForceDeleteWithoutRecovery": True},
    ],
)
def test_recovery_windows_are_seven_to_thirty_days(embedded: Any, request_: dict[str, Any]) -> None:
    embedded.create_secret(Name="s")
    with refused(embedded, "InvalidParameterException"):
        embedded.delete_secret(SecretId="s", **request_)


def test_tags_are_added_changed_and_taken_away(client: Any) -> None:
    client.create_secret(Name="s", Tags=[{"Key": "a", "Value": "1"}])
    client.tag_resource(SecretId="s", Tags=[{"Key": "a", "Value": "2"}, {"Key": "b", "Value": "3"}])
    client.untag_resource(SecretId="s", TagKeys=["a", "never"])
    assert client.describe_secret(SecretId="s")["Tags"] == [{"Key": "b", "Value": "3"}]
