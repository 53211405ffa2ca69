"""Payloads as text, quickly: what tasks have in common is rendered once, and each task's own is filled in.

A task's own are its id, its containers' ids and the values of its extra environment. Whatever else is special about a
task, an address, a GPU or a role's keys, has it rendered by itself; either way the text is what
``render_payload_task`` makes.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kit.ids import Arns, new_id
from kit.settings import Settings
from orchestrator.agents.official import OWN, Recipient, fit_payload
from orchestrator.agents.payloads import render_payload_task
from orchestrator.agents.roles import RoleCredentials
from state.base import encode_document
from state.store import Session
from state.task_definitions import TaskDefinition
from state.told_tasks import ToldTask

MOST_KEPT = 1000
# Members of a container that are its task's own and in the payload.
OWN_MEMBERS = ("gpuIds",)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """A payload's text with holes (``%s``), and which of a task's own values goes into each."""

    text: str
    holes: tuple[int, ...]

    def fill(self, own: Sequence[str]) -> str:
        return self.text % tuple([own[hole] for hole in self.holes])


class PayloadTexts:
    """One for all conversations of a process; safe on any thread, since a form once made never changes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._arns = Arns(settings.account, settings.region)
        self._forms: dict[tuple[Any, ...], _Form] = {}

    def render(
        self,
        session: Session,
        task: ToldTask,
        roles: Sequence[RoleCredentials] = (),
        recipient: Recipient = OWN,
    ) -> str:
        """The task as an entry of a PayloadMessage's ``tasks``. Raises what makes it impossible to tell."""
        containers = task.containers
        if roles:
            return encode_document(self._rendered(session, task, recipient, roles))
        if task.attachments_text != "[]" or any(member in c for c in containers for member in OWN_MEMBERS):
            return encode_document(self._rendered(session, task, recipient))
        environment = task.extra_environment
        names = tuple(container["name"] for container in containers)
        form = self._form(session, task, recipient, names, tuple(environment))
        values = [json.dumps(value)[1:-1] for value in environment.values()]
        return form.fill([task.id, *(container["id"] for container in containers), *values])

    def _form(
        self,
        session: Session,
        task: ToldTask,
        recipient: Recipient,
        names: tuple[str, ...],
        variables: tuple[str, ...],
    ) -> _Form:
        # From the cluster to the overrides: all that the payload is made of and that is not the task's own.
        key = (*task[1:11], recipient, names, variables)
        form = self._forms.get(key)
        if form is None:
            form = _make_form(lambda model: self._rendered(session, model, recipient), task, names, variables)
            if len(self._forms) >= MOST_KEPT:
                self._forms.clear()
            self._forms[key] = form
        return form

    def _rendered(
        self, session: Session, task: ToldTask, recipient: Recipient, roles: Sequence[RoleCredentials] = ()
    ) -> dict[str, Any]:
        definition = session.get_one(TaskDefinition, (task.family, task.revision))
        payload = render_payload_task(task, definition, arns=self._arns, settings=self._settings, roles=roles)
        return fit_payload(payload, recipient, settings=self._settings)


def _make_form(
    render: Callable[[ToldTask], dict[str, Any]], task: ToldTask, names: Sequence[str], variables: Sequence[str]
) -> _Form:
    """Render the task with marks in place of what is its own. Marks are random: no definition holds them."""
    marks = [new_id() for _ in range(1 + len(names) + len(variables))]
    containers = [{"name": name, "id": mark} for name, mark in zip(names, marks[1:], strict=False)]
    model = task._replace(
        id=marks[0],
        containers_text=json.dumps(containers),
        extra_environment_text=json.dumps(dict(zip(variables, marks[1 + len(names) :], strict=True))),
    )
    text = encode_document(render(model)).replace("%", "%%")
    pattern = re.compile("|".join(marks))
    found = [marks.index(mark) for mark in pattern.findall(text)]
    return _Form(text=pattern.sub("%s", text), holes=tuple(found))
