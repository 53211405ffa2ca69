"""ListContainerInstances' ``filter``: hosts that an expression of the cluster query language names.

Rows are read some hundreds at a time, only the columns that expressions speak of, until the page is full.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select

from orchestrator.api.ecs.errors import InvalidParameterException
from orchestrator.call import Call
from scheduler.hosts_as_named import COLUMNS, host_as_named
from scheduler.placement import BadQuery, Host, Query, parse
from state.container_instances import ContainerInstance
from state.task_counts import groups_by_host, tally_hosts

ROWS = 500


def read_filter(request: dict[str, Any]) -> Query | None:
    """The request's ``filter``, if it has one; raises InvalidParameterException with the place of a mistake."""
    if not request.get("filter"):
        return None
    try:
        return parse(request["filter"])
    except BadQuery as error:
        raise InvalidParameterException(f"The filter is an invalid expression: {error}.") from error


def list_matching(
    call: Call, cluster: str, query: Query, hosts: Select[Any], after: str | None, limit: int
) -> Sequence[str]:
    """Ids of the selected hosts behind ``after`` that the query names, in order and ``limit`` at most."""
    found: list[str] = []
    while True:
        batch = hosts.where(ContainerInstance.id > after) if after else hosts
        rows = call.session.execute(batch.with_only_columns(*COLUMNS).order_by(ContainerInstance.id).limit(ROWS)).all()
        found += [host.id for host in _hosts(call, cluster, query, rows) if query.matches(host)]
        if len(found) >= limit or len(rows) < ROWS:
            return found[:limit]
        after = rows[-1].id


def _hosts(call: Call, cluster: str, query: Query, rows: Sequence[Any]) -> list[Host]:
    ids = [row.id for row in rows]
    # As DescribeContainerInstances counts: what is RUNNING there.
    running = tally_hosts(call.session, ids) if query.volatile else {}
    groups = groups_by_host(call.session, cluster, ids) if query.volatile else {}
    return [
        host_as_named(row, tasks=running[row.id]["RUNNING"] if row.id in running else 0, groups=groups.get(row.id, {}))
        for row in rows
    ]
