"""Amazon ECR's API: repositories, images, layers and authorization tokens, over the registry's store."""

from orchestrator.api.ecr import (
    account_settings,
    authorization,
    cache_rules,
    images,
    layer_uploads,
    layers,
    lifecycle,
    policies,
    pull_times,
    referrers,
    replication,
    repositories,
    scanning,
    signing,
    storage_classes,
    tags,
    templates,
)
from orchestrator.api.ecr.wire import ecr

__all__ = [
    "account_settings",
    "authorization",
    "cache_rules",
    "ecr",
    "images",
    "layer_uploads",
    "layers",
    "lifecycle",
    "policies",
    "pull_times",
    "referrers",
    "replication",
    "repositories",
    "scanning",
    "signing",
    "storage_classes",
    "tags",
    "templates",
]
