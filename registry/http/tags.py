"""Lists over HTTP: the tags of a repository, and the repositories."""

from starlette.responses import JSONResponse, Response

from registry.http.frame import Ask
from registry.http.pages import last_seen, link, page_size
from registry.images import find_repository
from registry.policies import list_allowed
from state.images import list_tags
from state.store import Session

_LIST = "ecr:DescribeRepositories"


async def get_tags(ask: Ask) -> Response:
    """The repository's tags in the order of their bytes, a page at a time."""
    name, size, last = ask.name, page_size(ask), last_seen(ask)

    def find(session: Session) -> list[str]:
        find_repository(session, name, ask.room.settings.account)
        # One more than asked for tells whether there is another page.
        return [tag.name for tag in list_tags(session, name, after=last, limit=size + 1)] if size else []

    found = await ask.read(find)
    tags, more = found[:size], len(found) > size
    headers = link(f"/v2/{name}/tags/list", n=size, last=tags[-1]) if more else {}
    return JSONResponse({"name": name, "tags": tags}, headers=headers)


async def get_catalog(ask: Ask) -> Response:
    """The repositories' names, a page at a time. Not of the specification, but known to many clients."""
    size, last = page_size(ask), last_seen(ask)
    asker, now = ask.asker, ask.room.clock.now()

    def find(session: Session) -> list[str]:
        if not size:
            return []
        return list_allowed(session, asker, _LIST, arns=ask.room.arns, now=now, after=last, limit=size + 1)

    found = await ask.read(find)
    names, more = found[:size], len(found) > size
    headers = link("/v2/_catalog", n=size, last=names[-1]) if more else {}
    return JSONResponse({"repositories": names}, headers=headers)
