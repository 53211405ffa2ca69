"""Identity: the master key, the root key, the agents' keys, and how the gateway finds whoever signed.

A key is made once and found again by its principal, so that replicas that start together agree and a restart
changes nothing. Secrets lie encrypted in the store; only the root key's is also in a file that its owner may read.
"""

import json
import secrets as randomness
import string
import threading
from base64 import urlsafe_b64decode
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Literal

from kit.aws.errors import ServiceUnavailable
from kit.aws.joining import JOIN_ACTION
from kit.aws.sigv4 import Caller, Key
from kit.clock import Clock
from kit.files import read_or_create, write_private
from kit.secrets import SecretBox, Undecipherable
from kit.settings import BadSetting, Settings
from orchestrator.role_actions import LOG_ACTIONS, PULL_ACTIONS
from state.access_keys import AccessKey, end_sessions, get_access_key, list_principal_keys
from state.leases import claim_lease
from state.store import Session, Store, StoreUnavailable

# What the protocol of the ECS agent, its awslogs driver and its image pulls call, and nothing else.
HOST_ACTIONS = (
    "ecs:CreateCluster",
    "ecs:DescribeClusters",
    "ecs:RegisterContainerInstance",
    "ecs:DeregisterContainerInstance",
    "ecs:UpdateContainerInstancesState",
    "ecs:DiscoverPollEndpoint",
    "ecs:Poll",
    "ecs:StartTelemetrySession",
    "ecs:SubmitTaskStateChange",
    "ecs:SubmitContainerStateChange",
    "ecs:SubmitAttachmentStateChanges",
    # What a task's metadata says of its tags, and of its host's own only.
    "ecs:ListTagsForResource",
    *PULL_ACTIONS,
    *LOG_ACTIONS,
    "sts:GetCallerIdentity",
)
# With a key that may join a host may also ask where the registry is: the token that comes with the answer is good for
# what its key may do, and that is nothing.
JOIN_ACTIONS = (JOIN_ACTION, "ecr:GetAuthorizationToken", "sts:GetCallerIdentity")
# How long a replica may still accept a key that was revoked elsewhere.
FRESH = timedelta(seconds=3)
MOST_CACHED = 1024
_ID_CHARACTERS = string.ascii_uppercase + "234567"
_SECRET_CHARACTERS = string.ascii_letters + string.digits + "+/"


def load_master_key(settings: Settings) -> str:
    """The key that secrets at rest are encrypted with: the setting, or the data directory's, made when missing.

    Raises BadSetting when it is not 32 bytes in URL-safe base64.
    """
    path = settings.data / "master-key"
    source = "BERTH_SECRET_KEY" if settings.secret_key else str(path)
    text = settings.secret_key or read_or_create(path, SecretBox.new_master_key() + "\n")
    key = text.strip()
    try:
        fits = len(urlsafe_b64decode(key.encode())) == 32
    except ValueError:
        fits = False
    if not fits:
        raise BadSetting(f"{source} must hold 32 bytes in URL-safe base64")
    return key


def ensure_root_key(store: Store, settings: Settings, secrets: SecretBox, clock: Clock) -> tuple[str, str]:
    """The root key's id and secret: the settings', or else the one made at the first start.

    It is also written to ``root-credentials`` in the data directory, in the form of a ``credential_process``.
    A key given in the settings replaces every root key before it and ends all sessions. Raises BadSetting.
    """
    given = _given_key(settings, "root")
    principal = f"arn:aws:iam::{settings.account}:root"
    pair = _ensure_key(store, secrets, clock, principal=principal, actions=("*",), given=given, ends_sessions=True)
    path = settings.data / "root-credentials"
    text = json.dumps({"Version": 1, "AccessKeyId": pair[0], "SecretAccessKey": pair[1]}) + "\n"
    # Also after a crash between the store's commit and this file: the next start makes it good.
    if not path.exists() or path.read_text() != text:
        write_private(path, text)
    return pair


def ensure_agent_key(
    store: Store, settings: Settings, secrets: SecretBox, clock: Clock, *, name: str = "local"
) -> tuple[str, str]:
    """Id and secret of a key with which hosts may join and nothing else; the same for the same name.

    Each agent that joins gets a key of its own. This one may be given in the settings, as the root key may. Raises
    BadSetting.
    """
    principal = f"arn:aws:iam::{settings.account}:user/berth/agent/{name}"
    given = _given_key(settings, "agent") if name == "local" else None
    return _ensure_key(store, secrets, clock, principal=principal, actions=JOIN_ACTIONS, given=given)


def find_key(
    store: Store, secrets: SecretBox, clock: Clock, *, fresh: timedelta = FRESH, most: int = MOST_CACHED
) -> Callable[[str], Key | None]:
    """How the gateway looks keys up: by id, remembering at most ``most`` of them for ``fresh``."""
    remembered: OrderedDict[str, tuple[Key, datetime]] = OrderedDict()
    lock = threading.Lock()

    def find(access_key_id: str) -> Key | None:
        now = clock.now()
        with lock:
            known = remembered.get(access_key_id)
        if known is not None and known[1] <= now < known[1] + fresh:
            return known[0]
        try:
            row = store.read(lambda session: get_access_key(session, access_key_id)) if _is_id(access_key_id) else None
        except StoreUnavailable as trouble:
            raise ServiceUnavailable(str(trouble)) from trouble
        with lock:
            if row is None:
                # Unknown ids are not remembered: a key made a moment ago by another replica works at once.
                remembered.pop(access_key_id, None)
                return None
            key = _open(row, secrets)
            if row.speaks_for == "":
                # Its host registers at any moment, and must be known from then on.
                remembered.pop(access_key_id, None)
                return key
            remembered[access_key_id] = (key, now)
            remembered.move_to_end(access_key_id)
            while len(remembered) > most:
                remembered.popitem(last=False)
        return key

    return find


def open_session(
    session: Session,
    secrets: SecretBox,
    *,
    principal_arn: str,
    actions: Sequence[str],
    now: datetime,
    length: timedelta,
    speaks_for: str | None = None,
) -> Key:
    """Make a temporary key (ASIA…, with a session token) that ends after ``length``."""
    key_id, secret = new_key("ASIA")
    token = randomness.token_urlsafe(256)
    row = AccessKey(
        id=key_id,
        secret=secrets.encrypt(secret),
        session_token=secrets.encrypt(token),
        principal_arn=principal_arn,
        actions=list(actions),
        expires_at=now + length,
        created_at=now,
        speaks_for=speaks_for,
    )
    session.add(row)
    return _key(row, secret=secret, token=token)


def new_key(prefix: str = "AKIA") -> tuple[str, str]:
    """A fresh access key id of 20 characters and a secret of 40."""
    return (
        prefix + "".join(randomness.choice(_ID_CHARACTERS) for _ in range(16)),
        "".join(randomness.choice(_SECRET_CHARACTERS) for _ in range(40)),
    )


def _given_key(settings: Settings, whose: Literal["root", "agent"]) -> tuple[str, str] | None:
    if whose == "root":
        key_id, secret = settings.root_access_key_id, settings.root_secret_access_key
    else:
        key_id, secret = settings.agent_access_key_id, settings.agent_secret_access_key
    if not key_id and not secret:
        return None
    id_name, secret_name = f"BERTH_{whose.upper()}_ACCESS_KEY_ID", f"BERTH_{whose.upper()}_SECRET_ACCESS_KEY"
    if not (key_id and secret):
        raise BadSetting(f"{id_name} and {secret_name} go together: give both or none")
    if not _is_id(key_id):
        raise BadSetting(f"{id_name} must be 3 to 128 letters and digits")
    return key_id, secret


def _is_id(text: str) -> bool:
    """Whether this can be a key's id: other texts need not, and some cannot, be looked up."""
    return text.isascii() and text.isalnum() and 3 <= len(text) <= 128


def _ensure_key(
    store: Store,
    secrets: SecretBox,
    clock: Clock,
    *,
    principal: str,
    actions: Sequence[str],
    given: tuple[str, str] | None = None,
    ends_sessions: bool = False,
) -> tuple[str, str]:
    def work(session: Session) -> tuple[str, str]:
        now = clock.now()
        # Whoever comes second waits here, or is sent round again, and then finds the first one's key.
        claim_lease(session, f"key:{principal[-70:]}", "identity", now=now, length=timedelta(0))
        session.flush()
        kept = list_principal_keys(session, principal)
        wanted = given
        if wanted is None and kept:
            wanted = (kept[0].id, secrets.decrypt(kept[0].secret))
        key_id, secret = wanted or new_key()
        row = get_access_key(session, key_id)
        if row is None:
            row = AccessKey(id=key_id, created_at=now)
            session.add(row)
        elif row.principal_arn != principal:
            raise BadSetting(f"access key {key_id} already belongs to {row.principal_arn}")
        changed = row.secret is not None and not _says(secrets, row.secret, secret)
        if row.secret is None or given is not None:
            row.secret = secrets.encrypt(secret)
        row.principal_arn = principal
        row.actions = list(actions)
        row.session_token = row.expires_at = None
        if given is not None:
            old = [each for each in kept if each.id != key_id]
            for each in old:
                session.delete(each)
            if ends_sessions and (old or changed):
                # Whoever gives a new key may not trust the old one any more, nor what was made with it.
                end_sessions(session)
        return key_id, secret

    return store.transact(work)


def _says(secrets: SecretBox, kept: str, secret: str) -> bool:
    try:
        return secrets.decrypt(kept) == secret
    except Undecipherable:
        return False


def _open(row: AccessKey, secrets: SecretBox) -> Key:
    token = None if row.session_token is None else secrets.decrypt(row.session_token)
    return _key(row, secret=secrets.decrypt(row.secret), token=token)


def _key(row: AccessKey, *, secret: str, token: str | None) -> Key:
    return Key(
        access_key_id=row.id,
        secret=secret,
        session_token=token,
        expires_at=row.expires_at,
        caller=Caller(
            access_key_id=row.id,
            principal_arn=row.principal_arn,
            account=row.principal_arn.split(":")[4],
            actions=tuple(row.actions),
            speaks_for=row.speaks_for,
        ),
    )
