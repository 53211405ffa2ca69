"""What the store keeps and says of secrets: nothing in clear, to nobody else, and not in its errors."""

import os
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from kit.settings import Settings
from orchestrator.app import build_parts
from orchestrator.identity import ensure_agent_key, ensure_root_key
from orchestrator.operations import SERVICES
from state.store import Store
from tests.support.loopback import Loopback

ROLE = "arn:aws:iam::123456789012:role/deployer"


def test_an_error_of_the_store_names_no_parameters(store_url: str) -> None:
    store = Store(store_url)
    with pytest.raises(DBAPIError) as raised:
        store.read(lambda session: session.execute(text("SELECT :given FROM nowhere"), {"given": "hunter2"}))
    assert "hunter2" not in str(raised.value)
    store.close()


def test_secrets_that_were_answered_are_not_in_the_stores_files(tmp_path: Path) -> None:
    plane = Loopback(f"sqlite:///{tmp_path / 'berth.db'}", SERVICES)
    sts = plane.client("sts")
    given = [
        sts.assume_role(RoleArn=ROLE, RoleSessionName="now")["Credentials"],
        sts.get_session_token()["Credentials"],
    ]
    settings = Settings(data=tmp_path)
    keys = [make(plane.store, settings, plane.secrets, plane.clock) for make in (ensure_root_key, ensure_agent_key)]
    password = plane.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]

    kept = b"".join(path.read_bytes() for path in tmp_path.glob("berth.db*"))

    assert given[0]["AccessKeyId"].encode() in kept
    secrets = [each[member] for each in given for member in ("SecretAccessKey", "SessionToken")]
    secrets += [password, *(secret for _, secret in keys)]
    assert [secret for secret in secrets if secret.encode() in kept] == []
    plane.close()


def test_the_data_directory_is_its_owners_alone_under_any_umask(tmp_path: Path) -> None:
    data = tmp_path / "made" / "berth"
    before = os.umask(0)
    try:
        parts = build_parts(Settings(data=data))
        modes = {path.name: oct(path.stat().st_mode & 0o077) for path in (data, *data.rglob("*"))}
        parts.store.close()
    finally:
        os.umask(before)
    assert {"berth.db", "berth.db-wal", "master-key", "root-credentials"} <= modes.keys()
    assert set(modes.values()) == {"0o0"}, modes
