"""Creation templates at work: making the repository that a pull, a push or a replication needs and that is not there.

Everything here runs inside the caller's transaction.
"""

from datetime import datetime
from typing import Any

from kit.ids import Arns
from registry.policies import CREATE, Asker, may
from registry.prefixes import prefixes_of
from state.creation_templates import CreationTemplate, templates_of
from state.lifecycle_policies import LifecyclePolicy
from state.repositories import Repository, get_repository
from state.store import Session

PULL_THROUGH_CACHE = "PULL_THROUGH_CACHE"
REPLICATION = "REPLICATION"
CREATE_ON_PUSH = "CREATE_ON_PUSH"
MUTABLE = "MUTABLE"
AES256: dict[str, Any] = {"encryptionType": "AES256"}


def create_from_template(session: Session, name: str, applied_for: str, *, now: datetime) -> Repository | None:
    """The repository, made as the template of the longest fitting prefix says, unless it is there already.

    Without a template for ``applied_for`` it is made with ECR's defaults; a push alone makes none then, and the
    answer is None. The caller has checked the name.
    """
    there = get_repository(session, name)
    if there is not None:
        return there
    template = template_for(session, name, applied_for)
    if template is None and applied_for == CREATE_ON_PUSH:
        return None
    repository = Repository(
        name=name,
        tag_mutability=template.tag_mutability if template else MUTABLE,
        mutability_filters=list(template.mutability_filters) if template else [],
        scanning={"scanOnPush": False},
        encryption=dict(template.encryption) if template else dict(AES256),
        tags=list(template.resource_tags) if template else [],
        policy=template.repository_policy if template else None,
        created_at=now,
    )
    session.add(repository)
    session.flush()
    if template is not None:
        _give_policies(session, template, name, now)
    return repository


def create_on_push(session: Session, asker: Asker, name: str, *, arns: Arns, now: datetime) -> None:
    """Make the repository that is pushed to, where it is missing, a template is for that, and the asker may."""
    if get_repository(session, name) is not None or template_for(session, name, CREATE_ON_PUSH) is None:
        return
    if may(session, asker, CREATE, name, arns=arns, now=now):
        create_from_template(session, name, CREATE_ON_PUSH, now=now)


def template_for(session: Session, name: str, applied_for: str) -> CreationTemplate | None:
    """The template for a repository of this name that is made for this reason."""
    prefixes = prefixes_of(name)
    fitting = [each for each in templates_of(session, prefixes) if applied_for in each.applied_for]
    return min(fitting, key=lambda template: prefixes.index(template.prefix), default=None)


def _give_policies(session: Session, template: CreationTemplate, name: str, now: datetime) -> None:
    if template.lifecycle_policy:
        session.add(LifecyclePolicy(repository=name, text=template.lifecycle_policy, evaluated_at=None, due_at=now))
        session.wake("lifecycle")
