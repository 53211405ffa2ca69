"""Parts: a layer that comes over the ECR API, into the same sessions as one that is pushed to ``/v2``.

A part begins where the one before it ended. One that has arrived already, byte for byte, is taken as a repeat whose
answer got lost. Every part but the last has five mebibytes at least, which is known only at the end.
"""

from collections.abc import Sequence

from registry.errors import BlobUploadUnknown, DigestInvalid, OutOfOrder, RegistryError, UploadBusy
from registry.names import algorithm_of
from registry.uploads import Uploads
from state.blobs import get_blob
from state.store import Session, Store
from state.uploads import Upload, get_upload, note_part

MEBIBYTE = 1024 * 1024
PART_SIZE = 10 * MEBIBYTE
SMALLEST = 5 * MEBIBYTE
MOST_PARTS = 4200
LARGEST_LAYER = 52_000 * MEBIBYTE


class TooMuch(RegistryError):
    """a layer has 4,200 parts and 52,000 MiB at most"""


class NotNext(RegistryError):
    """the part does not begin where the layer ends so far, which is at ``offset``"""

    def __init__(self, offset: int) -> None:
        super().__init__(f"the part must begin at byte {offset}")
        self.offset = offset


class LayerThere(RegistryError):
    """the layer is in the repository already"""


class NothingThere(RegistryError):
    """nothing has arrived"""


class PartTooSmall(RegistryError):
    """a part that is not the last has less than 5 MiB"""


def take_part(store: Store, uploads: Uploads, repository: str, upload: str, *, first: int, data: bytes) -> int:
    """Append the part; answers where the layer ends now.

    Raises BlobUploadUnknown, NotNext, TooMuch, StorageFull, NotAtHome.
    """
    row = _find(store, repository, upload)
    if row.parts >= MOST_PARTS or first + len(data) > LARGEST_LAYER:
        raise TooMuch
    try:
        incoming = uploads.write(repository, upload, at=first)
    except OutOfOrder:
        end = uploads.offset(repository, upload)
        if first + len(data) <= end and uploads.holds(upload, first, data):
            return first + len(data)
        raise NotNext(end) from None
    except UploadBusy:
        raise NotNext(uploads.offset(repository, upload)) from None
    try:
        incoming.write(data)
        incoming.flush()
        short = len(data) < SMALLEST
        # While the session is still held: parts are counted in their order.
        store.transact(lambda session: note_part(session, upload, short=short))
    finally:
        incoming.close()
    return first + len(data)


def complete(store: Store, uploads: Uploads, repository: str, upload: str, digests: Sequence[str]) -> str:
    """Verify that what has arrived has every one of the digests, and make it a blob under the first; answers that.

    Raises BlobUploadUnknown, LayerThere, NothingThere, PartTooSmall, DigestInvalid, StorageFull, NotAtHome.
    """
    digest, *others = dict.fromkeys(digests)
    if store.read(lambda session: get_blob(session, repository, digest)) is not None:
        raise LayerThere
    row = _find(store, repository, upload)
    if row.short_part:
        raise PartTooSmall
    if uploads.offset(repository, upload) == 0:
        raise NothingThere
    incoming = uploads.write(repository, upload)
    try:
        for other in others:
            actual = uploads.hash_again(upload, algorithm_of(other))
            if actual != other:
                raise DigestInvalid(detail={"provided": other, "uploaded": actual})
        incoming.finish(digest)
    finally:
        incoming.close()
    return digest


def _find(store: Store, repository: str, upload: str) -> Upload:
    def find(session: Session) -> Upload | None:
        return get_upload(session, repository, upload)

    row = store.read(find)
    if row is None:
        raise BlobUploadUnknown
    return row
