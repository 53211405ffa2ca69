"""Migrations: how the tables of an older Berth become those of this one.

Every process migrates at start. They may start together: on PostgreSQL an advisory lock, on SQLite the one writer,
lets one do the work while the others wait and then find nothing left to do.
"""

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

import state.tables  # noqa: F401  (fills the metadata that revisions are compared with)
from state.store import Store, StoreUnavailable, translate

LOCK = 7_070_5050


def migrate(store: Store, revision: str = "head") -> None:
    """Bring the store's tables to ``revision``. Repeats change nothing. Raises StoreUnavailable."""
    try:
        _migrate(store, revision)
    except DBAPIError as error:
        translate(error)
    except CommandError as error:
        raise StoreUnavailable(f"The store was made by another version of Berth: {error}") from error


def _migrate(store: Store, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", "state:migrations")
    with store.engine.begin() as connection:
        if not store.embedded:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
