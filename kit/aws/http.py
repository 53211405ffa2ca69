"""HTTP as the wire sees it: one whole request in, one whole response out, no framework in between."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


def _pairs(headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    items = headers.items() if isinstance(headers, Mapping) else headers
    return tuple((name.lower(), value) for name, value in items)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A request as it came: ``path`` and ``query`` undecoded, header names lower-cased, duplicates kept."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = ()
    body: bytes = b""
    # Who is at the connection's other end, and whether it is encrypted.
    client: str | None = None
    secure: bool = False
    _by_name: dict[str, list[str]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        pairs = _pairs(self.headers)
        by_name: dict[str, list[str]] = {}
        for name, value in pairs:
            by_name.setdefault(name, []).append(value)
        object.__setattr__(self, "headers", pairs)
        object.__setattr__(self, "_by_name", by_name)

    def header(self, name: str) -> str | None:
        """The first value of a header (name in lower case), or None."""
        values = self._by_name.get(name)
        return values[0] if values else None

    def header_values(self, name: str) -> list[str]:
        """Every value of a header, in order of arrival."""
        return self._by_name.get(name, [])

    def header_names(self) -> Iterable[str]:
        """The names of all headers, each once."""
        return self._by_name.keys()


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """An answer, ready to send. ``Content-Length`` is the sender's business."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The first value of a header, whatever the case of its name, or None."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)
