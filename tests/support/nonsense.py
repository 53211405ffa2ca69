"""Requests full of nonsense, drawn from a seed: what no client of AWS would send, and what one might by mistake.

A request starts as a valid one of its operation that names what exists, so that it comes past the first checks. Then
some of its values are replaced.
"""

import json
import random
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from botocore.model import Shape
from botocore.serialize import create_serializer

from kit.aws.http import HttpRequest
from kit.aws.service import Service
from kit.aws.sigv4 import Key, sign
from tests.support.shape_values import ShapeValues

HOST = "berth.test:7070"
FOREIGN = (
    "arn:aws:{service}:us-east-1:123456789012:{noun}/nobody",
    "arn:aws:{service}:us-east-1:999999999999:{noun}/default",
    "arn:aws:{service}:eu-central-1:123456789012:{noun}/default",
    "arn:aws:s3:::{noun}",
    "arn:aws:{service}:us-east-1:123456789012:{noun}/",
    "arn:aws:{service}:::",
    "arn:",
)
NOUNS = ("cluster", "service", "task", "task-definition", "container-instance", "job", "job-queue", "job-definition")
TEXTS = (
    *("", " ", "\x00", "a\x00b", "\ud800", "é€😀", "\u202e", "x" * 100_000, "../../etc/passwd"),
    *("%", "%s", "_", "{}", "null", "-1", "web:0", "web:-1", "web:99999999999999999999"),
    *("a/b/c/d", ":::", "'; drop table tasks; --", "${jndi:x}"),
)
# A lone surrogate has no place in a path or a query, only in the escapes of JSON.
WRITABLE = tuple(text for text in TEXTS if text.isascii() or text.isprintable())
NUMBERS = (0, -1, 1, 2**31 - 1, 2**31, 2**63, -(2**63) - 1, 10**40, 1.5, float("1e308"), 65536)
KINDS: tuple[Any, ...] = (None, True, False, [], {}, [[]], [None], {"a": None}, [{}], {"": ""}, "1", 1, -0.0)


class MostlyKnown(ShapeValues):
    """Valid values, but members that ``known`` names mostly have the value that stands there.

    A name is a member's, or a service's and a member's (``ecs.cluster``).
    """

    def __init__(self, seed: int, service: str, known: Mapping[str, Any], *, optional: float) -> None:
        super().__init__(seed, optional=optional)
        self._service = service
        self._known = known

    def _structure(self, shape: Any, depth: int) -> dict[str, Any]:
        drawn = super()._structure(shape, depth)
        for name in drawn:
            value = self._known.get(f"{self._service}.{name}", self._known.get(name))
            if _fits(value, shape.members[name]) and self._random.random() < 0.95:
                drawn[name] = value
        return drawn


def requests(
    service: Service, operation: str, known: Mapping[str, Any], key: Key, at: datetime
) -> Iterator[HttpRequest]:
    """The requests of one operation, each signed by ``key`` for ``at``; always the same ones."""
    shape = service.operation_model(operation).input_shape
    for seed in range(9):
        chance = random.Random(f"{service.name}:{operation}:{seed}")
        values = MostlyKnown(seed, service.name, known, optional=(0.0, 0.2, 0.5)[seed % 3])
        params = values.value(shape) if shape is not None else {}
        parts = written(service, operation, params)
        yield signed(service, parts, parts["body"], key, at)
        for spoil in SPOILERS:
            yield signed(service, parts, spoil(parts["body"], service, chance), key, at)
        if seed in (0, 3):
            for spoiled in _each_text(params, service):
                parts = written(service, operation, spoiled)
                yield signed(service, parts, parts["body"], key, at)


def written(service: Service, operation: str, params: dict[str, Any]) -> dict[str, Any]:
    """The request as botocore writes it; its body is an object where the protocol's is JSON or a form, else bytes."""
    model = service.operation_model(operation)
    parts: dict[str, Any] = create_serializer(
        service.model.metadata["protocol"], include_validation=False
    ).serialize_to_request(params, model)
    if isinstance(parts["body"], (bytes, bytearray)):
        parts["body"] = json.loads(bytes(parts["body"]) or b"{}")
    return parts


def signed(service: Service, parts: dict[str, Any], body: Any, key: Key, at: datetime) -> HttpRequest:
    raw = body if isinstance(body, bytes) else _bytes(service, body)
    query = "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in dict(parts["query_string"]).items())
    path = parts["url_path"].partition("?")[0]
    headers = {"Host": HOST, **{name: str(value) for name, value in parts["headers"].items()}}
    added = sign(
        method=parts["method"],
        url=f"http://{HOST}{path}" + (f"?{query}" if query else ""),
        headers=headers,
        body=raw,
        access_key=key.access_key_id,
        secret_key=key.secret,
        service=service.signing_name,
        region="us-east-1",
        at=at,
    )
    return HttpRequest(method=parts["method"], path=path, query=query, headers={**headers, **added}, body=raw)


def spoil_one(body: Any, service: Service, chance: random.Random) -> Any:
    """Put one piece of nonsense anywhere."""
    return _replaced(body, chance.choice(list(_places(body)) or [()]), _nonsense(service, chance))


def spoil_texts(body: Any, service: Service, chance: random.Random) -> Any:
    """Replace every text by nonsense of the same kind."""
    for place in _places(body):
        if isinstance(_at(body, place), str):
            body = _replaced(body, place, _text(service, chance))
    return body


def spoil_one_text(body: Any, service: Service, chance: random.Random) -> Any:
    texts = [place for place in _places(body) if isinstance(_at(body, place), str)]
    return _replaced(body, chance.choice(texts), _text(service, chance)) if texts else body


def spoil_numbers(body: Any, service: Service, chance: random.Random) -> Any:
    for place in _places(body):
        value = _at(body, place)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            body = _replaced(body, place, chance.choice(NUMBERS))
    return body


def add_unknown(body: Any, service: Service, chance: random.Random) -> Any:
    """A member that no model knows."""
    return {**body, "nobodyKnowsThis": chance.choice(KINDS)} if isinstance(body, dict) else body


def cut_off(body: Any, service: Service, chance: random.Random) -> bytes:
    """Half of the body."""
    raw = _bytes(service, body)
    return raw[: chance.randrange(len(raw))] if raw else b"{"


def scramble(body: Any, service: Service, chance: random.Random) -> bytes:
    """The body with some bytes changed."""
    raw = bytearray(_bytes(service, body) or b"{}")
    for _ in range(3):
        raw[chance.randrange(len(raw))] = chance.randrange(256)
    return bytes(raw)


SPOILERS: tuple[Callable[[Any, Service, random.Random], Any], ...] = (
    *(spoil_one, spoil_one, spoil_one_text, spoil_one_text, spoil_texts),
    *(spoil_numbers, add_unknown, cut_off, scramble),
)


def _fits(value: Any, shape: Shape) -> bool:
    match value:
        case str():
            return shape.type_name == "string" and value in (shape.metadata.get("enum") or (value,))
        case int() | float():
            return shape.type_name in ("integer", "long", "double", "timestamp")
        case list():
            return shape.type_name == "list" and all(_fits(one, shape.member) for one in value)
        case dict():
            if shape.type_name == "map":
                return all(_fits(one, shape.value) for one in value.values())
            members = shape.members if shape.type_name == "structure" else {}
            return all(name in members and _fits(one, members[name]) for name, one in value.items())
    return False


def _each_text(params: Any, service: Service) -> Iterator[Any]:
    """The parameters with each of their texts replaced by each nonsense text in turn."""
    texts = [text.format(service=service.name, noun=noun) for text in FOREIGN for noun in NOUNS[:3]]
    for place in _places(params):
        if isinstance(_at(params, place), str):
            for text in (*texts, *WRITABLE):
                yield _replaced(params, place, text)


def _nonsense(service: Service, chance: random.Random) -> Any:
    return chance.choice((_text(service, chance), chance.choice(NUMBERS), chance.choice(KINDS)))


def _text(service: Service, chance: random.Random) -> str:
    if chance.random() < 0.4:
        return chance.choice(FOREIGN).format(service=service.name, noun=chance.choice(NOUNS))
    return chance.choice(TEXTS)


def _bytes(service: Service, body: Any) -> bytes:
    if service.model.metadata["protocol"] == "query":
        flat = body if isinstance(body, dict) else {"Action": str(body)}
        return "&".join(f"{_quoted(str(name))}={_quoted(str(value))}" for name, value in flat.items()).encode()
    return json.dumps(body).encode()


def _quoted(text: str) -> str:
    return "".join(
        char if char.isascii() and char.isalnum() else "".join(f"%{byte:02X}" for byte in char.encode(errors="replace"))
        for char in str(text)
    )


def _places(body: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for key, value in inner:
        yield (*here, key)
        yield from _places(value, (*here, key))


def _at(body: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        body = body[key]
    return body


def _replaced(body: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    copy = dict(body) if isinstance(body, dict) else list(body)
    copy[place[0]] = _replaced(body[place[0]], place[1:], value)
    return copy
