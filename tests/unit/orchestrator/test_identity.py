"""Keys: made once, found again, agreed on by replicas, revoked within seconds."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from stat import S_IMODE

import pytest
from sqlalchemy import delete, func, select

from kit.clock import ManualClock
from kit.secrets import SecretBox, Undecipherable
from kit.settings import BadSetting, Settings
from orchestrator.identity import (
    JOIN_ACTIONS,
    ensure_agent_key,
    ensure_root_key,
    find_key,
    load_master_key,
    new_key,
    open_session,
)
from state.access_keys import AccessKey, forget_access_keys
from state.store import Store

ROOT = "arn:aws:iam::123456789012:root"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path)


@pytest.fixture
def secrets() -> SecretBox:
    return SecretBox(SecretBox.new_master_key())


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_the_master_key_is_made_once_and_private(settings: Settings) -> None:
    first = load_master_key(settings)
    assert load_master_key(settings) == first
    assert S_IMODE((settings.data / "master-key").stat().st_mode) == 0o600
    assert SecretBox(first).decrypt(SecretBox(first).encrypt("text")) == "text"


def test_processes_that_start_together_agree_on_the_master_key(settings: Settings) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: load_master_key(settings), range(32)))
    assert len(keys) == 1
    assert [path.name for path in settings.data.iterdir()] == ["master-key"]


def test_a_given_master_key_wins_and_a_broken_one_is_named(tmp_path: Path) -> None:
    given = SecretBox.new_master_key()
    assert load_master_key(Settings(data=tmp_path, secret_key=given)) == given
    assert list(tmp_path.iterdir()) == []
    for broken in ("short", "=" * 44, "ü" * 44):
        with pytest.raises(BadSetting, match="BERTH_SECRET_KEY must hold 32 bytes"):
            load_master_key(Settings(data=tmp_path, secret_key=broken))
    (tmp_path / "master-key").write_text("torn")
    with pytest.raises(BadSetting, match="master-key must hold 32 bytes"):
        load_master_key(Settings(data=tmp_path))


def test_the_root_key_is_made_at_the_first_start_and_kept(
    store: Store, settings: Settings, secrets: SecretBox, clock: ManualClock
) -> None:
    key_id, secret = ensure_root_key(store, settings, secrets, clock)
    assert (key_id[:4], len(key_id), len(secret)) == ("AKIA", 20, 40)
    path = settings.data / "root-credentials"
    assert S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text()) == {"Version": 1, "AccessKeyId": key_id, "SecretAccessKey": secret}
    path.unlink()
    assert ensure_root_key(store, settings, secrets, clock) == (key_id, secret)
    assert json.loads(path.read_text())["AccessKeyId"] == key_id
    row = store.read(lambda session: session.get_one(AccessKey, key_id))
    assert secret not in row.secret
    found = find_key(store, secrets, clock)(key_id)
    assert found is not None
    assert (found.secret, found.session_token, found.expires_at) == (secret, None, None)
    assert (found.caller.principal_arn, found.caller.account, found.caller.actions) == (ROOT, "123456789012", ("*",))


def test_replicas_that_start_together_agree_on_the_root_key(
    store: Store, tmp_path: Path, secrets: SecretBox, clock: ManualClock
) -> None:
    def start(replica: int) -> tuple[str, str]:
        data = tmp_path / str(replica)
        data.mkdir()
        return ensure_root_key(store, Settings(data=data), secrets, clock)

    with ThreadPoolExecutor(8) as pool:
        pairs = set(pool.map(start, range(8)))
    assert len(pairs) == 1
    assert store.read(lambda session: session.scalar(select(func.count()).select_from(AccessKey))) == 1


def test_a_given_root_key_replaces_the_one_before(
    store: Store, settings: Settings, secrets: SecretBox, clock: ManualClock
) -> None:
    made, _ = ensure_root_key(store, settings, secrets, clock)
    given = Settings(data=settings.data, root_access_key_id="mine", root_secret_access_key="first")
    assert ensure_root_key(store, given, secrets, clock) == ("mine", "first")
    changed = Settings(data=settings.data, root_access_key_id="mine", root_secret_access_key="second")
    assert ensure_root_key(store, changed, secrets, clock) == ("mine", "second")
    # Without the setting it stays as it was last given.
    assert ensure_root_key(store, settings, secrets, clock) == ("mine", "second")
    find = find_key(store, secrets, clock)
    assert find(made) is None
    key = find("mine")
    assert key is not None and key.secret == "second"


def test_a_new_root_key_ends_the_sessions_of_the_old_one(
    store: Store, secrets: SecretBox, clock: ManualClock, settings: Settings
) -> None:
    first = Settings(data=settings.data, root_access_key_id="mine", root_secret_access_key="first")
    second = Settings(data=settings.data, root_access_key_id="mine", root_secret_access_key="second")
    ensure_root_key(store, first, secrets, clock)
    session = store.transact(
        lambda s: open_session(
            s, secrets, principal_arn=ROOT, actions=("*",), now=clock.now(), length=timedelta(hours=1)
        )
    )
    find = find_key(store, secrets, clock, fresh=timedelta(0))

    ensure_root_key(store, first, secrets, clock)
    assert find(session.access_key_id) is not None, "the same key again changes nothing"

    ensure_root_key(store, second, secrets, clock)
    assert find(session.access_key_id) is None


def test_a_given_agents_key_replaces_the_one_before_and_leaves_sessions_alone(
    store: Store, secrets: SecretBox, clock: ManualClock, settings: Settings
) -> None:
    made, _ = ensure_agent_key(store, settings, secrets, clock)
    session = store.transact(
        lambda s: open_session(
            s, secrets, principal_arn=ROOT, actions=("*",), now=clock.now(), length=timedelta(hours=1)
        )
    )
    given = Settings(data=settings.data, agent_access_key_id="agents", agent_secret_access_key="own")

    assert ensure_agent_key(store, given, secrets, clock) == ("agents", "own")

    find = find_key(store, secrets, clock)
    assert find(made) is None
    assert find(session.access_key_id) is not None
    key = find("agents")
    assert key is not None
    assert key.caller.actions == JOIN_ACTIONS


@pytest.mark.parametrize(("key_id", "secret"), [("only", ""), ("", "only"), ("with space", "s"), ("ab", "s")])
def test_half_a_root_key_or_a_strange_one_is_a_bad_setting(
    store: Store, tmp_path: Path, secrets: SecretBox, clock: ManualClock, key_id: str, secret: str
) -> None:
    given = Settings(data=tmp_path, root_access_key_id=key_id, root_secret_access_key=secret)
    with pytest.raises(BadSetting, match="BERTH_ROOT"):
        ensure_root_key(store, given, secrets, clock)


def test_another_master_key_is_told_at_the_start(
    store: Store, settings: Settings, secrets: SecretBox, clock: ManualClock
) -> None:
    ensure_root_key(store, settings, secrets, clock)
    with pytest.raises(Undecipherable, match="master key does not fit"):
        ensure_root_key(store, settings, SecretBox(SecretBox.new_master_key()), clock)


def test_an_agents_key_lets_hosts_join_and_nothing_else(
    store: Store, settings: Settings, secrets: SecretBox, clock: ManualClock
) -> None:
    pair = ensure_agent_key(store, settings, secrets, clock)
    assert ensure_agent_key(store, settings, secrets, clock) == pair
    assert ensure_agent_key(store, settings, secrets, clock, name="other")[0] != pair[0]
    key = find_key(store, secrets, clock)(pair[0])
    assert key is not None
    for action in JOIN_ACTIONS:
        assert key.caller.may(action)
    for action in (
        "ecs:RegisterContainerInstance",
        "ecs:RunTask",
        "ecs:Poll",
        "ecs:DeleteCluster",
        "logs:GetLogEvents",
        "sts:AssumeRole",
        "batch:X",
    ):
        assert not key.caller.may(action)


def test_an_agent_cannot_take_the_root_keys_id(
    store: Store, settings: Settings, secrets: SecretBox, clock: ManualClock
) -> None:
    agent, _ = ensure_agent_key(store, settings, secrets, clock)
    given = Settings(data=settings.data, root_access_key_id=agent, root_secret_access_key="s")
    with pytest.raises(BadSetting, match="already belongs to"):
        ensure_root_key(store, given, secrets, clock)


def test_a_revoked_key_is_noticed_within_seconds(
    store: Store, settings: Settings, secrets: SecretBox, clock: ManualClock
) -> None:
    key_id, _ = ensure_root_key(store, settings, secrets, clock)
    find = find_key(store, secrets, clock, fresh=timedelta(seconds=3))
    assert find(key_id) is not None
    store.transact(lambda session: session.execute(delete(AccessKey)))
    clock.tick(seconds=3)
    assert find(key_id) is None


def test_a_key_made_elsewhere_works_at_once(
    store: Store, settings: Settings, secrets: SecretBox, clock: ManualClock
) -> None:
    find = find_key(store, secrets, clock)
    made = Settings(data=settings.data, root_access_key_id="AKIAMADELATER", root_secret_access_key="s")
    assert find("AKIAMADELATER") is None
    ensure_root_key(store, made, secrets, clock)
    assert find("AKIAMADELATER") is not None


def test_what_is_remembered_is_bounded(
    store: Store, settings: Settings, secrets: SecretBox, clock: ManualClock
) -> None:
    find = find_key(store, secrets, clock, most=2)
    ids = [ensure_agent_key(store, settings, secrets, clock, name=str(index))[0] for index in range(3)]
    for key_id in ids:
        assert find(key_id) is not None
    store.transact(lambda session: session.execute(delete(AccessKey)))
    assert [find(key_id) is None for key_id in ids] == [True, False, False]


@pytest.mark.parametrize("key_id", ["", "\0", "AKIA\0", "\ud800", "ключ", "x" * 5000, "' OR 1=1"])
def test_nonsense_is_no_key(store: Store, secrets: SecretBox, clock: ManualClock, key_id: str) -> None:
    assert find_key(store, secrets, clock)(key_id) is None


def test_a_session_is_found_with_its_token_and_forgotten_after_its_end(
    store: Store, secrets: SecretBox, clock: ManualClock
) -> None:
    made = store.transact(
        lambda session: open_session(
            session, secrets, principal_arn=ROOT, actions=["ecs:*"], now=clock.now(), length=timedelta(hours=1)
        )
    )
    found = find_key(store, secrets, clock)(made.access_key_id)
    assert found == made
    assert found.session_token and found.expires_at == clock.now() + timedelta(hours=1)
    assert made.secret not in repr(made)
    clock.tick(hours=1)
    store.transact(lambda session: forget_access_keys(session, now=clock.now()))
    assert find_key(store, secrets, clock)(made.access_key_id) is None


def test_new_keys_look_like_awss_and_differ() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(len(key_id) == 20 and len(secret) == 40 and key_id.isalnum() for key_id, secret in keys)
