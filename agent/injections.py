"""Injections: everything fetched for a container before it is made, put together."""

from agent.env_files import EnvironmentFiles
from agent.secrets import Secrets
from agent.tasks.injected import NOTHING, Injected
from agent.tasks.secret_refs import Target
from agent.tasks.spec import ContainerSpec, TaskSpec


class Injections:
    """Asks only for what the container names; one that names nothing costs nothing."""

    def __init__(self, *, secrets: Secrets, environment_files: EnvironmentFiles) -> None:
        self._secrets = secrets
        self._files = environment_files

    def fetch(self, task: TaskSpec, container: ContainerSpec) -> Injected:
        """Raises Unprepared, PutOff."""
        auth = container.registry_auth
        if not (container.secrets or container.environment_files or (auth and auth.secret)):
            return NOTHING
        values = self._secrets.fetch(task, container.secrets) if container.secrets else {}
        return Injected(
            defaults=self._files.fetch(task, container) if container.environment_files else {},
            environment={ref.name: value for ref, value in values.items() if ref.target is Target.CONTAINER},
            log_options={ref.name: value for ref, value in values.items() if ref.target is Target.LOG_DRIVER},
            login=self._secrets.login(task, auth.secret) if auth and auth.secret else None,
        )
