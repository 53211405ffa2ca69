"""Injections: everything fetched for a container before it is made, put together."""

from agent.env_files import EnvironmentFiles
from agent.firelens import Firelens
from agent.secrets import Secrets
from agent.tasks.injected import NOTHING, Injected
from agent.tasks.routers import logs_by_router
from agent.tasks.secret_refs import Target
from agent.tasks.spec import ContainerSpec, TaskSpec


class Injections:
    """Asks only for what the container names; one that names nothing costs nothing."""

    def __init__(self, *, secrets: Secrets, environment_files: EnvironmentFiles, firelens: Firelens) -> None:
        self._secrets = secrets
        self._files = environment_files
        self._firelens = firelens

    def fetch(self, task: TaskSpec, container: ContainerSpec) -> Injected:
        """Raises Unprepared, PutOff, Temporary."""
        auth = container.registry_auth
        routed = logs_by_router(container)
        if not (
            container.secrets or container.environment_files or (auth and auth.secret) or container.router or routed
        ):
            return NOTHING
        refs = [ref for ref in container.secrets if not (routed and ref.target is Target.LOG_DRIVER)]
        values = self._secrets.fetch(task, refs) if refs else {}
        injected = Injected(
            defaults=self._files.fetch(task, container) if container.environment_files else {},
            environment={ref.name: value for ref, value in values.items() if ref.target is Target.CONTAINER},
            log_options={ref.name: value for ref, value in values.items() if ref.target is Target.LOG_DRIVER},
            login=self._secrets.login(task, auth.secret) if auth and auth.secret else None,
        )
        if container.router:
            injected = injected.with_more(self._firelens.for_router(task, container.router))
        if routed:
            injected = injected.with_more(self._firelens.for_logging(task, container))
        return injected

    def after(self, task: TaskSpec) -> None:
        """Remove what was made for the task. Raises RuntimeTrouble."""
        self._firelens.after(task)
