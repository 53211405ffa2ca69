"""What commands that look at a Berth share: its clients, pages of lists, and names as a screen shows them."""

import argparse
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from botocore.config import Config
from botocore.session import Session
from rich.table import Table

from orchestrator.cli.output import CommandFailed, Place, root_key, settings_of

GIB = 1024
SHORT = 8
"""Ids are shown by their last digits: the first tell the time, and are those of their neighbours."""

# What a screen of 80 columns has no room for: Batch's clusters end in a UUID, ECS's events in where to read more, and
# before Berth's own words about what is short stands the same in general.
_UUID = re.compile(r"-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
_READ_MORE = re.compile(r" For more information, see the Troubleshooting section of .*$")
_IN_GENERAL = re.compile(r" because no container instance met all of its requirements\. .*? Why: ")
_LONG_ID = re.compile(rf"\b[0-9a-f]{{{32 - SHORT}}}([0-9a-f]{{{SHORT}}})\b")


def connect(arguments: argparse.Namespace) -> tuple[Mapping[str, Any], Callable[[str], Any]]:
    """The card of the Berth that is up, and its clients by service; raises CommandFailed when none is."""
    settings = settings_of(arguments)
    place = Place(data=settings.data)
    card = place.read_card()
    if not place.is_up():
        raise CommandFailed(place.down)
    key_id, secret = root_key(settings)
    session = Session()
    session.set_credentials(key_id, secret)

    def client(service: str) -> Any:
        config = Config(retries={"total_max_attempts": 2}, connect_timeout=5, read_timeout=20)
        return session.create_client(
            service,
            region_name=card["region"],
            endpoint_url=card["endpoint"],
            config=config,
            verify=card.get("ca_bundle"),
        )

    return {**card, "data": settings.data}, client


def clusters_of(ecs: Any) -> Sequence[str]:
    """The names of all clusters."""
    return [last_part(arn) for arn in pages(ecs, "list_clusters", "clusterArns")]


def pages(client: Any, operation: str, member: str, **arguments: Any) -> Iterator[Any]:
    """The items of all pages of a list."""
    for page in client.get_paginator(operation).paginate(**arguments):
        yield from page[member]


def chunks(items: Sequence[str], size: int = 100) -> Iterable[Sequence[str]]:
    """The items, as many at a time as one call describes."""
    return (items[i : i + size] for i in range(0, len(items), size))


def sizes_of(resources: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Resources that are numbers, by name."""
    return {resource["name"]: resource.get("integerValue", 0) for resource in resources}


def last_part(arn: str) -> str:
    """What follows the last slash."""
    return arn.rsplit("/", 1)[-1]


def short(arn: str) -> str:
    """The name in an ARN; of an id its last digits."""
    return _LONG_ID.sub(r"\1", last_part(arn))


def short_cluster(name: str) -> str:
    """A cluster's name without the UUID that Batch gives it."""
    return _UUID.sub("", name)


def word(message: str) -> str:
    """A message of ECS's or Batch's, with what a person at a screen does not need left out."""
    return _LONG_ID.sub(r"\1", _IN_GENERAL.sub(": ", _READ_MORE.sub("", message)))


def plain_table(title: str | None, *columns: str) -> Table:
    """A table without lines, its cells fold, but for a status: half a word of it says nothing. What may hold square
    brackets goes in as Text."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", header_style="dim", no_wrap=column == "status")
    return table
