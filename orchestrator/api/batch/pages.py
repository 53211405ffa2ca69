"""Pages of Batch's lists: a page is fetched by the key of the last row before it, so rows may come and go between."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from kit.aws.paging import decode_token, encode_token
from orchestrator.api.batch.errors import ClientException

Row = TypeVar("Row")


def page(
    request: dict[str, Any],
    fetch: Callable[[Any, int], Sequence[Row]],
    key: Callable[[Row], Any],
    *,
    most: int,
    scope: str,
) -> tuple[Sequence[Row], dict[str, str]]:
    """One page of rows and ``{"nextToken": …}``, or ``{}`` on the last page.

    ``fetch(after, limit)`` reads rows behind the key ``after`` (None: from the start). ``scope`` names what is
    listed, so that a token of another list is refused. Raises ClientException.
    """
    limit = request.get("maxResults")
    if limit is not None and limit < 1:
        raise ClientException("maxResults must be at least 1.")
    limit = most if limit is None else min(limit, most)
    token = request.get("nextToken")
    after = decode_token(token, scope=scope, error=ClientException) if token else None
    rows = fetch(after, limit + 1)
    if len(rows) <= limit:
        return rows, {}
    return rows[:limit], {"nextToken": encode_token(key(rows[limit - 1]), scope=scope)}
