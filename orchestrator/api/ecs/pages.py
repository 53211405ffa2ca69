"""Pages of ECS's lists: a page is fetched by the key of the last row before it, so rows may come and go between."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from kit.aws.paging import decode_token, encode_token
from orchestrator.api.ecs.errors import InvalidParameterException

MOST = 100
Row = TypeVar("Row")


def page(
    request: dict[str, Any],
    fetch: Callable[[Any, int], Sequence[Row]],
    key: Callable[[Row], Any],
    *,
    scope: str,
    most: int = MOST,
    usual: int | None = None,
) -> tuple[Sequence[Row], dict[str, str]]:
    """One page of rows and ``{"nextToken": …}``, or ``{}`` on the last page.

    ``fetch(after, limit)`` reads rows behind the key ``after`` (None: from the start); ``scope`` is
    ``kit.aws.paging.scope_of`` what is listed. A page has at most ``most`` rows and ``usual`` unless told.
    Raises InvalidParameterException.
    """
    limit = request.get("maxResults")
    limit = (usual or most) if limit is None else limit
    if not 1 <= limit <= most:
        raise InvalidParameterException(f"Limit must be between 1 and {most}.")
    token = request.get("nextToken")
    rows = fetch(decode_token(token, scope=scope) if token else None, limit + 1)
    if len(rows) <= limit:
        return rows, {}
    return rows[:limit], {"nextToken": encode_token(key(rows[limit - 1]), scope=scope)}
