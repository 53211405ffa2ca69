"""Pages of Batch's lists: a page is fetched by the key of the last row before it, so rows may come and go between."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from kit.aws.paging import decode_token, encode_token
from orchestrator.api.batch.errors import ClientException

Row = TypeVar("Row")
LARGEST = 2**53


def page(
    request: dict[str, Any],
    fetch: Callable[[Any, int], Sequence[Row]],
    key: Callable[[Row], list[Any]],
    *,
    kinds: Sequence[type],
    most: int,
    scope: str,
) -> tuple[Sequence[Row], dict[str, str]]:
    """One page of rows and ``{"nextToken": …}``, or ``{}`` on the last page.

    ``fetch(after, limit)`` reads rows behind the key ``after`` (None: from the start). ``scope`` names what is
    listed, so that a token of another list is refused; ``kinds`` are the types of a key's parts, so that one that
    somebody made up is refused too. Raises ClientException.
    """
    limit = request.get("maxResults")
    if limit is not None and limit < 1:
        raise ClientException("maxResults must be at least 1.")
    limit = most if limit is None else min(limit, most)
    token = request.get("nextToken")
    after = decode_token(token, scope=scope, error=ClientException) if token else None
    if token and not _is_key(after, kinds):
        raise ClientException("Invalid nextToken.")
    rows = fetch(after, limit + 1)
    if len(rows) <= limit:
        return rows, {}
    return rows[:limit], {"nextToken": encode_token(key(rows[limit - 1]), scope=scope)}


def _is_key(after: Any, kinds: Sequence[type]) -> bool:
    """Whether the value can be a key of rows: the right types, and no number that a database could not compare."""
    if not isinstance(after, list) or [type(part) for part in after] != list(kinds):
        return False
    return all(0 <= part < LARGEST for part in after if isinstance(part, int))
