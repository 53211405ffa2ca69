"""Facts as JSON lines: one object a line, past tense, no secrets.

Every module logs with ``log = facts(__name__)`` and ``log.info("task stopped", task=arn, because=reason)``;
only the process that owns the output calls ``configure``.
"""

import json
import logging
from datetime import UTC, datetime
from typing import Any, TextIO

ROOT = "agent"


class Facts:
    """Writes one fact and its data to the standard logging tree."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, fact: str, **data: Any) -> None:
        self._logger.debug(fact, extra={"facts": data})

    def info(self, fact: str, **data: Any) -> None:
        self._logger.info(fact, extra={"facts": data})

    def warning(self, fact: str, **data: Any) -> None:
        self._logger.warning(fact, extra={"facts": data})

    def error(self, fact: str, **data: Any) -> None:
        self._logger.error(fact, extra={"facts": data})

    def surprise(self, fact: str, **data: Any) -> None:
        """Log a fact with the trace of the exception being handled: for bugs, which must be seen."""
        self._logger.error(fact, extra={"facts": data}, exc_info=True)


def facts(name: str) -> Facts:
    return Facts(name)


def configure(stream: TextIO, *, verbose: bool = False) -> None:
    """Send the agent's facts to ``stream``, one JSON object a line."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    root = logging.getLogger(ROOT)
    root.handlers = [handler]
    root.propagate = False
    root.setLevel(logging.DEBUG if verbose else logging.INFO)


class JsonLines(logging.Formatter):
    """Renders a record as ``{"at", "level", "fact", …data}``."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "fact": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)
