"""Whole registry"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

import state.base

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "blob_condemnations",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_blob_condemnations")),
    )
    op.create_table(
        "creation_templates",
        sa.Column(
            "prefix",
            sa.String(length=256).with_variant(sa.String(length=256, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("description", sa.String(length=256), nullable=True),
        sa.Column("applied_for", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("tag_mutability", sa.String(length=30), nullable=False),
        sa.Column("mutability_filters", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("encryption", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("resource_tags", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("repository_policy", sa.String(), nullable=True),
        sa.Column("lifecycle_policy", sa.String(), nullable=True),
        sa.Column("custom_role_arn", sa.String(length=2048), nullable=True),
        sa.Column("created_at", state.base.Instant(), nullable=False),
        sa.Column("updated_at", state.base.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("prefix", name=op.f("pk_creation_templates")),
    )
    op.create_table(
        "pull_exclusions",
        sa.Column("principal_arn", sa.String(length=200), nullable=False),
        sa.Column("created_at", state.base.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("principal_arn", name=op.f("pk_pull_exclusions")),
    )
    op.create_table(
        "pull_through_rules",
        sa.Column(
            "prefix",
            sa.String(length=256).with_variant(sa.String(length=256, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("upstream_url", sa.String(length=512), nullable=False),
        sa.Column("upstream_registry", sa.String(length=60), nullable=True),
        sa.Column("upstream_prefix", sa.String(length=256), nullable=True),
        sa.Column("credential_arn", sa.String(length=612), nullable=True),
        sa.Column("custom_role_arn", sa.String(length=2048), nullable=True),
        sa.Column("created_at", state.base.Instant(), nullable=False),
        sa.Column("updated_at", state.base.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("prefix", name=op.f("pk_pull_through_rules")),
    )
    op.create_table(
        "registry_account",
        sa.Column("id", sa.String(length=20), nullable=False),
        sa.Column("policy", sa.String(), nullable=True),
        sa.Column("policy_scope", sa.String(length=10), nullable=False),
        sa.Column("blob_mounting", sa.String(length=10), nullable=False),
        sa.Column("basic_scan_type", sa.String(length=20), nullable=False),
        sa.Column("storage", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registry_account")),
    )
    op.create_table(
        "registry_collections",
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("ended_at", state.base.Instant(), nullable=False),
        sa.Column("told", sa.JSON(none_as_null=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_registry_collections")),
    )
    op.create_table(
        "registry_events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", state.base.Instant(), nullable=False),
        sa.Column("detail_type", sa.String(length=60), nullable=False),
        sa.Column(
            "repository",
            sa.String(length=256).with_variant(sa.String(length=256, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("digest", sa.String(length=140), nullable=True),
        sa.Column("detail", sa.JSON(none_as_null=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registry_events")),
    )
    with op.batch_alter_table("registry_events", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_registry_events_at"), ["at"], unique=False)

    op.create_table(
        "registry_rules",
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("document", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("changed_at", state.base.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("kind", name=op.f("pk_registry_rules")),
    )
    op.create_table(
        "registry_scrubs",
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("after", sa.String(length=140), nullable=False),
        sa.Column("started_at", state.base.Instant(), nullable=False),
        sa.Column("ended_at", state.base.Instant(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_registry_scrubs")),
    )
    op.create_table(
        "replication_backfills",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("region", sa.String(length=25), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("failure", sa.String(length=60), nullable=True),
        sa.Column("total", sa.Integer(), nullable=True),
        sa.Column("started_at", state.base.Instant(), nullable=False),
        sa.Column("ended_at", state.base.Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replication_backfills")),
    )
    with op.batch_alter_table("replication_backfills", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_replication_backfills_status"), ["status"], unique=False)

    op.create_table(
        "replication_configuration",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("rules", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("configured_at", state.base.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replication_configuration")),
    )
    op.create_table(
        "replication_peers",
        sa.Column("region", sa.String(length=25), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("endpoint", sa.String(length=300), nullable=False),
        sa.Column("access_key_id", sa.String(length=128), nullable=False),
        sa.Column("secret", sa.String(), nullable=False),
        sa.Column("authority", sa.String(), nullable=True),
        sa.Column("added_at", state.base.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("region", "account", name=op.f("pk_replication_peers")),
    )
    op.create_table(
        "signing_keys",
        sa.Column("profile", sa.String(length=200), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("pem", sa.String(), nullable=False),
        sa.Column("added_at", state.base.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("profile", "fingerprint", name=op.f("pk_signing_keys")),
    )
    op.create_table(
        "upstream_claims",
        sa.Column(
            "repository",
            sa.String(length=256).with_variant(sa.String(length=256, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "reference",
            sa.String(length=140).with_variant(sa.String(length=140, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("holder", sa.String(length=40), nullable=False),
        sa.Column("expires_at", state.base.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("repository", "reference", name=op.f("pk_upstream_claims")),
    )
    with op.batch_alter_table("upstream_claims", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_upstream_claims_expires_at"), ["expires_at"], unique=False)

    op.create_table(
        "upstream_credentials",
        sa.Column("arn", sa.String(length=612), nullable=False),
        sa.Column("sealed", sa.String(), nullable=False),
        sa.Column("updated_at", state.base.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("arn", name=op.f("pk_upstream_credentials")),
    )
    op.create_table(
        "vulnerability_bundles",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("touched_at", state.base.Instant(), nullable=False),
        sa.Column("modified_at", state.base.Instant(), nullable=True),
        sa.Column("advisories", sa.Integer(), nullable=False),
        sa.Column("refused", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vulnerability_bundles")),
    )
    with op.batch_alter_table("vulnerability_bundles", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_vulnerability_bundles_name"), ["name"], unique=False)

    op.create_table(
        "advisories",
        sa.Column("bundle", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("document", sa.JSON(none_as_null=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["bundle"],
            ["vulnerability_bundles.id"],
            name=op.f("fk_advisories_bundle_vulnerability_bundles"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("bundle", "id", name=op.f("pk_advisories")),
    )
    op.create_table(
        "affected_packages",
        sa.Column("bundle", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("ecosystem", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=300), nullable=False),
        sa.Column("advisory", sa.String(length=128), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("document", sa.JSON(none_as_null=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["bundle"],
            ["vulnerability_bundles.id"],
            name=op.f("fk_affected_packages_bundle_vulnerability_bundles"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("bundle", "ecosystem", "name", "advisory", "number", name=op.f("pk_affected_packages")),
    )
    op.create_table(
        "blob_faults",
        sa.Column("digest", sa.String(length=140), nullable=False),
        sa.Column("fault", sa.String(length=10), nullable=False),
        sa.Column("found_at", state.base.Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["digest"], ["blobs.digest"], name=op.f("fk_blob_faults_digest_blobs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_blob_faults")),
    )
    op.create_table(
        "cached_tags",
        sa.Column(
            "repository",
            sa.String(length=256).with_variant(sa.String(length=256, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "name",
            sa.String(length=128).with_variant(sa.String(length=128, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "digest",
            sa.String(length=140).with_variant(sa.String(length=140, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("due_at", state.base.Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["repository"],
            ["repositories.name"],
            name=op.f("fk_cached_tags_repository_repositories"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("repository", "name", name=op.f("pk_cached_tags")),
    )
    op.create_table(
        "lifecycle_policies",
        sa.Column(
            "repository",
            sa.String(length=256).with_variant(sa.String(length=256, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("evaluated_at", state.base.Instant(), nullable=True),
        sa.Column("due_at", state.base.Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["repository"],
            ["repositories.name"],
            name=op.f("fk_lifecycle_policies_repository_repositories"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("repository", name=op.f("pk_lifecycle_policies")),
    )
    with op.batch_alter_table("lifecycle_policies", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_lifecycle_policies_due_at"), ["due_at"], unique=False)

    op.create_table(
        "lifecycle_previews",
        sa.Column(
            "repository",
            sa.String(length=256).with_variant(sa.String(length=256, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("made_at", state.base.Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["repository"],
            ["repositories.name"],
            name=op.f("fk_lifecycle_previews_repository_repositories"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("repository", name=op.f("pk_lifecycle_previews")),
    )
    op.create_table(
        "image_scans",
        sa.Column(
            "repository",
            sa.String(length=256).with_variant(sa.String(length=256, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "digest",
            sa.String(length=140).with_variant(sa.String(length=140, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("status", sa.String(length=30), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("due_at", state.base.Instant(), nullable=True),
        sa.Column("asked_at", state.base.Instant(), nullable=False),
        sa.Column("claim", sa.String(length=32), nullable=True),
        sa.Column("claimed_until", state.base.Instant(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("completed_at", state.base.Instant(), nullable=True),
        sa.Column("knowledge", sa.String(), nullable=False),
        sa.Column("knowledge_at", state.base.Instant(), nullable=True),
        sa.Column("counts", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("inventory", sa.JSON(none_as_null=True), nullable=True),
        sa.Column(
            "sbom",
            sa.String(length=140).with_variant(sa.String(length=140, collation="C"), "postgresql"),
            nullable=True,
        ),
        sa.ForeignKeyConstraint(
            ["repository", "digest"],
            ["images.repository", "images.digest"],
            name=op.f("fk_image_scans_repository_digest_images"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("repository", "digest", name=op.f("pk_image_scans")),
    )
    with op.batch_alter_table("image_scans", schema=None) as batch_op:
        batch_op.create_index("ix_image_scans_asked", ["asked_at"], unique=False)
        batch_op.create_index("ix_image_scans_due", ["due_at"], unique=False)

    op.create_table(
        "lifecycle_previewed_images",
        sa.Column(
            "repository",
            sa.String(length=256).with_variant(sa.String(length=256, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "digest",
            sa.String(length=140).with_variant(sa.String(length=140, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("tags", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("pushed_at", state.base.Instant(), nullable=False),
        sa.Column("storage_class", sa.String(length=10), nullable=False),
        sa.Column("action", sa.String(length=10), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["repository"],
            ["lifecycle_previews.repository"],
            name=op.f("fk_lifecycle_previewed_images_repository_lifecycle_previews"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("repository", "digest", name=op.f("pk_lifecycle_previewed_images")),
    )
    op.create_table(
        "replications",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "repository",
            sa.String(length=256).with_variant(sa.String(length=256, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "digest",
            sa.String(length=140).with_variant(sa.String(length=140, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "tag", sa.String(length=128).with_variant(sa.String(length=128, collation="C"), "postgresql"), nullable=True
        ),
        sa.Column("region", sa.String(length=25), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("backfill", sa.String(length=36), nullable=True),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("failure", sa.String(length=60), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", state.base.Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["backfill"],
            ["replication_backfills.id"],
            name=op.f("fk_replications_backfill_replication_backfills"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["repository", "digest"],
            ["images.repository", "images.digest"],
            name=op.f("fk_replications_repository_digest_images"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replications")),
    )
    with op.batch_alter_table("replications", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_replications_backfill"), ["backfill"], unique=False)
        batch_op.create_index("ix_replications_due", ["status", "due_at"], unique=False)
        batch_op.create_index("ix_replications_image", ["repository", "digest"], unique=False)

    op.create_table(
        "scan_findings",
        sa.Column(
            "repository",
            sa.String(length=256).with_variant(sa.String(length=256, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "digest",
            sa.String(length=140).with_variant(sa.String(length=140, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("severity", sa.String(length=20), nullable=False),
        sa.Column("document", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("first_seen_at", state.base.Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["repository", "digest"],
            ["image_scans.repository", "image_scans.digest"],
            name=op.f("fk_scan_findings_repository_digest_image_scans"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("repository", "digest", "number", name=op.f("pk_scan_findings")),
    )
    with op.batch_alter_table("blob_links", schema=None) as batch_op:
        batch_op.add_column(sa.Column("unused_since", state.base.Instant(), nullable=True))

    with op.batch_alter_table("blobs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("condemned_by", sa.String(length=40), nullable=True))
        batch_op.add_column(sa.Column("condemned_until", state.base.Instant(), nullable=True))
        batch_op.create_index(batch_op.f("ix_blobs_condemned_until"), ["condemned_until"], unique=False)

    with op.batch_alter_table("images", schema=None) as batch_op:
        batch_op.add_column(sa.Column("status", sa.String(length=12), nullable=False, server_default="ACTIVE"))
        batch_op.add_column(sa.Column("archived_at", state.base.Instant(), nullable=True))
        batch_op.add_column(sa.Column("activated_at", state.base.Instant(), nullable=True))

    with op.batch_alter_table("repositories", schema=None) as batch_op:
        batch_op.add_column(sa.Column("policy", sa.String(), nullable=True))

    with op.batch_alter_table("uploads", schema=None) as batch_op:
        batch_op.add_column(sa.Column("parts", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("short_end", sa.Boolean(), server_default=sa.false(), nullable=False))
        batch_op.add_column(sa.Column("short_part", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    with op.batch_alter_table("uploads", schema=None) as batch_op:
        batch_op.drop_column("short_part")
        batch_op.drop_column("short_end")
        batch_op.drop_column("parts")

    with op.batch_alter_table("repositories", schema=None) as batch_op:
        batch_op.drop_column("policy")

    with op.batch_alter_table("images", schema=None) as batch_op:
        batch_op.drop_column("activated_at")
        batch_op.drop_column("archived_at")
        batch_op.drop_column("status")

    with op.batch_alter_table("blobs", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_blobs_condemned_until"))
        batch_op.drop_column("condemned_until")
        batch_op.drop_column("condemned_by")

    with op.batch_alter_table("blob_links", schema=None) as batch_op:
        batch_op.drop_column("unused_since")

    op.drop_table("scan_findings")
    with op.batch_alter_table("replications", schema=None) as batch_op:
        batch_op.drop_index("ix_replications_image")
        batch_op.drop_index("ix_replications_due")
        batch_op.drop_index(batch_op.f("ix_replications_backfill"))

    op.drop_table("replications")
    op.drop_table("lifecycle_previewed_images")
    with op.batch_alter_table("image_scans", schema=None) as batch_op:
        batch_op.drop_index("ix_image_scans_due")
        batch_op.drop_index("ix_image_scans_asked")

    op.drop_table("image_scans")
    op.drop_table("lifecycle_previews")
    with op.batch_alter_table("lifecycle_policies", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_lifecycle_policies_due_at"))

    op.drop_table("lifecycle_policies")
    op.drop_table("cached_tags")
    op.drop_table("blob_faults")
    op.drop_table("affected_packages")
    op.drop_table("advisories")
    with op.batch_alter_table("vulnerability_bundles", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_vulnerability_bundles_name"))

    op.drop_table("vulnerability_bundles")
    op.drop_table("upstream_credentials")
    with op.batch_alter_table("upstream_claims", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_upstream_claims_expires_at"))

    op.drop_table("upstream_claims")
    op.drop_table("signing_keys")
    op.drop_table("replication_peers")
    op.drop_table("replication_configuration")
    with op.batch_alter_table("replication_backfills", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_replication_backfills_status"))

    op.drop_table("replication_backfills")
    op.drop_table("registry_scrubs")
    op.drop_table("registry_rules")
    with op.batch_alter_table("registry_events", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_registry_events_at"))

    op.drop_table("registry_events")
    op.drop_table("registry_collections")
    op.drop_table("registry_account")
    op.drop_table("pull_through_rules")
    op.drop_table("pull_exclusions")
    op.drop_table("creation_templates")
    op.drop_table("blob_condemnations")
