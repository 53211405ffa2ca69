"""Orphans: bytes in the storage of which no row tells, left by a push that was killed before it recorded them."""

from collections.abc import Iterator
from datetime import datetime
from itertools import islice

from registry.storage import Storage
from state.garbage import PAGE, known_blobs
from state.store import Store


def list_orphans(store: Store, storage: Storage, *, before: datetime) -> Iterator[dict[str, int]]:
    """Digests with sizes, a page at a time, of those that are older: younger ones are about to be recorded."""
    old = (digest for digest, kept_at in storage.blobs() if kept_at <= before)
    while page := list(islice(old, PAGE)):
        known = store.read(lambda session, page=page: known_blobs(session, page))  # type: ignore[misc]
        unknown = [digest for digest in page if digest not in known]
        yield {digest: size for digest in unknown if (size := storage.size(digest)) is not None}
