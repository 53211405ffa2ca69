"""What tests of task definitions share: registering them, and reading why ECS would not."""

from typing import Any

import pytest

WEB = {"name": "web", "image": "localhost:5050/web:1", "memory": 64}


def register(ecs: Any, *containers: dict[str, Any], family: str = "web", **members: Any) -> dict[str, Any]:
    definitions = [dict(container) for container in containers or (WEB,)]
    answer = ecs.register_task_definition(family=family, containerDefinitions=definitions, **members)
    found: dict[str, Any] = answer["taskDefinition"]
    return found


def refusal(ecs: Any, *containers: dict[str, Any], **members: Any) -> str:
    with pytest.raises(ecs.exceptions.ClientException) as refused:
        register(ecs, *containers, **members)
    return str(refused.value.response["Error"]["Message"])


def web(**members: Any) -> dict[str, Any]:
    return {**WEB, **members}
