"""Image uses: which images tasks, services, jobs and schedules name, read in a few statements.

Answers names as users wrote them; whose registry is meant, and what a tag is now, is for others to say.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import Text, cast, func, select, tuple_, union
from sqlalchemy.orm import Session

from state.images import Reference, Tag
from state.job_definitions import JobDefinition
from state.jobs import UNFINISHED, Job, Submission
from state.schedules import Schedule
from state.services import Deployment, Service
from state.task_definitions import TaskDefinition
from state.tasks import TASK, Task

_NOT_STOPPED = tuple(status for status in TASK.moves if status != "STOPPED")
# A container's name for its image stands before the digest that its host found; both are texts without quotes.
_SAID = re.compile(r'"(image|imageDigest)":\s*"([^"\\]*)"')
_REVISION = re.compile(r"(?:.*/)?([^/:]+)(?::(\d{1,9}))?", re.DOTALL)
_AT_ONCE = 300


def list_image_uses(session: Session) -> set[tuple[str, str | None]]:
    """Images in use by name, each also with the digest that a host found behind it, where one told it."""
    uses = {(image, None) for image in _of_services(session)}
    uses |= {(image, None) for image in _of_jobs(session)}
    uses |= {(image, None) for image in _of_schedules(session)}
    return uses | set(_of_tasks(session))


def digests_of_tags(session: Session, names: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """The repository and digest of each of these repositories' tags that exists."""
    found: set[tuple[str, str]] = set()
    for keys in _some(names):
        rows = select(Tag.repository, Tag.digest).where(tuple_(Tag.repository, Tag.name).in_(keys))
        found |= {(repository, digest) for repository, digest in session.execute(rows)}
    return found


def parts_of_lists(session: Session, names: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """The repository and digest of every image that those lists of images (repository, digest) name."""
    found: set[tuple[str, str]] = set()
    for keys in _some(names):
        rows = select(Reference.repository, Reference.target).where(
            Reference.kind == "image", tuple_(Reference.repository, Reference.image).in_(keys)
        )
        found |= {(repository, target) for repository, target in session.execute(rows)}
    return found


def _of_tasks(session: Session) -> Iterator[tuple[str, str | None]]:
    """Tasks that have not stopped, also those that should: their containers may still run."""
    texts = select(cast(Task.containers, Text)).where(Task.last_status.in_(_NOT_STOPPED))
    for (text,) in session.execute(texts):
        image = ""
        for member, said in _SAID.findall(text):
            if member == "image":
                image = said
                yield image, None
            else:
                yield image, said


def _of_services(session: Session) -> Iterator[str]:
    wanted = union(
        select(Service.family, Service.revision).where(Service.status != "INACTIVE"),
        select(Deployment.family, Deployment.revision).where(Deployment.status != "INACTIVE"),
    ).subquery()
    bodies = select(TaskDefinition.body).join(
        wanted, (wanted.c.family == TaskDefinition.family) & (wanted.c.revision == TaskDefinition.revision)
    )
    for body in session.scalars(bodies):
        yield from _images_of(body)


def _of_jobs(session: Session) -> Iterator[str]:
    """A submission holds its definition's container as it was; an array's children share it."""
    unfinished = select(Job.submission_id).where(Job.status.in_(UNFINISHED)).distinct()
    for container in session.scalars(select(Submission.container).where(Submission.id.in_(unfinished))):
        yield from _images_of({"containerProperties": container})


def _of_schedules(session: Session) -> Iterator[str]:
    """What the targets would run, enabled or not: who switches one on again expects it to work."""
    tasks: set[str] = set()
    jobs: set[str] = set()
    for target in session.scalars(select(Schedule.target)):
        tasks |= _texts([(target.get("EcsParameters") or {}).get("TaskDefinitionArn")])
        try:
            request = json.loads(target.get("Input") or "{}")
        except (ValueError, RecursionError):
            continue
        if isinstance(request, dict):
            tasks |= _texts([request.get("taskDefinition"), request.get("TaskDefinition")])
            jobs |= _texts([request.get("jobDefinition"), request.get("JobDefinition")])
    for body in _bodies(session, TaskDefinition.family, TaskDefinition, tasks):
        yield from _images_of(body)
    for body in _bodies(session, JobDefinition.name, JobDefinition, jobs):
        yield from _images_of(body)


def _bodies(session: Session, name: Any, kind: Any, wanted: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    """The bodies of definitions named ``NAME:REVISION``, ``NAME`` or by ARN; of a mere name its newest."""
    exact: set[tuple[str, int]] = set()
    newest: set[str] = set()
    for each in wanted:
        found = _REVISION.fullmatch(each.split(":task-definition/")[-1].split(":job-definition/")[-1])
        if found is None:
            continue
        if found[2]:
            exact.add((found[1], int(found[2])))
        else:
            newest.add(found[1])
    for names in _some(newest):
        latest = select(name, func.max(kind.revision)).where(name.in_(names), kind.status == "ACTIVE").group_by(name)
        exact |= {(found, revision) for found, revision in session.execute(latest)}
    for keys in _some(exact):
        yield from session.scalars(select(kind.body).where(tuple_(name, kind.revision).in_(keys)))


def _images_of(body: Mapping[str, Any]) -> Iterator[str]:
    containers = [*(body.get("containerDefinitions") or ()), body.get("containerProperties") or {}]
    for container in containers:
        yield from _texts([container.get("image")])


def _texts(values: Iterable[Any]) -> set[str]:
    return {value for value in values if isinstance(value, str) and value}


def _some(values: Iterable[Any]) -> Iterator[list[Any]]:
    every = sorted(values)
    for start in range(0, len(every), _AT_ONCE):
        yield every[start : start + _AT_ONCE]
