"""The errand: what a handler receives that waits for more than the store: blob bytes, the network, other calls.

Such an operation is bound with ``outside=True``. No transaction is open while it runs; it opens short ones
itself, each with a call as any other handler gets it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from kit.aws.sigv4 import Caller
from kit.clock import Clock
from kit.secrets import SecretBox
from kit.settings import Settings
from orchestrator.agents.report_desk import ReportDesk
from orchestrator.call import Call
from registry.cache.cache import Cache
from registry.home import Home
from registry.storage import Storage
from registry.uploads import Uploads
from state.store import Session, Store

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What errands of one process share."""

    clock: Clock
    settings: Settings
    secrets: SecretBox
    desk: ReportDesk
    storage: Storage
    uploads: Uploads
    cache: Cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """One authenticated, authorised, decoded and validated call, outside of any transaction."""

    store: Store
    caller: Caller
    tools: Tools
    # Makes the call of one transaction.
    enter: Callable[[Session], Call]

    def read(self, work: Callable[[Call], T]) -> T:
        """Run ``work`` on one view of the store."""
        return self.store.read(lambda session: work(self.enter(session)))

    def transact(self, work: Callable[[Call], T]) -> T:
        """Run ``work`` in one transaction; it may be run again after a conflict."""
        return self.store.transact(lambda session: work(self.enter(session)))


def make_tools(store: Store, storage: Storage, *, clock: Clock, settings: Settings, secrets: SecretBox) -> Tools:
    """The tools of a process over its store and the registry's storage."""
    # A process that serves the API alone may well have been given no storage.
    home = Home(store, storage, founds=False)
    uploads = Uploads(store, storage, clock=clock, account=settings.account, home=home)
    return Tools(
        clock=clock,
        settings=settings,
        secrets=secrets,
        desk=ReportDesk(store, clock),
        storage=storage,
        uploads=uploads,
        cache=Cache(store, uploads, clock=clock, settings=settings, secrets=secrets),
    )
