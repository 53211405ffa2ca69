"""A control plane in memory: answers calls from functions, refuses when told to, keeps what it heard."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from agent.control.aws import ApiError, Unreachable
from agent.keys import Keys


class FakeCalls:
    """``trouble`` for an operation is raised once each, before anything is answered."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Mapping[str, Any]]] = []
        self.keys: list[Keys | None] = []
        self.answers: dict[str, Callable[[Mapping[str, Any]], Any]] = {}
        self.trouble: dict[str, deque[Exception]] = {}
        self.away = False

    def call(self, service: str, operation: str, body: Mapping[str, Any], *, keys: Keys | None = None) -> Any:
        if self.away:
            raise Unreachable("nobody there")
        if waiting := self.trouble.get(operation):
            raise waiting.popleft()
        self.heard.append((f"{service}.{operation}", body))
        self.keys.append(keys)
        answer = self.answers.get(operation)
        return answer(body) if answer else {}

    def refuse(self, operation: str, code: str, message: str = "no", status: int = 400) -> None:
        self.trouble.setdefault(operation, deque()).append(ApiError(code, message, status))

    def bodies(self, operation: str) -> list[Mapping[str, Any]]:
        return [body for name, body in self.heard if name.endswith(f".{operation}")]
