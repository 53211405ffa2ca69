"""How log groups and streams are named on the wire: names, ARNs and identifiers that may be either."""

from typing import Any

from kit.aws.errors import InvalidParameterException
from kit.ids import Arns, resource_of
from orchestrator.agents.own_host import check_own_host
from orchestrator.api.logs.errors import LogGroupNotFound, LogStreamNotFound
from orchestrator.call import Call
from state.log_groups import LogGroup, get_log_group
from state.log_streams import LogStream, get_log_stream
from state.tasks import Task


def group_arn(arns: Arns, name: str) -> str:
    return arns.of("logs", f"log-group:{name}")


def stream_arn(arns: Arns, group: str, name: str) -> str:
    return f"{group_arn(arns, group)}:log-stream:{name}"


def group_name_of(identifier: str) -> str:
    """The name in ``identifier``, which is a name, ``arn:…:log-group:NAME`` or that with ``:*``."""
    resource = resource_of(identifier)
    if resource == identifier:
        return identifier
    kind, _, rest = resource.partition(":")
    if kind != "log-group" or not rest:
        raise InvalidParameterException(f"'{identifier}' is not the ARN of a log group.")
    return rest.split(":", 1)[0]


def find_group(call: Call, name: str, *, hold: str | None = None) -> LogGroup:
    """The group, or ResourceNotFoundException. ``hold`` is as in ``get_log_group``."""
    group = get_log_group(call.session, name, hold=hold)
    if group is None:
        raise LogGroupNotFound
    return group


def find_asked_group(call: Call, request: dict[str, Any]) -> LogGroup:
    """The group named by exactly one of ``logGroupName`` and ``logGroupIdentifier``."""
    name, identifier = request.get("logGroupName"), request.get("logGroupIdentifier")
    if (name is None) == (identifier is None):
        raise InvalidParameterException("Exactly one of logGroupName and logGroupIdentifier must be given.")
    return find_group(call, name if name is not None else group_name_of(str(identifier)))


def find_stream(call: Call, group: LogGroup, name: str, *, hold: bool = False) -> LogStream:
    """The stream, or ResourceNotFoundException."""
    stream = get_log_stream(call.session, group, check_text("logStreamName", name), hold=hold)
    if stream is None:
        raise LogStreamNotFound
    return stream


def check_own_stream(call: Call, name: str) -> None:
    """Raise AccessDeniedException when a host's key would write where a task on another host does."""
    if call.caller.speaks_for is not None:
        task = call.session.get(Task, check_text("logStreamName", name).rsplit("/", 1)[-1])
        if task is not None:
            check_own_host(call.caller, task.container_instance_id)


def check_text(member: str, text: str) -> str:
    """The text itself, unless it holds what no database keeps: NUL, or halves of surrogate pairs."""
    if storable(text) != text:
        raise InvalidParameterException(f"The value of '{member}' holds a character that is not allowed.")
    return text


def storable(text: str) -> str:
    """The text with each character that no database keeps replaced by U+FFFD."""
    if "\0" in text:
        text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
