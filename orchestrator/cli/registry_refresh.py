"""``berth registry refresh``: have the upstream of a pull-through cache asked now what a tag stands for."""

import argparse
from typing import Any

from orchestrator.cli.opening import opened
from orchestrator.cli.output import CommandFailed, add_command, settings_of


def add_parser(commands: Any) -> None:
    """Add ``refresh`` beneath ``berth registry``."""
    parser = add_command(
        commands,
        "refresh",
        run,
        help="ask the upstream of a pull-through cache for a tag now",
        description="Hold a tag of a pull-through cache against its upstream's without waiting for the day to end, "
        "and fetch the image where it has moved, or is not here yet.",
    )
    parser.add_argument("image", metavar="REPOSITORY:TAG", help="as it is named here, such as hub/library/nginx:1")


def run(arguments: argparse.Namespace) -> int:
    from registry.cache.cache import Cache
    from registry.cache.errors import told
    from registry.errors import RegistryError
    from registry.home import Home
    from registry.names import is_name, is_tag
    from registry.uploads import Uploads
    from registry.upstream import UpstreamError
    from state.images import get_tag

    settings = settings_of(arguments)
    repository, _, tag = arguments.image.rpartition(":")
    if not is_name(repository) or not is_tag(tag):
        raise CommandFailed(f"{arguments.image!r} is no REPOSITORY:TAG")
    with opened(settings) as parts:
        store, clock = parts.store, parts.clock
        home = Home(store, parts.storage, founds=False)
        uploads = Uploads(store, parts.storage, clock=clock, account=settings.account, home=home)
        cache = Cache(store, uploads, clock=clock, settings=settings, secrets=parts.secrets)

        def digest_here() -> str | None:
            found = store.read(lambda session: get_tag(session, repository, tag))
            return found.digest if found is not None else None

        before = digest_here()
        try:
            found = cache.image(repository, tag, forced=True).result()
            cache.wait(repository, tag, forced=True)
        except UpstreamError as error:
            trouble = told(error, repository, tag)
            raise CommandFailed(f"{trouble.code}: {trouble.message}") from error
        except RegistryError as error:
            raise CommandFailed(f"{error.code}: {error.message}") from error
        now = digest_here()
    if now != found.digest:
        raise CommandFailed(f"UNAVAILABLE: {found.digest} could not be fetched whole; the log says why")
    print(f"{repository}:{tag} is {now}" + (", as before" if now == before else ""))
    return 0
