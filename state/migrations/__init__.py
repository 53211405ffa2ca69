"""Migrations: how the tables of an older Berth become those of this one.

Every process migrates at start. They may start together: on PostgreSQL an advisory lock, on SQLite the one writer,
lets one do the work while the others wait and then find nothing left to do.
"""

from alembic import command
from alembic.config import Config
from sqlalchemy import text

import state.tables  # noqa: F401  (fills the metadata that revisions are compared with)
from state.store import Store

LOCK = 7_070_5050


def migrate(store: Store, revision: str = "head") -> None:
    """Bring the store's tables to ``revision``. Repeats change nothing."""
    config = Config()
    config.set_main_option("script_location", "state:migrations")
    with store.engine.begin() as connection:
        if not store.embedded:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
