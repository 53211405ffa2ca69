"""The launch: from a container's spec to its running process, in one go and repeatable at any point.

A container that exists already under its name (a lost answer, a killed agent) is adopted: started when it never
ran, looked at when it did. Nothing is asked of the engine before the process runs that is not needed for that.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Protocol

from agent.images import CannotPull, Images, remedy
from agent.runtime import (
    ContainerState,
    Damaged,
    Hindered,
    ImageMissing,
    NameTaken,
    NotFound,
    Refused,
    Runtime,
    RuntimeTrouble,
    Status,
    Temporary,
)
from agent.tasks.host_ports import HostPorts, NoPortsInARow
from agent.tasks.injected import NOTHING, Injected
from agent.tasks.model import NOT_PREPARED
from agent.tasks.render import TASK_LABEL, Host, container_name, ranges_to_pick, render_container
from agent.tasks.roles import Role
from agent.tasks.spec import ContainerSpec, TaskSpec
from kit.clock import Clock

PICKS = 10
# ECS's words where a secret or a login can't be had.
NO_SECRETS = "unable to pull secrets or registry auth: execution resource retrieval failed: "
# The engine's words for a host port that somebody has.
PORT_TAKEN = ("port is already allocated", "address already in use")


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """The container exists and was started; ``state`` is what was seen after it, when anybody had to look."""

    runtime_id: str
    started_at: datetime
    digest: str = ""
    state: ContainerState | None = None
    pull_started_at: datetime | None = None
    pull_stopped_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotLaunched:
    """It will not run. ``runtime_id`` names what is left of it, if anything."""

    reason: str
    runtime_id: str = ""
    exit_code: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """Try again. The engine was away; or, where ``unable`` says what could not be done, what the container needs from
    elsewhere was, which is waited for only so long (``patience``)."""

    because: str
    unable: str = ""


class Prepares(Protocol):
    """Makes what a container needs around it: log streams, networks, volumes. Raises Unprepared, PutOff, Temporary."""

    def before(self, task: TaskSpec, container: ContainerSpec) -> Injected:
        """The answer is what is to be put into the container."""
        ...

    def mend(self, task: TaskSpec, missing: NotFound) -> bool:
        """Make again what the task's network stands on and somebody removed; False when that can't be."""
        ...

    def started(self, task: TaskSpec, container: ContainerSpec, runtime_id: str) -> None: ...


Outcome = Launched | NotLaunched | Later


def launch(
    task: TaskSpec,
    container: ContainerSpec,
    *,
    runtime: Runtime,
    images: Images,
    host: Host,
    prepares: Prepares,
    clock: Clock,
    cancelled: Callable[[], bool],
    ports: HostPorts,
) -> Outcome:
    """Pull what is missing, create and start; where ports that were picked turn out to be taken, with others."""
    for _ in range(PICKS):
        outcome = _attempt(
            task,
            container,
            runtime=runtime,
            images=images,
            host=host,
            prepares=prepares,
            clock=clock,
            cancelled=cancelled,
            ports=ports,
        )
        if not _ports_taken(task, container, outcome):
            break
        try:
            runtime.remove(container_name(task, container.name))
        except RuntimeTrouble as error:
            return Later(because=str(error))
    return outcome


def _attempt(
    task: TaskSpec,
    container: ContainerSpec,
    *,
    runtime: Runtime,
    images: Images,
    host: Host,
    prepares: Prepares,
    clock: Clock,
    cancelled: Callable[[], bool],
    ports: HostPorts,
) -> Outcome:
    pulled_at: list[datetime] = []
    try:
        injected = prepares.before(task, container)
        container = _with_login(task, container, injected)
        picked = {mapping: ports.pick(mapping.count, mapping.protocol) for mapping in ranges_to_pick(task, container)}
        render = partial(render_container, task, container, host=host, picked=picked, injected=injected)
        fresh = injected is not NOTHING
        image = images.resolve(container)
        create = partial(_create, task, container, image, runtime, images, render, clock, cancelled, pulled_at, fresh)
        with images.held(image):
            try:
                made = create()
            except NotFound as missing:
                if not container.internal or not prepares.mend(task, missing):
                    raise
                made = create()
    except CannotPull as error:
        return NotLaunched(reason=f"CannotPullContainerError: {error}")
    except Temporary as error:
        return Later(because=str(error))
    except PutOff as error:
        return Later(because=error.because, unable=error.unable)
    except Hindered as error:
        return Later(because=str(error), unable=f"{NO_SECRETS}unable to retrieve ecr registry auth")
    except Unprepared as error:
        return NotLaunched(reason=f"{NOT_PREPARED}: {error}")
    except Damaged as error:
        return NotLaunched(reason=f"CannotCreateContainerError: {error}; {remedy(image)}")
    except (Refused, NotFound) as error:
        return NotLaunched(reason=f"CannotCreateContainerError: {error}")
    except NoPortsInARow as error:
        return NotLaunched(reason=f"CannotStartContainerError: {error}")
    outcome: Outcome
    if made.adopted and has_run(made.adopted):
        outcome = _adopted(made.adopted, clock)
    elif cancelled():
        return NotLaunched(reason="", runtime_id=made.runtime_id)
    elif failure := _put(runtime, made.runtime_id, injected):
        return failure
    else:
        outcome = _start(task, container, image, made.runtime_id, runtime, prepares, clock)
    if not isinstance(outcome, Launched):
        return outcome
    prepares.started(task, container, made.runtime_id)
    state = outcome.state
    if state is None and task.network_mode == "bridge" and container.port_mappings:
        state = _look(runtime, made.runtime_id)
    return replace(
        outcome,
        digest=made.digest or "",
        state=state,
        pull_started_at=pulled_at[0] if pulled_at else None,
        pull_stopped_at=pulled_at[-1] if pulled_at else None,
    )


@dataclass(frozen=True, slots=True)
class _Made:
    """A container that exists; ``adopted`` is how it was found, when it was there before."""

    runtime_id: str
    digest: str | None
    adopted: ContainerState | None = None


class Unprepared(Exception):
    """What the container needs around it could not be made; the text says what and why."""


class PutOff(Exception):
    """What the container needs around it can't be had now, and perhaps later."""

    def __init__(self, unable: str, because: object) -> None:
        super().__init__(f"{unable}: {because}")
        self.unable = unable
        self.because = str(because)


def execution_role(task: TaskSpec) -> Role | None:
    """The execution role with its newest keys; None for a task without one. Raises PutOff while they are not here."""
    if task.execution_role is None and task.has_execution_role:
        # They are not kept on the disk: after a restart the control plane tells them again.
        raise PutOff(NO_SECRETS.removesuffix(": "), "the execution role's credentials have not arrived yet")
    return task.execution_role


def _with_login(task: TaskSpec, container: ContainerSpec, injected: Injected) -> ContainerSpec:
    """The container with what its image is pulled with: a secret's login, or the execution role."""
    auth = container.registry_auth
    if auth is None:
        return container
    if injected.login:
        return replace(container, registry_auth=replace(auth, login=injected.login))
    if not auth.by_role:
        return container
    role = execution_role(task)
    if role is None:
        # This host's own identity is not to pull in the role's stead.
        raise CannotPull("the task has no execution role to pull with")
    return replace(container, registry_auth=replace(auth, role=role))


def _create(
    task: TaskSpec,
    container: ContainerSpec,
    image: str,
    runtime: Runtime,
    images: Images,
    render: Callable[..., dict[str, object]],
    clock: Clock,
    cancelled: Callable[[], bool],
    pulled_at: list[datetime],
    renewed: bool,
) -> _Made:
    name = container_name(task, container.name)
    body = render(image=image)
    failure: CannotPull | None = None
    digest: str | None = None

    def pull() -> None:
        nonlocal digest
        pulled_at.append(clock.now())
        try:
            digest = images.pull(container, image, cancelled)
        finally:
            pulled_at.append(clock.now())

    if images.pull_first(container, image):
        try:
            pull()
        except CannotPull as error:
            if not images.cached_copy_will_do:
                raise
            failure = error
    try:
        return _create_or_adopt(runtime, name, body, task, digest, renewed)
    except ImageMissing:
        if container.internal:
            raise
        if failure:
            raise failure from None
        pull()
        return _create_or_adopt(runtime, name, body, task, digest, renewed)
    except Damaged:
        if container.internal or not images.discard(image):
            raise
        pull()
        return _create_or_adopt(runtime, name, body, task, digest, renewed)


def _create_or_adopt(
    runtime: Runtime, name: str, body: dict[str, object], task: TaskSpec, digest: str | None, renewed: bool
) -> _Made:
    try:
        return _Made(runtime.create(name, body), digest)
    except NameTaken:
        state = runtime.inspect(name)
        if state.labels.get(TASK_LABEL) != task.arn:
            raise
        if renewed and not has_run(state):
            # It was made with values that may be old by now.
            runtime.remove(state.id)
            return _Made(runtime.create(name, body), digest)
        return _Made(state.id, digest, state)


def has_run(state: ContainerState) -> bool:
    """Whether the container's process has been started, or failed to: either way it is not to be started again."""
    return state.status is not Status.CREATED or bool(state.error)


def _adopted(state: ContainerState, clock: Clock) -> Outcome:
    if state.status is Status.CREATED:
        return NotLaunched(
            reason=f"CannotStartContainerError: {state.error}", runtime_id=state.id, exit_code=state.exit_code
        )
    return Launched(runtime_id=state.id, started_at=state.started_at or clock.now(), state=state)


def _put(runtime: Runtime, runtime_id: str, injected: Injected) -> Outcome | None:
    """Unpack the files that are put into a container, which may be repeated; what went wrong, if anything."""
    try:
        for directory, tar in injected.files.items():
            runtime.put(runtime_id, directory, tar)
    except Temporary as error:
        return Later(because=str(error))
    except (Refused, NotFound) as error:
        return NotLaunched(reason=f"{NOT_PREPARED}: {error}", runtime_id=runtime_id)
    return None


def _start(
    task: TaskSpec,
    container: ContainerSpec,
    image: str,
    runtime_id: str,
    runtime: Runtime,
    prepares: Prepares,
    clock: Clock,
) -> Outcome:
    reason = NOT_PREPARED if container.internal else "CannotStartContainerError"
    started_at = clock.now()
    try:
        try:
            runtime.start(runtime_id)
        except NotFound as missing:
            if not container.internal or not prepares.mend(task, missing):
                raise
            runtime.start(runtime_id)
    except Temporary as error:
        return Later(because=str(error))
    except (Refused, NotFound) as error:
        state = _look(runtime, runtime_id)
        code = state.exit_code if state and state.exit_code else None
        if isinstance(error, Damaged):
            return NotLaunched(reason=f"{reason}: {error}; {remedy(image)}", runtime_id=runtime_id, exit_code=code)
        return NotLaunched(reason=f"{reason}: {error}", runtime_id=runtime_id, exit_code=code)
    return Launched(runtime_id=runtime_id, started_at=started_at)


def _ports_taken(task: TaskSpec, container: ContainerSpec, outcome: Outcome) -> bool:
    """Whether the container did not start because somebody else has a port that was picked for it."""
    return (
        isinstance(outcome, NotLaunched)
        and any(words in outcome.reason for words in PORT_TAKEN)
        and bool(ranges_to_pick(task, container))
    )


def _look(runtime: Runtime, runtime_id: str) -> ContainerState | None:
    try:
        return runtime.inspect(runtime_id)
    except RuntimeTrouble:
        return None
