"""What clients of the cache are told when its upstream cannot or will not."""

from registry.errors import (
    BlobUnknown,
    Denied,
    ManifestUnknown,
    RegistryError,
    TooManyRequests,
    Unavailable,
    UpstreamFailed,
)
from registry.upstream import NotThere, Refused, Throttled, Unreachable, UpstreamError


def told(error: UpstreamError, repository: str, reference: str, *, blob: bool = False) -> RegistryError:
    """The protocol's error for an upstream's."""
    what = f"'{reference[:300]}' of '{repository}' cannot be pulled through: {error}"
    match error:
        case NotThere():
            kind = BlobUnknown if blob else ManifestUnknown
            return kind(what, detail={"digest" if blob else "reference": reference[:300]})
        case Refused():
            return Denied(what)
        case Throttled(retry_after=after):
            return TooManyRequests(what, headers={} if after is None else {"Retry-After": str(after)})
        case Unreachable():
            return Unavailable(what)
        case _:
            return UpstreamFailed(what)
