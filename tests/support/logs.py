"""What tests of CloudWatch Logs share: putting lines, and reading what was answered."""

from typing import Any


def put(client: Any, stream: dict[str, str], first: int, *messages: str) -> Any:
    """Put messages a millisecond apart."""
    events = [{"timestamp": first + index, "message": message} for index, message in enumerate(messages)]
    return client.put_log_events(**stream, logEvents=events)


def messages(answer: Any) -> list[str]:
    return [event["message"] for event in answer["events"]]
