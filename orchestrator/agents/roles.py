"""The keys of tasks' roles: made when an agent is told of a task, renewed in time, ended with the task.

Asking again for what is there changes nothing: each task has one newest key for each of its roles, whoever asks, and a
key is renewed once, early enough that a control plane which is away for hours leaves no container without.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from kit.clock import Clock
from kit.ids import new_uuid
from kit.secrets import SecretBox
from kit.settings import Settings
from orchestrator.identity import open_session
from orchestrator.role_actions import actions_of
from scheduler.task_roles import roles_of
from state.access_keys import AccessKey
from state.base import some
from state.role_sessions import EXECUTION, RoleSession, newest_sessions, tasks_with_roles_on
from state.store import Session, Store
from state.task_definitions import TaskDefinition
from state.tasks import Task, hold_tasks, list_tasks

LIFE = timedelta(hours=6)
# With less than this left a key is renewed.
RENEWED = 0.3 * LIFE
NONE: tuple[RoleSession | None, AccessKey | None] = (None, None)
_NAME = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleCredentials:
    """What an agent is told of one role of a task. ``role_type`` is TaskApplication or TaskExecution."""

    role_type: str
    credentials_id: str
    role_arn: str
    access_key_id: str
    secret_access_key: str
    session_token: str
    expires_at: datetime

    def __repr__(self) -> str:
        """Never the secrets: credentials end up in tracebacks and logs."""
        return f"RoleCredentials({self.role_type} {self.role_arn} {self.access_key_id})"

    @property
    def expiration(self) -> str:
        """The instant of its end as the protocol writes it."""
        return self.expires_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def renew_at(self) -> datetime:
        return self.expires_at - RENEWED


class Roles:
    """One for all conversations of a process; safe on any thread."""

    def __init__(self, store: Store, clock: Clock, settings: Settings, secrets: SecretBox) -> None:
        self._store = store
        self._clock = clock
        self._account = settings.account
        self._secrets = secrets

    def credentials(self, task_ids: Sequence[str]) -> dict[str, list[RoleCredentials]]:
        """The newest credentials of each task that is to run, made or renewed where that is due."""
        found: dict[str, list[RoleCredentials]] = {}
        for few in some(task_ids):
            known = self._store.read(partial(self._known, task_ids=few))
            missing = [task_id for task_id, (roles, kept) in known.items() if self._due(roles, kept)]
            if missing:
                known |= self._store.transact(partial(self._make, task_ids=missing))
            found |= {task_id: kept for task_id, (_, kept) in known.items() if kept}
        return found

    def of_host(self, container_instance_id: str) -> dict[str, list[RoleCredentials]]:
        """The same for all tasks of a host."""
        return self.credentials(self._store.read(lambda session: tasks_with_roles_on(session, container_instance_id)))

    def _due(self, roles: Iterable[str], kept: Iterable[RoleCredentials]) -> bool:
        """Whether a role has no key, or one that ends soon."""
        now = self._clock.now()
        return bool(set(roles) - {one.role_type for one in kept if one.renew_at > now})

    def _known(
        self, session: Session, task_ids: Sequence[str]
    ) -> dict[str, tuple[Mapping[str, str], list[RoleCredentials]]]:
        tasks = _living(session, task_ids)
        kept = newest_sessions(session, [task.id for task in tasks])
        return {
            task.id: (
                roles := _roles(session, task),
                [
                    self._open(own, key)
                    for kind in roles
                    for own, key in (kept.get((task.id, kind), NONE),)
                    if own and key
                ],
            )
            for task in tasks
        }

    def _make(
        self, session: Session, task_ids: Sequence[str]
    ) -> dict[str, tuple[Mapping[str, str], list[RoleCredentials]]]:
        hold_tasks(session, task_ids)
        now = self._clock.now()
        granted: dict[tuple[str, str], Sequence[str]] = {}
        made: dict[str, tuple[Mapping[str, str], list[RoleCredentials]]] = {}
        tasks = _living(session, task_ids)
        newest = newest_sessions(session, [task.id for task in tasks])
        for task in tasks:
            roles = _roles(session, task)
            own = []
            for kind, role in roles.items():
                before, key = newest.get((task.id, kind), NONE)
                if before is not None and key is not None and before.expires_at - RENEWED > now:
                    own.append(self._open(before, key))
                    continue
                name = role_name(role)
                if (name, kind) not in granted:
                    granted[name, kind] = actions_of(session, name, kind)
                own.append(self._renew(session, task, kind, role, granted[name, kind], before, now))
            made[task.id] = (roles, own)
        return made

    def _renew(
        self,
        session: Session,
        task: Task,
        kind: str,
        role: str,
        actions: Sequence[str],
        before: RoleSession | None,
        now: datetime,
    ) -> RoleCredentials:
        name = role_name(role)
        key = open_session(
            session,
            self._secrets,
            principal_arn=f"arn:aws:sts::{self._account}:assumed-role/{name}/{task.id}",
            actions=actions,
            now=now,
            length=LIFE,
            # What acts for the task before it runs is its host's agent.
            speaks_for=task.container_instance_id if kind == EXECUTION else None,
        )
        own = RoleSession(
            access_key_id=key.access_key_id,
            task_id=task.id,
            kind=kind,
            generation=1 if before is None else before.generation + 1,
            credentials_id=new_uuid() if before is None else before.credentials_id,
            role_arn=role if role.startswith("arn:") else f"arn:aws:iam::{self._account}:role/{role}",
            role_name=name,
            expires_at=now + LIFE,
        )
        session.add(own)
        return _told(own, key.secret, key.session_token or "")

    def _open(self, own: RoleSession, key: AccessKey) -> RoleCredentials:
        return _told(own, self._secrets.decrypt(key.secret), self._secrets.decrypt(key.session_token or ""))


def role_name(role: str) -> str:
    """The name of a role given by ARN or name, in the characters that an ARN of its session may have."""
    name = role.rsplit("/", 1)[-1]
    return name if _NAME.fullmatch(name) else re.sub(r"[^\w+=,.@-]", "-", name, flags=re.ASCII)[:64]


def render_role_credentials(credentials: RoleCredentials) -> dict[str, Any]:
    """``roleCredentials`` of the agent protocol."""
    return {
        "credentialsId": credentials.credentials_id,
        "roleArn": credentials.role_arn,
        "accessKeyId": credentials.access_key_id,
        "secretAccessKey": credentials.secret_access_key,
        "sessionToken": credentials.session_token,
        "expiration": credentials.expiration,
    }


def _living(session: Session, task_ids: Sequence[str]) -> list[Task]:
    """The tasks that are to run: whoever has ended, or is about to, gets nothing any more."""
    return [
        task
        for task in list_tasks(session, task_ids)
        if task.desired_status == "RUNNING" and task.last_status in ("PENDING", "RUNNING")
    ]


def _roles(session: Session, task: Task) -> dict[str, str]:
    definition = session.get_one(TaskDefinition, (task.family, task.revision))
    return roles_of(definition.body, task.overrides)


def _told(own: RoleSession, secret: str, token: str) -> RoleCredentials:
    return RoleCredentials(
        role_type=own.kind,
        credentials_id=own.credentials_id,
        role_arn=own.role_arn,
        access_key_id=own.access_key_id,
        secret_access_key=secret,
        session_token=token,
        expires_at=own.expires_at,
    )
