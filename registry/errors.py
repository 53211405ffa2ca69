"""Errors of the distribution protocol: ``{"errors": [{"code", "message", "detail"}]}``.

An error class names its OCI ``code``, its HTTP ``status`` and, as its docstring, its default message. The ECR
API translates those it can meet into AWS's. Source: OCI distribution-spec, "Error Codes".
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class RegistryError(Exception):
    """The registry could not serve the request."""

    code: ClassVar[str] = "UNKNOWN"
    status: ClassVar[int] = 400

    def __init__(
        self,
        message: str | None = None,
        *,
        detail: Any = None,
        each: Sequence[Any] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """``each`` sends the error once for every detail in it, instead of once with ``detail``."""
        self.message = message if message is not None else " ".join((type(self).__doc__ or "").split())
        self.details: Sequence[Any] = each or (detail,)
        self.headers = dict(headers or {})
        super().__init__(self.message)

    def body(self) -> dict[str, Any]:
        """The error as the protocol's JSON document."""
        return {
            "errors": [
                {"code": self.code, "message": self.message, **({} if detail is None else {"detail": detail})}
                for detail in self.details
            ]
        }


class Unauthorized(RegistryError):
    """authentication required"""

    code, status = "UNAUTHORIZED", 401


class Denied(RegistryError):
    """requested access to the resource is denied"""

    code, status = "DENIED", 403


class NameInvalid(RegistryError):
    """invalid repository name"""

    code, status = "NAME_INVALID", 400


class NameUnknown(RegistryError):
    """repository name not known to registry"""

    code, status = "NAME_UNKNOWN", 404


class DigestInvalid(RegistryError):
    """provided digest did not match uploaded content"""

    code, status = "DIGEST_INVALID", 400


class SizeInvalid(RegistryError):
    """provided length did not match content length"""

    code, status = "SIZE_INVALID", 400


class BlobUnknown(RegistryError):
    """blob unknown to registry"""

    code, status = "BLOB_UNKNOWN", 404


class BlobUploadUnknown(RegistryError):
    """blob upload unknown to registry"""

    code, status = "BLOB_UPLOAD_UNKNOWN", 404


class BlobUploadInvalid(RegistryError):
    """blob upload invalid"""

    code, status = "BLOB_UPLOAD_INVALID", 400


class OutOfOrder(BlobUploadInvalid):
    """the chunk does not begin where the upload ends"""

    status = 416


class UploadBusy(BlobUploadInvalid):
    """another request is writing to this upload"""

    status = 409


class RangeInvalid(RegistryError):
    """the requested range is outside of the blob"""

    code, status = "SIZE_INVALID", 416


class ManifestUnknown(RegistryError):
    """manifest unknown to registry"""

    code, status = "MANIFEST_UNKNOWN", 404


class ImageArchived(RegistryError):
    """the image is archived; make it active again (UpdateImageStorageClass) to pull it"""

    code, status = "DENIED", 403


class ManifestInvalid(RegistryError):
    """manifest invalid"""

    code, status = "MANIFEST_INVALID", 400


class ManifestTooLarge(RegistryError):
    """the manifest is larger than this registry accepts"""

    code, status = "MANIFEST_INVALID", 413


class ManifestBlobUnknown(RegistryError):
    """manifest references a manifest or blob unknown to registry"""

    code, status = "MANIFEST_BLOB_UNKNOWN", 404

    def __init__(self, *, each: Sequence[Mapping[str, str]], of_images: bool) -> None:
        """``of_images`` tells that the missing parts are images of a list and not blobs."""
        super().__init__(each=each)
        self.of_images = of_images


class TagInvalid(RegistryError):
    """manifest tag did not match the tag grammar"""

    code, status = "TAG_INVALID", 400


class TagImmutable(RegistryError):
    """the tag exists and cannot be overwritten because the tag is immutable"""

    code, status = "TAG_INVALID", 400


class TooManyTags(RegistryError):
    """too many tags in one request"""

    code, status = "TAG_INVALID", 414


class Stalled(RegistryError):
    """the request's body stopped arriving; what has arrived is kept, and an upload can be resumed"""

    code, status = "BLOB_UPLOAD_INVALID", 408


class PageInvalid(RegistryError):
    """invalid number of results requested"""

    code, status = "PAGINATION_NUMBER_INVALID", 400


class Unsupported(RegistryError):
    """the operation is unsupported"""

    code, status = "UNSUPPORTED", 405


class PartOfList(RegistryError):
    """the manifest is part of a manifest list that is here; delete the list first"""

    # Of what the specification foresees for a deletion, that it is refused is the nearest.
    code, status = "UNSUPPORTED", 405


class NoSuchPage(RegistryError):
    """there is nothing at this path"""

    code, status = "UNSUPPORTED", 404


class Unavailable(RegistryError):
    """the registry is busy; try again"""

    code, status = "UNAVAILABLE", 503


class TooManyRequests(RegistryError):
    """too many requests; try again later"""

    code, status = "TOOMANYREQUESTS", 429


class UpstreamFailed(RegistryError):
    """the upstream registry did not answer as a registry does"""

    code, status = "UNAVAILABLE", 502


class NotAtHome(RegistryError):
    """this process does not have the storage that the registry's blobs are in; its log says more"""

    code, status = "UNAVAILABLE", 503


class StorageFull(RegistryError):
    """the registry's storage is full; what has arrived is kept, and the upload can be resumed"""

    code, status = "UNAVAILABLE", 507
