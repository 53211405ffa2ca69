"""Pages: ``n`` and ``last`` in, a ``Link`` to the next page out (RFC 8288)."""

from urllib.parse import urlencode

from registry.errors import PageInvalid
from registry.http.frame import Ask

LARGEST_PAGE = 1000


def page_size(ask: Ask) -> int:
    """How many results the client wants, LARGEST_PAGE at most; raises PageInvalid."""
    said = ask.query("n")
    if said is None:
        return LARGEST_PAGE
    if not (said.isascii() and said.isdigit()):
        raise PageInvalid(f"n must be a whole number, not '{said[:50]}'")
    return min(int(said[:9]), LARGEST_PAGE)


def last_seen(ask: Ask) -> str | None:
    """Where the previous page ended; raises PageInvalid."""
    said = ask.query("last")
    # PostgreSQL keeps no text with NUL in it, nor can it look for one.
    if said is not None and (len(said) > 1000 or "\0" in said):
        raise PageInvalid("last must be the last result of the previous page")
    return said


def link(path: str, **query: str | int | None) -> dict[str, str]:
    """The header that points to the next page."""
    given = urlencode({name: value for name, value in query.items() if value is not None}, safe=":")
    return {"Link": f'<{path}?{given}>; rel="next"'}
