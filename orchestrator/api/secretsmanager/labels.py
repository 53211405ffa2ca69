"""Staging labels: which version is AWSCURRENT, AWSPREVIOUS, or whatever else a client calls it.

Source: Secrets Manager API, PutSecretValue and UpdateSecretVersionStage. A label is on one version at a time; where
AWSCURRENT leaves a version for another, AWSPREVIOUS comes to it.
"""

from collections.abc import Sequence

from orchestrator.api.secretsmanager.errors import LimitExceededException
from state.secrets import SecretVersion

CURRENT, PREVIOUS = "AWSCURRENT", "AWSPREVIOUS"
MOST_LABELS = 20


def holder_of(versions: Sequence[SecretVersion], label: str) -> SecretVersion | None:
    return next((version for version in versions if label in version.stages), None)


def move_label(versions: Sequence[SecretVersion], label: str, to: SecretVersion) -> None:
    """Take the label off whichever version has it, and put it on ``to``."""
    holder = holder_of(versions, label)
    if holder is to:
        return
    if holder is not None:
        drop_label(holder, label)
    if len(to.stages) >= MOST_LABELS:
        raise LimitExceededException(f"A version of a secret can have at most {MOST_LABELS} staging labels.")
    to.stages = [*to.stages, label]
    if label == CURRENT:
        if holder is not None:
            move_label(versions, PREVIOUS, holder)
        elif PREVIOUS in to.stages:
            drop_label(to, PREVIOUS)


def drop_label(version: SecretVersion, label: str) -> None:
    version.stages = [stage for stage in version.stages if stage != label]
