"""Look-ups of pulls and pushes: one statement each, asked at every request.

On SQLite they run on a connection of their own that only reads, in microseconds, so the event loop may ask them
itself: in WAL mode a reader waits for no writer. On PostgreSQL they are a round trip, and belong in a thread.
"""

import logging
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Compiled,
    Executable,
    and_,
    bindparam,
    exists,
    func,
    literal,
    or_,
    select,
    type_coerce,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import SQLAlchemyError

from state.base import EPOCH
from state.blobs import Blob, BlobLink
from state.images import Image, Tag
from state.pull_through_rules import PullThroughRule
from state.registry_account import PolicyTexts, RegistryAccount
from state.repositories import Repository
from state.scrubs import STANDING, Standing
from state.store import Store
from state.uploads import Upload

log = logging.getLogger(__name__)
_REPOSITORY: BindParameter[str] = bindparam("repository")
_REFERENCE: BindParameter[str] = bindparam("reference")
_PREFIX = PullThroughRule.prefix
_IS_CACHED = exists().where(
    or_(_PREFIX == "ROOT", func.substr(Image.repository, 1, func.length(_PREFIX) + 1) == _PREFIX + "/")
)
_IMAGE = (
    select(
        Image.digest,
        Image.media_type,
        Image.body_size,
        Image.status,
        type_coerce(Image.pulled_at, BigInteger),
        Repository.policy,
        RegistryAccount.policy,
        RegistryAccount.policy_scope,
        _IS_CACHED,
    )
    .join(Repository, Repository.name == Image.repository)
    # The account has one row at most.
    .join(RegistryAccount, RegistryAccount.id.is_not(None), isouter=True)
)
_BY_DIGEST = _IMAGE.where(Image.repository == _REPOSITORY, Image.digest == _REFERENCE)
_BY_TAG = _IMAGE.join(Tag, and_(Tag.repository == Image.repository, Tag.digest == Image.digest)).where(
    Tag.repository == _REPOSITORY, Tag.name == _REFERENCE
)
_BLOB = (
    select(Blob.size, Repository.policy, RegistryAccount.policy, RegistryAccount.policy_scope)
    .join(BlobLink, BlobLink.digest == Blob.digest)
    .join(Repository, Repository.name == BlobLink.repository)
    .join(RegistryAccount, RegistryAccount.id.is_not(None), isouter=True)
    .where(BlobLink.repository == _REPOSITORY, BlobLink.digest == _REFERENCE)
)
_BODY = select(Image.body).where(Image.repository == _REPOSITORY, Image.digest == _REFERENCE)
_POLICIES = (
    select(Repository.policy, RegistryAccount.policy, RegistryAccount.policy_scope)
    .join(RegistryAccount, RegistryAccount.id.is_not(None), isouter=True)
    .where(Repository.name == _REPOSITORY)
)
_UPLOAD = select(literal(1)).where(Upload.repository == _REPOSITORY, Upload.id == _REFERENCE)
# As text with its constants, for a connection that is SQLite's own.
_COMPILED: dict[Executable, Compiled] = {
    statement: statement.compile(dialect=sqlite.dialect(paramstyle="named"))
    for statement in (_BY_DIGEST, _BY_TAG, _BLOB, _BODY, _POLICIES, _UPLOAD, STANDING)
}
_TEXTS = {statement: (str(compiled), dict(compiled.params)) for statement, compiled in _COMPILED.items()}


@dataclass(frozen=True, slots=True)
class FoundImage:
    """What a pull must know of an image, and the policies that speak of its repository."""

    digest: str
    media_type: str
    body_size: int
    status: str
    pulled_at: datetime | None
    policies: PolicyTexts
    # Whether an upstream may know better what the tag stands for.
    is_cached: bool


@dataclass(frozen=True, slots=True)
class FoundBlob:
    """A blob that a repository shows, and the policies that speak of the repository."""

    size: int
    policies: PolicyTexts


_NO_POLICIES = PolicyTexts()


class Lookups:
    """Asks one store, from any thread. Where it is ``immediate``, it waits for other threads' look-ups at most."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._reader = store.open_reader()
        self._turn = threading.Lock()
        self.immediate = self._reader is not None

    def image(self, repository: str, reference: str) -> FoundImage | None:
        """The image of a tag or digest; None when there is none, or the store could not say."""
        row = self._ask(_BY_DIGEST if ":" in reference else _BY_TAG, repository=repository, reference=reference)
        if row is None:
            return None
        digest, media_type, body_size, status, pulled_us, policy, registry_policy, scope, is_cached = row
        return FoundImage(
            digest,
            media_type,
            body_size,
            status,
            None if pulled_us is None else EPOCH + timedelta(microseconds=pulled_us),
            _policies(policy, registry_policy, scope),
            bool(is_cached),
        )

    def blob(self, repository: str, digest: str) -> FoundBlob | None:
        """The blob, when the repository shows it; None also when the store could not say."""
        row = self._ask(_BLOB, repository=repository, reference=digest)
        return None if row is None else FoundBlob(row[0], _policies(row[1], row[2], row[3]))

    def body(self, repository: str, digest: str) -> bytes | None:
        """The manifest's bytes; None when they are not there, or the store could not say."""
        row = self._ask(_BODY, repository=repository, reference=digest)
        return None if row is None else bytes(row[0])

    def policies(self, repository: str) -> PolicyTexts | None:
        """The policies that speak of a repository; None when there is no such one, or the store could not say."""
        row = self._ask(_POLICIES, repository=repository)
        return None if row is None else _policies(row[0], row[1], row[2])

    def has_upload(self, repository: str, upload: str) -> bool:
        """Whether the session is the repository's; False also when the store could not say."""
        return self._ask(_UPLOAD, repository=repository, reference=upload) is not None

    def standing(self, digest: str) -> Standing | None:
        """How the digest stands; None when the store could not say."""
        row = self._ask(STANDING, digest=digest)
        return None if row is None else Standing(bool(row[0]), row[1], bool(row[2]))

    def _ask(self, statement: Executable, **given: str) -> Sequence[Any] | None:
        try:
            if self._reader is not None:
                statement_text, constants = _TEXTS[statement]
                with self._turn:
                    # To the end, or the statement would hold its view of the database open.
                    rows: Sequence[Sequence[Any]] = self._reader.execute(statement_text, constants | given).fetchall()
            else:
                with self._store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                    rows = connection.execute(statement, given).all()
        except (sqlite3.Error, SQLAlchemyError) as trouble:
            # Whoever asks the long way hears what the trouble is.
            log.debug("lookup failed", extra={"because": str(trouble)})
            return None
        return rows[0] if rows else None


def _policies(repository: str | None, registry: str | None, scope: str | None) -> PolicyTexts:
    if repository is None and registry is None:
        return _NO_POLICIES
    return PolicyTexts(repository=repository, registry=registry, scope=scope or "V1")
