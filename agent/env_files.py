"""Environment files: Docker's ``NAME=value`` lines in objects of S3, read with the task's execution role.

As ECS has it: the first of several files that names a variable decides, and the container definition's own
``environment`` goes before all of them.
"""

from agent.control.aws import Unreachable
from agent.s3 import S3, NoObject
from agent.secrets import execution_keys
from agent.tasks.launch import PutOff, Unprepared
from agent.tasks.spec import ContainerSpec, TaskSpec

FAILED = "unable to download env files"


class EnvironmentFiles:
    """Raises Unprepared for what will never be had, and PutOff for what may be had later."""

    def __init__(self, s3: S3) -> None:
        self._s3 = s3

    def fetch(self, task: TaskSpec, container: ContainerSpec) -> dict[str, str]:
        """The variables of a container's files."""
        merged: dict[str, str] = {}
        for arn in container.environment_files:
            try:
                content = self._s3.get(arn, None if self._s3.has_keys else execution_keys(task))
                merged = {**read_environment(content, arn), **merged}
            except Unreachable as error:
                raise PutOff(FAILED, error) from error
            except NoObject as error:
                raise Unprepared(f"{FAILED}: {error}") from error
        return merged


def read_environment(content: bytes, name: str) -> dict[str, str]:
    """``NAME=value`` by lines: blank ones and comments are passed over, a value is taken as it stands."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NoObject(f"{name}: not text") from error
    found: dict[str, str] = {}
    for line in text.split("\n"):
        line = line.rstrip("\r").lstrip()
        variable, equals, value = line.partition("=")
        if not line or line.startswith("#") or not equals or not variable:
            continue
        if any(c.isspace() or c == "\0" for c in variable) or "\0" in value:
            raise NoObject(f"{name}: {variable!r} is no name for a variable")
        found[variable] = value
    return found
