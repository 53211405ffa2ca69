"""Joining: the host's own access key, got once with the key that the agent was started with, and kept.

A control plane that has no such door, or no mind to open it to this key, is spoken to with the key as it is.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from agent.control.aws import ApiError
from agent.control.refusal import NOT_KNOWN
from agent.keys import Keys
from agent.log import facts
from kit.aws.joining import JOIN_PATH, derive_secret
from kit.files import write_private
from kit.ids import new_id

# What a control plane answers that gives no keys to hosts, or none to who has this one.
NO_DOOR = ("AccessDeniedException", "UnknownOperationException", "InvalidAction", "HTTP404", "HTTP405")
USED = "JoinTokenUsed"
ENDED = ("ExpiredTokenException", *NOT_KNOWN)

log = facts(__name__)


class Door(Protocol):
    """What joining needs of the control plane."""

    def post(self, path: str, body: Mapping[str, Any], *, keys: Keys) -> Any: ...

    def use(self, keys: Keys) -> None: ...


class CannotJoin(Exception):
    """The control plane will not have this host; the text says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """``nonce`` is written before it is first used, so that a join whose answer was lost is the same join."""

    nonce: str
    access_key_id: str = ""
    secret_access_key: str = ""


class HostKey:
    """``host-key.json`` in the data directory, 0600. ``given`` is the key that the agent was started with, if any."""

    def __init__(self, data: Path, given: Keys | None) -> None:
        self._path = data / "host-key.json"
        self._given = given

    def take_up(self, door: Door) -> None:
        """Have the control plane spoken to with the host's own key. Raises CannotJoin, ApiError, Unreachable."""
        kept = self._load()
        if not kept.access_key_id:
            if self._given is None:
                raise CannotJoin("no key: start it with a join token (made by 'berth agent token')")
            kept = self._join(door, self._given, kept)
        if kept.access_key_id:
            door.use(Keys(access_key=kept.access_key_id, secret_key=kept.secret_access_key))

    def lost(self, error: ApiError) -> bool:
        """Whether the control plane's refusal means that the key is over, and another one is to be had."""
        if error.code not in NOT_KNOWN or not self._load().access_key_id:
            return False
        if self._given is None:
            raise CannotJoin("this host's key has ended or was revoked: give it a new join token")
        log.warning("host key not known any more", because=str(error))
        self._path.unlink(missing_ok=True)
        return True

    def _join(self, door: Door, given: Keys, kept: _Kept) -> _Kept:
        self._save(kept)
        try:
            key_id = str(door.post(JOIN_PATH, {"nonce": kept.nonce}, keys=given)["accessKeyId"])
        except (ApiError, LookupError, TypeError) as error:
            if isinstance(error, ApiError) and error.code == USED:
                raise CannotJoin(error.message) from error
            if isinstance(error, ApiError) and error.code in ENDED:
                raise CannotJoin(
                    f"the join token or key that it was started with has ended or is not known ({error.code}): "
                    "make another token with 'berth agent token'"
                ) from error
            if isinstance(error, ApiError) and error.code not in NO_DOOR:
                raise
            log.info("no key of its own for this host", because=str(error))
            return kept
        secret = derive_secret(given.secret_key, nonce=kept.nonce, key_id=key_id)
        log.info("joined", key=key_id)
        return self._save(_Kept(nonce=kept.nonce, access_key_id=key_id, secret_access_key=secret))

    def _load(self) -> _Kept:
        try:
            return _Kept(**json.loads(self._path.read_text()))
        except FileNotFoundError:
            return _Kept(nonce=new_id())
        except (ValueError, TypeError) as error:
            raise CannotJoin(f"{self._path} cannot be read as a host's key: {error}") from error

    def _save(self, kept: _Kept) -> _Kept:
        write_private(self._path, json.dumps(asdict(kept)))
        return kept
