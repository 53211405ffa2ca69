"""Parameters as tests put them."""

from typing import Any


def put(client: Any, name: str, value: str = "v", kind: str = "String", **more: Any) -> Any:
    return client.put_parameter(Name=name, Value=value, Type=kind, **more)
