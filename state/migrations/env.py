"""Runs by Alembic: applies revisions on the connection that ``migrate`` holds, in its transaction."""

from alembic import context

from state.base import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    compare_type=True,
)
context.run_migrations()
