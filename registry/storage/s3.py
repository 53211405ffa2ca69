"""Blobs as objects of an S3-compatible store: ``blobs/<algorithm>/<two digits>/<hex>`` and ``uploads/<id>/…``.

A spool is a row of pieces, each an object whose name is the offset at which it begins; a piece is put on the
condition that there is none of its name, so two writers can never interleave. A blob is put together inside the
store from the pieces (multipart copies) and appears whole when that is complete. Nothing is kept in this process, so
an upload may continue in another one. Waiting bytes lie in a temporary file, so memory stays flat.
Parts of a copy that a crash left behind are no object; the bucket's rule AbortIncompleteMultipartUpload ends them.
"""

import io
import re
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import IO, Any, BinaryIO, cast

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from registry.storage import CHUNK, Busy, NotStored, StorageError, WrongOffset

# A piece of a spool, but for the last of each request.
PIECE = 16 * 1024 * 1024
# S3 takes no smaller part of a multipart upload, but for the last.
SMALLEST_PART = 5 * 1024 * 1024
# One copy inside S3 takes no more.
LARGEST_COPY = 5 * 1024 * 1024 * 1024
_UPLOAD = re.compile(r"[0-9A-Za-z-]{1,64}")
_MISSING = ("404", "NoSuchKey", "NotFound")
_TAKEN = ("PreconditionFailed", "412", "ConditionalRequestConflict", "409")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Where objects are kept; without keys, those of the process's environment or role are used."""

    name: str
    prefix: str = ""
    endpoint: str | None = None
    region: str = "us-east-1"
    access_key_id: str | None = None
    secret_access_key: str | None = None


class S3Storage:
    """Keeps blobs in a bucket that exists. ``piece`` is how many bytes are put at a time."""

    def __init__(self, bucket: Bucket, *, piece: int = PIECE) -> None:
        self._bucket = bucket.name
        self._prefix = f"{bucket.prefix.strip('/')}/" if bucket.prefix.strip("/") else ""
        self._piece = piece
        self._writing: set[str] = set()
        self._lock = threading.Lock()
        self._client = botocore.session.Session().create_client(
            "s3",
            region_name=bucket.region,
            endpoint_url=bucket.endpoint,
            aws_access_key_id=bucket.access_key_id,
            aws_secret_access_key=bucket.secret_access_key,
            config=Config(
                # AWS_ENDPOINT_URL leads to Berth itself.
                ignore_configured_endpoint_urls=True,
                s3={"addressing_style": "path" if bucket.endpoint else "auto"},
                # Not every compatible store knows the newer checksums; blobs are verified by their digests.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                max_pool_connections=64,
                connect_timeout=10,
                read_timeout=60,
                retries={"total_max_attempts": 4, "mode": "standard"},
            ),
        )

    def identity(self, given: str | None = None) -> str | None:
        key = f"{self._prefix}identity"
        with suppress(NotStored):
            return self._text(key)
        if given is None:
            return None
        # Of several that write it at once the first one stays.
        with suppress(_Taken):
            self._ask("put_object", Key=key, Body=given.encode(), IfNoneMatch="*")
        return self._text(key)

    def size(self, digest: str) -> int | None:
        try:
            return int(self._ask("head_object", Key=self._blob(digest))["ContentLength"])
        except NotStored:
            return None

    def open(self, digest: str) -> BinaryIO:
        size = self.size(digest)
        if size is None:
            raise NotStored(digest)
        return cast(BinaryIO, _Object(self, self._blob(digest), size))

    def link(self, digest: str, *, lasts: timedelta) -> str:
        """A URL that reads the blob for so long without credentials."""
        return str(
            self._client.generate_presigned_url(
                "get_object",
                Params={"Bucket": self._bucket, "Key": self._blob(digest)},
                ExpiresIn=int(lasts.total_seconds()),
            )
        )

    def delete(self, digest: str) -> None:
        self._ask("delete_object", Key=self._blob(digest))

    def blobs(self) -> Iterator[tuple[str, datetime]]:
        """Every blob's digest and the instant it was kept."""
        for found in self._list(f"{self._prefix}blobs/"):
            algorithm, _, digits = found["Key"].removeprefix(f"{self._prefix}blobs/").split("/")
            yield f"{algorithm}:{digits}", found["LastModified"]

    def start(self, upload: str) -> None:
        self._ask("put_object", Key=self._spool(upload, "started"), Body=b"")

    def offset(self, upload: str) -> int:
        return _end(self._pieces(upload))

    @contextmanager
    def append(self, upload: str, *, at: int | None = None) -> Iterator["S3Spool"]:
        offset = self.offset(upload)
        if at is not None and at != offset:
            raise WrongOffset(offset)
        with self._lock:
            if upload in self._writing:
                raise Busy(upload)
            self._writing.add(upload)
        try:
            with tempfile.TemporaryFile() as waiting:
                spool = S3Spool(self, upload, offset, waiting, self._piece)
                # What has come is kept, also when the request that brought it fails.
                try:
                    yield spool
                finally:
                    spool.flush()
        finally:
            self._writing.discard(upload)

    def read_upload(self, upload: str, *, at: int = 0) -> BinaryIO:
        return io.BufferedReader(_Pieces(self, self._pieces(upload), at), CHUNK)

    def keep(self, upload: str, digest: str) -> None:
        pieces, key = self._pieces(upload), self._blob(digest)
        size = _end(pieces)
        if self.size(digest) == size:
            return
        if size < SMALLEST_PART:
            self._ask("put_object", Key=key, Body=b"".join(self.read(each["Key"]).read() for each in pieces))
        elif len(pieces) == 1 and size <= LARGEST_COPY:
            self._ask("copy_object", Key=key, CopySource=self._source(pieces[0]))
        else:
            self._put_together(key, pieces)

    def drop(self, upload: str) -> None:
        # The beginning goes last: a spool that is half dropped is listed, and dropped again.
        for found in reversed(list(self._list(self._spool(upload, "")))):
            self._ask("delete_object", Key=found["Key"])

    def uploads(self) -> Iterator[tuple[str, datetime]]:
        latest: tuple[str, datetime] | None = None
        for found in self._list(f"{self._prefix}uploads/"):
            upload, touched_at = (
                found["Key"].removeprefix(f"{self._prefix}uploads/").split("/")[0],
                found["LastModified"],
            )
            if latest is not None and latest[0] != upload:
                yield latest
                latest = None
            latest = (upload, touched_at if latest is None else max(latest[1], touched_at))
        if latest is not None:
            yield latest

    def put_piece(self, upload: str, offset: int, body: IO[bytes], length: int) -> None:
        """Put ``length`` bytes where the spool ends; raises Busy when somebody else did."""
        try:
            self._ask(
                "put_object",
                Key=self._spool(upload, f"{offset:020d}"),
                Body=body,
                ContentLength=length,
                IfNoneMatch="*",
            )
        except _Taken:
            raise Busy(upload) from None

    def read(self, key: str, first: int = 0) -> Any:
        """The object's bytes from ``first`` on, as a stream."""
        return self._ask("get_object", Key=key, **({"Range": f"bytes={first}-"} if first else {}))["Body"]

    def _put_together(self, key: str, pieces: Sequence[dict[str, Any]]) -> None:
        upload_id = self._ask("create_multipart_upload", Key=key)["UploadId"]
        try:
            parts: list[dict[str, Any]] = []
            small = bytearray()
            for piece in pieces:
                # A part must not be small, so small pieces, and what follows them until there is enough, are read.
                if not small and piece["Size"] >= SMALLEST_PART:
                    copied = self._ask(
                        "upload_part_copy",
                        Key=key,
                        UploadId=upload_id,
                        PartNumber=len(parts) + 1,
                        CopySource=self._source(piece),
                    )
                    parts.append({"PartNumber": len(parts) + 1, "ETag": copied["CopyPartResult"]["ETag"]})
                    continue
                small += self.read(piece["Key"]).read()
                if len(small) >= SMALLEST_PART or piece is pieces[-1]:
                    put = self._ask(
                        "upload_part", Key=key, UploadId=upload_id, PartNumber=len(parts) + 1, Body=bytes(small)
                    )
                    parts.append({"PartNumber": len(parts) + 1, "ETag": put["ETag"]})
                    small.clear()
            self._ask("complete_multipart_upload", Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts})
        except BaseException:
            self._ask("abort_multipart_upload", Key=key, UploadId=upload_id)
            raise

    def _pieces(self, upload: str) -> list[dict[str, Any]]:
        """The spool's pieces in their order, as S3 lists them; raises NotStored."""
        found = list(self._list(self._spool(upload, "")))
        if not found:
            raise NotStored(upload)
        pieces: list[dict[str, Any]] = []
        for each in found:
            name = each["Key"].rpartition("/")[2]
            if name.isdigit() and int(name) == _end(pieces):
                pieces.append({"Key": each["Key"], "Size": each["Size"], "At": int(name)})
        return pieces

    def _list(self, prefix: str) -> Iterator[dict[str, Any]]:
        token: dict[str, str] = {}
        while True:
            page = self._ask("list_objects_v2", Prefix=prefix, **token)
            yield from page.get("Contents", ())
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def _ask(self, operation: str, **given: Any) -> Any:
        try:
            return getattr(self._client, operation)(Bucket=self._bucket, **given)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code"))
            if code in _MISSING:
                raise NotStored(str(given.get("Key"))) from None
            if code in _TAKEN:
                raise _Taken(code) from None
            raise StorageError(f"S3 answered {operation} with {code}") from error
        except BotoCoreError as error:
            raise StorageError(f"S3 could not be asked for {operation}: {error}") from error

    def _text(self, key: str) -> str:
        return str(self._ask("get_object", Key=key)["Body"].read().decode())

    def _source(self, piece: dict[str, Any]) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": piece["Key"]}

    def _blob(self, digest: str) -> str:
        algorithm, _, digits = digest.partition(":")
        # Callers check digests; a key is never built from anything else.
        if not (algorithm.isalnum() and len(digits) >= 32 and digits.isalnum()):
            raise NotStored(digest)
        return f"{self._prefix}blobs/{algorithm}/{digits[:2]}/{digits}"

    def _spool(self, upload: str, name: str) -> str:
        if not _UPLOAD.fullmatch(upload):
            raise NotStored(upload)
        return f"{self._prefix}uploads/{upload}/{name}"


class S3Spool:
    """One open spool: bytes gather in a temporary file until they make a piece."""

    def __init__(self, storage: S3Storage, upload: str, offset: int, waiting: IO[bytes], piece: int) -> None:
        self._storage = storage
        self._upload = upload
        self._put = offset
        self._waiting = waiting
        self._piece = piece
        self.offset = offset

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._waiting.write(data)
        self.offset += len(data)
        if self.offset - self._put >= self._piece:
            self.flush()

    @property
    def flushed(self) -> int:
        return self._put

    def flush(self) -> None:
        """Put what waits; raises Busy when another process has written to the spool."""
        length = self.offset - self._put
        if not length:
            return
        self._waiting.seek(0)
        try:
            self._storage.put_piece(self._upload, self._put, self._waiting, length)
            self._put = self.offset
        finally:
            # What could not be put has not arrived.
            self.offset = self._put
            self._waiting.seek(0)
            self._waiting.truncate()


class _Object(io.RawIOBase):
    """One object as a file: seeking costs nothing until the next read, which opens a stream from there."""

    def __init__(self, storage: S3Storage, key: str, size: int) -> None:
        self._storage = storage
        self._key = key
        self._size = size
        self._at = 0
        self._stream: Any = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if base + offset != self._at:
            self._at = max(0, base + offset)
            self._hang_up()
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        if self._at >= self._size or not len(buffer):
            return 0
        if self._stream is None:
            self._stream = self._storage.read(self._key, self._at)
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._hang_up()
        super().close()

    def _hang_up(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


class _Pieces(io.RawIOBase):
    """A spool's pieces from the offset ``at`` on, one after the other."""

    def __init__(self, storage: S3Storage, pieces: Sequence[dict[str, Any]], at: int) -> None:
        self._storage = storage
        self._left = [each for each in reversed(pieces) if each["At"] + each["Size"] > at]
        self._at = at
        self._stream: Any = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            if self._stream is None:
                if not self._left:
                    return 0
                piece = self._left.pop()
                self._stream = self._storage.read(piece["Key"], max(0, self._at - piece["At"]))
            data = self._stream.read(len(buffer))
            if data:
                buffer[: len(data)] = data
                return len(data)
            self._stream.close()
            self._stream = None

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        super().close()


class _Taken(StorageError):
    """There is an object of that name."""


def _end(pieces: Sequence[dict[str, Any]]) -> int:
    return int(pieces[-1]["At"]) + int(pieces[-1]["Size"]) if pieces else 0
