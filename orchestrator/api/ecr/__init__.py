"""Amazon ECR's API: repositories, images, layers and authorization tokens, over the registry's store."""

from orchestrator.api.ecr import (
    authorization,
    images,
    layers,
    pull_times,
    repositories,
    tags,
)
from orchestrator.api.ecr.wire import ecr

__all__ = [
    "authorization",
    "ecr",
    "images",
    "layers",
    "pull_times",
    "repositories",
    "tags",
]
