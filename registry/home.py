"""Home: whether a process has the storage that the registry's blobs are in, and not another one.

A storage has an identity, written beneath it once. The first registry on a store records its storage's there; from
then on no process whose storage is another one takes a blob: it would be lost to everybody else.
"""

import logging

from kit.ids import new_uuid
from registry.errors import NotAtHome
from registry.storage import Storage, StorageError
from state.registry_account import get_registry_account, lock_registry_account
from state.store import Session, Store, StoreUnavailable

log = logging.getLogger(__name__)


class Home:
    """The storage of one process. ``founds`` says that it may become the registry's where there is none yet."""

    def __init__(self, store: Store, storage: Storage, *, founds: bool) -> None:
        self._store = store
        self._storage = storage
        self._founds = founds
        self._right = False

    def check(self) -> None:
        """Raise NotAtHome unless the process has the registry's storage. Asks once, if it has."""
        if self._right:
            return
        recorded = self._store.read(lambda session: get_registry_account(session).storage)
        found = self._storage.identity()
        if recorded is None and self._founds:
            found = self._storage.identity(new_uuid())
            recorded = self._store.transact(lambda session: _record(session, found))
        if recorded is None:
            log.info("no storage is the registry's yet")
            raise NotAtHome
        if recorded != found:
            log.error("this process does not have the registry's storage", extra={"registry": recorded, "here": found})
            raise NotAtHome
        self._right = True

    def settle(self) -> None:
        """The check, when a process starts: trouble is logged and met again when a blob arrives."""
        try:
            self.check()
        except (NotAtHome, StorageError, StoreUnavailable) as error:
            log.error("blobs cannot be taken", extra={"because": str(error)})


def move_in(store: Store, storage: Storage) -> str:
    """Make this storage the registry's, whatever was before; answers its identity. For operators alone."""
    found = storage.identity(new_uuid())

    def record(session: Session) -> None:
        lock_registry_account(session).storage = found

    store.transact(record)
    return str(found)


def _record(session: Session, identity: str | None) -> str | None:
    account = lock_registry_account(session)
    account.storage = account.storage or identity
    return account.storage
