"""STS through a real boto3 client, with keys from the store."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from kit.aws.sigv4 import Caller, Key
from kit.clock import ManualClock, SystemClock
from kit.secrets import SecretBox
from kit.settings import Settings
from orchestrator.api.logs import logs
from orchestrator.api.sts import caller_identity, sessions
from orchestrator.api.sts.wire import sts
from orchestrator.identity import ensure_agent_key, ensure_root_key, find_key, open_session
from state.access_keys import AccessKey
from tests.support.loopback import Loopback

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/service-role/worker"
BOUND = (caller_identity, sessions)


class Berth(Loopback):
    """STS and Logs with the real look-up of keys."""

    def __init__(self, url: str, data: Path) -> None:
        secrets = SecretBox(SecretBox.new_master_key())
        super().__init__(
            url,
            [sts, logs],
            clock=ManualClock(SystemClock().now()),
            settings=Settings(data=data),
            secrets=secrets,
            find_key=lambda key_id: self.find(key_id),
        )
        self.find = find_key(self.store, secrets, self.clock)
        self.root = plain(*ensure_root_key(self.store, self.settings, secrets, self.clock))
        self.agent = plain(*ensure_agent_key(self.store, self.settings, secrets, self.clock))


def plain(key_id: str, secret: str, token: str | None = None) -> Key:
    nobody = Caller(access_key_id=key_id, principal_arn="", account="")
    return Key(access_key_id=key_id, secret=secret, session_token=token, caller=nobody)


def key_of(answer: Any) -> Key:
    given = answer["Credentials"]
    return plain(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])


@pytest.fixture
def berth(store_url: str, tmp_path: Path) -> Iterator[Berth]:
    berth = Berth(store_url, tmp_path)
    yield berth
    berth.close()


@pytest.fixture
def embedded(sqlite_url: str, tmp_path: Path) -> Iterator[Berth]:
    """For what never reaches the store, so that the database makes no difference."""
    berth = Berth(sqlite_url, tmp_path)
    yield berth
    berth.close()


def test_root_is_its_account(berth: Berth) -> None:
    answer = berth.client("sts", berth.root).get_caller_identity()
    assert (answer["UserId"], answer["Account"]) == (ACCOUNT, ACCOUNT)
    assert answer["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"


def test_an_agent_is_a_user_and_may_not_assume_roles(berth: Berth) -> None:
    client = berth.client("sts", berth.agent)
    answer = client.get_caller_identity()
    assert answer["UserId"].startswith("AIDA") and len(answer["UserId"]) == 21
    assert answer["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/berth/agent/local"
    with pytest.raises(ClientError, match=r"AccessDenied.*not authorized to perform: sts:AssumeRole"):
        client.assume_role(RoleArn=ROLE, RoleSessionName="me")


def test_an_assumed_role_signs_with_its_token_and_says_who_it_is(berth: Berth) -> None:
    answer = berth.client("sts", berth.root).assume_role(RoleArn=ROLE, RoleSessionName="job@1")
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/job@1"
    assert answer["AssumedRoleUser"]["Arn"] == arn
    key = key_of(answer)
    assert key.access_key_id.startswith("ASIA")
    seconds = (answer["Credentials"]["Expiration"] - berth.clock.now()).total_seconds()
    assert 3598 < seconds <= 3600
    whoami = berth.client("sts", key).get_caller_identity()
    assert (whoami["Arn"], whoami["UserId"]) == (arn, answer["AssumedRoleUser"]["AssumedRoleId"])
    berth.client("logs", key).create_log_group(logGroupName="by-the-role")


def test_a_session_ends(berth: Berth) -> None:
    answer = berth.client("sts", berth.root).assume_role(RoleArn=ROLE, RoleSessionName="me", DurationSeconds=900)
    key = key_of(answer)
    store_row = berth.find(key.access_key_id)
    assert store_row is not None and store_row.expires_at is not None

    # The client signs with the real time, so the session is made older instead of the clock newer.
    def age(session: Any) -> None:
        session.get_one(AccessKey, key.access_key_id).expires_at = berth.clock.now()

    berth.store.transact(age)
    berth.find = find_key(berth.store, berth.secrets, berth.clock)
    with pytest.raises(ClientError, match="ExpiredToken"):
        berth.client("sts", key).get_caller_identity()


def test_a_session_without_or_with_another_token_is_nobody(berth: Berth) -> None:
    client = berth.client("sts", berth.root)
    one = key_of(client.get_session_token())
    other = key_of(client.get_session_token())
    for token in (None, other.session_token, "x"):
        with pytest.raises(ClientError, match="InvalidClientTokenId"):
            berth.client("sts", plain(one.access_key_id, one.secret, token)).get_caller_identity()


def test_a_session_token_keeps_the_principal_and_makes_no_further_session_tokens(berth: Berth) -> None:
    answer = berth.client("sts", berth.root).get_session_token(DurationSeconds=900)
    client = berth.client("sts", key_of(answer))
    assert client.get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"
    with pytest.raises(ClientError, match=r"AccessDenied.*Cannot call GetSessionToken with session credentials"):
        client.get_session_token()


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"RoleArn": "arn:aws:iam::999999999999:role/worker"}, r"AccessDenied.*sts:AssumeRole on resource"),
        ({"RoleArn": "arn:aws:s3:::not-a-role-at-all"}, r"ValidationError.*is invalid"),
        ({"RoleArn": f"arn:aws:iam::{ACCOUNT}:user/someone"}, r"ValidationError.*is invalid"),
        ({"Policy": "{}"}, r"ValidationError.*does not enforce Policy"),
        ({"PolicyArns": [{"arn": "arn:aws:iam::aws:policy/ReadOnly"}]}, r"ValidationError.*PolicyArns"),
        ({"Tags": [{"Key": "a", "Value": "b"}]}, r"ValidationError.*Tags"),
        ({"SerialNumber": "arn:aws:iam::1:mfa/x", "TokenCode": "123456"}, r"AccessDenied.*MFA"),
        ({"DurationSeconds": 899}, "ValidationError"),
        ({"DurationSeconds": 43201}, "ValidationError"),
        ({"RoleSessionName": "with space"}, "ValidationError"),
    ],
)
def test_what_cannot_be_assumed_is_refused(embedded: Berth, asked: dict[str, Any], told: str) -> None:
    client = embedded.client("sts", embedded.root, parameter_validation=False)
    with pytest.raises(ClientError, match=told):
        client.assume_role(**{"RoleArn": ROLE, "RoleSessionName": "me", **asked})


def test_a_session_has_its_callers_actions_and_no_more(berth: Berth) -> None:
    narrow = berth.store.transact(
        lambda session: open_session(
            session,
            berth.secrets,
            principal_arn=f"arn:aws:iam::{ACCOUNT}:user/narrow",
            actions=["sts:*", "logs:CreateLogGroup"],
            now=berth.clock.now(),
            length=timedelta(hours=1),
        )
    )
    key = key_of(berth.client("sts", narrow).assume_role(RoleArn=ROLE, RoleSessionName="me"))
    client = berth.client("logs", key)
    client.create_log_group(logGroupName="g")
    with pytest.raises(ClientError, match="AccessDenied"):
        client.delete_log_group(logGroupName="g")


def test_an_unknown_operation_of_sts_is_told_so(berth: Berth) -> None:
    with pytest.raises(ClientError, match="Berth has not built sts:GetFederationToken"):
        berth.client("sts", berth.root).get_federation_token(Name="me")
