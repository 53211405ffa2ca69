"""Hosts to trust"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

import state.base

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "exec_sessions",
        sa.Column("id", sa.String(length=80), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("token_digest", sa.String(length=64), nullable=False),
        sa.Column("cluster", sa.String(length=255), nullable=False),
        sa.Column("task_id", sa.String(length=36), nullable=False),
        sa.Column("container", sa.String(length=255), nullable=False),
        sa.Column("container_instance_id", sa.String(length=36), nullable=False),
        sa.Column("command", sa.Text(), nullable=False),
        sa.Column("caller", sa.String(length=400), nullable=False),
        sa.Column("created_at", state.base.Instant(), nullable=False),
        sa.Column("expires_at", state.base.Instant(), nullable=False),
        sa.Column("ended_at", state.base.Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exec_sessions")),
        sa.UniqueConstraint("token_digest", name=op.f("uq_exec_sessions_token_digest")),
    )
    with op.batch_alter_table("exec_sessions", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_exec_sessions_container_instance_id"), ["container_instance_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_exec_sessions_expires_at"), ["expires_at"], unique=False)

    op.create_table(
        "parameters",
        sa.Column("name", sa.String(length=1011), nullable=False),
        sa.Column("latest", sa.Integer(), nullable=False),
        sa.Column("tags", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_parameters")),
    )
    op.create_table(
        "role_sessions",
        sa.Column("access_key_id", sa.String(length=128), nullable=False),
        sa.Column("task_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("credentials_id", sa.String(length=36), nullable=False),
        sa.Column("role_arn", sa.String(), nullable=False),
        sa.Column("role_name", sa.String(length=64), nullable=False),
        sa.Column("expires_at", state.base.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("access_key_id", name=op.f("pk_role_sessions")),
        sa.UniqueConstraint("task_id", "kind", "generation", name=op.f("uq_role_sessions_task_id_kind_generation")),
    )
    op.create_table(
        "roles",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("actions", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("put_at", state.base.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_roles")),
    )
    op.create_table(
        "secrets",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=512), nullable=False),
        sa.Column("suffix", sa.String(length=6), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("tags", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("created_at", state.base.Instant(), nullable=False),
        sa.Column("changed_at", state.base.Instant(), nullable=False),
        sa.Column("accessed_at", state.base.Instant(), nullable=True),
        sa.Column("deleted_at", state.base.Instant(), nullable=True),
        sa.Column("gone_at", state.base.Instant(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_secrets")),
        sa.UniqueConstraint("name", name=op.f("uq_secrets_name")),
    )
    with op.batch_alter_table("secrets", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_secrets_gone_at"), ["gone_at"], unique=False)

    op.create_table(
        "usage_points",
        sa.Column("subject", sa.String(length=600), nullable=False),
        sa.Column("seconds", sa.Integer(), nullable=False),
        sa.Column("at", state.base.Instant(), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("cpu", sa.Float(), nullable=False),
        sa.Column("cpu_peak", sa.Float(), nullable=False),
        sa.Column("cpu_reserved", sa.Float(), nullable=False),
        sa.Column("memory", sa.Float(), nullable=False),
        sa.Column("memory_peak", sa.Float(), nullable=False),
        sa.Column("memory_reserved", sa.Float(), nullable=False),
        sa.Column("rx", sa.BigInteger(), nullable=False),
        sa.Column("tx", sa.BigInteger(), nullable=False),
        sa.Column("read", sa.BigInteger(), nullable=False),
        sa.Column("written", sa.BigInteger(), nullable=False),
        sa.Column("tasks", sa.Integer(), nullable=False),
        sa.Column("restarts", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "seconds", "at", name=op.f("pk_usage_points")),
    )
    with op.batch_alter_table("usage_points", schema=None) as batch_op:
        batch_op.create_index("ix_usage_points_seconds_at", ["seconds", "at"], unique=False)

    op.create_table(
        "join_tokens",
        sa.Column("key_id", sa.String(length=128), nullable=False),
        sa.Column("nonce", sa.String(length=64), nullable=True),
        sa.Column("host_key_id", sa.String(length=128), nullable=True),
        sa.ForeignKeyConstraint(
            ["key_id"], ["access_keys.id"], name=op.f("fk_join_tokens_key_id_access_keys"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_join_tokens")),
    )
    op.create_table(
        "parameter_versions",
        sa.Column("name", sa.String(length=1011), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("type", sa.String(length=12), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("tier", sa.String(length=24), nullable=False),
        sa.Column("data_type", sa.String(length=128), nullable=False),
        sa.Column("description", sa.String(length=1024), nullable=True),
        sa.Column("allowed_pattern", sa.String(length=1024), nullable=True),
        sa.Column("labels", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("modified_at", state.base.Instant(), nullable=False),
        sa.Column("modified_by", sa.String(length=400), nullable=False),
        sa.ForeignKeyConstraint(
            ["name"], ["parameters.name"], name=op.f("fk_parameter_versions_name_parameters"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("name", "number", name=op.f("pk_parameter_versions")),
    )
    op.create_table(
        "secret_versions",
        sa.Column("secret_id", sa.String(length=32), nullable=False),
        sa.Column("version_id", sa.String(length=64), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("binary", sa.Boolean(), nullable=False),
        sa.Column("stages", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("created_at", state.base.Instant(), nullable=False),
        sa.Column("accessed_at", state.base.Instant(), nullable=True),
        sa.ForeignKeyConstraint(
            ["secret_id"], ["secrets.id"], name=op.f("fk_secret_versions_secret_id_secrets"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("secret_id", "version_id", name=op.f("pk_secret_versions")),
    )
    with op.batch_alter_table("access_keys", schema=None) as batch_op:
        batch_op.add_column(sa.Column("speaks_for", sa.String(length=36), nullable=True))
        batch_op.create_index(batch_op.f("ix_access_keys_speaks_for"), ["speaks_for"], unique=False)

    with op.batch_alter_table("container_instances", schema=None) as batch_op:
        batch_op.add_column(sa.Column("lost_at", state.base.Instant(), nullable=True))
        batch_op.create_index(batch_op.f("ix_container_instances_lost_at"), ["lost_at"], unique=False)

    with op.batch_alter_table("services", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("enable_execute_command", sa.Boolean(), server_default=sa.false(), nullable=False)
        )

    with op.batch_alter_table("tasks", schema=None) as batch_op:
        batch_op.add_column(sa.Column("protected_until", state.base.Instant(), nullable=True))
        batch_op.add_column(sa.Column("has_roles", sa.Boolean(), server_default=sa.false(), nullable=False))
        batch_op.add_column(
            sa.Column("enable_execute_command", sa.Boolean(), server_default=sa.false(), nullable=False)
        )


def downgrade() -> None:
    with op.batch_alter_table("tasks", schema=None) as batch_op:
        batch_op.drop_column("enable_execute_command")
        batch_op.drop_column("has_roles")
        batch_op.drop_column("protected_until")

    with op.batch_alter_table("services", schema=None) as batch_op:
        batch_op.drop_column("enable_execute_command")

    with op.batch_alter_table("container_instances", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_container_instances_lost_at"))
        batch_op.drop_column("lost_at")

    with op.batch_alter_table("access_keys", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_access_keys_speaks_for"))
        batch_op.drop_column("speaks_for")

    op.drop_table("secret_versions")
    op.drop_table("parameter_versions")
    op.drop_table("join_tokens")
    with op.batch_alter_table("usage_points", schema=None) as batch_op:
        batch_op.drop_index("ix_usage_points_seconds_at")

    op.drop_table("usage_points")
    with op.batch_alter_table("secrets", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_secrets_gone_at"))

    op.drop_table("secrets")
    op.drop_table("roles")
    op.drop_table("role_sessions")
    op.drop_table("parameters")
    with op.batch_alter_table("exec_sessions", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_exec_sessions_expires_at"))
        batch_op.drop_index(batch_op.f("ix_exec_sessions_container_instance_id"))

    op.drop_table("exec_sessions")
