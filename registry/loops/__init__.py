"""The registry's loops: what it does by itself. Each stands on ``state.loop``; they meet in the store alone."""

from kit.clock import Clock
from kit.reconciler import Reconciler
from kit.secrets import SecretBox
from kit.settings import Settings
from registry.loops.garbage import GarbageLoop
from registry.loops.lifecycle import LifecycleLoop
from registry.loops.replications import ReplicationsLoop
from registry.loops.scans import ScansLoop
from registry.loops.scrub import ScrubLoop
from registry.storage import Storage
from state.loop import Leases
from state.store import Store


def make_loops(
    store: Store, clock: Clock, leases: Leases, *, storage: Storage, settings: Settings, secrets: SecretBox
) -> list[Reconciler]:
    """Every loop of the registry, in no particular order."""
    return [
        GarbageLoop(store, clock, leases, storage=storage, settings=settings),
        LifecycleLoop(store, clock, leases, settings=settings),
        ReplicationsLoop(store, clock, leases, storage=storage, secrets=secrets),
        ScansLoop(store, clock, storage=storage, settings=settings),
        ScrubLoop(store, clock, leases, storage=storage, settings=settings),
    ]
