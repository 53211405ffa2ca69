"""Values for botocore shapes, drawn from a seeded random source: valid by every constraint of the model."""

import random
import re
import string
from datetime import UTC, datetime, timedelta
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as sre_parser  # type: ignore[attr-defined]
from typing import Any

from botocore.model import Shape

from kit.aws.model import is_document
from kit.aws.patterns import compile_pattern

DEEPEST = 5
_TEXT = string.ascii_letters + string.digits + " -_./:=+@\"'\\<>&\n\té€😀"


class ShapeValues:
    """Draws values. ``optional`` is the chance that a member which may be absent is there.

    Without ``hollow`` no nested structure is empty: a form has no way to spell one.
    """

    def __init__(self, seed: int, *, optional: float = 0.7, hollow: bool = True) -> None:
        self._random = random.Random(seed)
        self._optional = optional
        self._hollow = hollow

    def value(self, shape: Shape, depth: int = 0) -> Any:
        match shape.type_name:
            case "structure":
                return self._document(0) if is_document(shape) else self._structure(shape, depth)
            case "list":
                return [self.value(shape.member, depth + 1) for _ in range(self._size(shape, depth))]
            case "map":
                keys = dict.fromkeys(self.value(shape.key, depth + 1) for _ in range(self._size(shape, depth)))
                return {key: self.value(shape.value, depth + 1) for key in keys}
            case "string" | "character":
                return self._string(shape)
            case "integer" | "long":
                low, high = shape.metadata.get("min", -(2**31)), shape.metadata.get("max", 2**31 - 1)
                return self._random.randint(int(low), int(high))
            case "float" | "double":
                low, high = shape.metadata.get("min", -1e9), shape.metadata.get("max", 1e9)
                return self._random.choice([self._random.uniform(low, high), float(int(low + 1)), high])
            case "boolean":
                return self._random.random() < 0.5
            case "timestamp":
                return datetime(2020, 1, 1, tzinfo=UTC) + timedelta(milliseconds=self._random.randrange(10**12))
            case "blob":
                return self._random.randbytes(self._length(shape))
        raise ValueError(shape.type_name)

    def _structure(self, shape: Any, depth: int) -> dict[str, Any]:
        names = [name for name in shape.members if not shape.members[name].serialization.get("eventstream")]
        if getattr(shape, "is_tagged_union", False):
            shallow = [name for name in names if shape.members[name].type_name not in ("structure", "list", "map")]
            names = [self._random.choice(shallow if depth > DEEPEST and shallow else names)]
            return {names[0]: self.value(shape.members[names[0]], depth + 1)}
        chance = self._optional if depth <= DEEPEST else 0.0
        chosen = [name for name in names if name in shape.required_members or self._random.random() < chance]
        if not chosen and depth and names and not self._hollow:
            chosen = [self._random.choice(names)]
        return {name: self.value(shape.members[name], depth + 1) for name in chosen}

    def _size(self, shape: Shape, depth: int) -> int:
        low, high = shape.metadata.get("min", 0), shape.metadata.get("max", 10**6)
        if shape.serialization.get("location"):
            # Neither has a query string a way to spell an empty list.
            low = max(low, 1)
        return max(low, 0 if depth > DEEPEST else min(high, self._random.randint(low, low + 2)))

    def _length(self, shape: Shape) -> int:
        low, high = shape.metadata.get("min", 0), shape.metadata.get("max", 10**6)
        return self._random.randint(low, min(high, low + 20))

    def _string(self, shape: Shape) -> str:
        if shape.metadata.get("enum"):
            return str(self._random.choice(shape.metadata["enum"]))
        if shape.metadata.get("pattern"):
            return self.matching(shape.metadata["pattern"], shape.metadata)
        alphabet = _TEXT
        if shape.serialization.get("location") in ("uri", "header"):
            alphabet = string.ascii_letters
            return "".join(self._random.choices(alphabet, k=max(1, self._length(shape))))
        return "".join(self._random.choices(alphabet, k=self._length(shape)))

    def matching(self, pattern: str, traits: dict[str, Any]) -> str:
        """A text that matches a model's pattern within the length its traits allow."""
        compiled = compile_pattern(pattern)
        tree = sre_parser.parse(compiled.pattern, compiled.flags)
        low, high = traits.get("min", 0), traits.get("max", 10**6)
        for generosity in range(600):
            text = self._from(tree, 3 + generosity // 4 + (low if generosity > 300 else 0))
            if len(text) < low and set("*+").intersection(pattern):
                text = text * 2
            if low <= len(text) <= high and compiled.fullmatch(text):
                return text
        raise AssertionError(f"found nothing that matches {pattern} between {low} and {high}")

    def _from(self, tree: Any, most: int) -> str:
        return "".join(self._piece(op, argument, most) for op, argument in tree)

    def _piece(self, op: Any, argument: Any, most: int) -> str:
        if op is sre.LITERAL:
            return chr(argument)
        if op is sre.NOT_LITERAL:
            return self._random.choice([char for char in string.ascii_letters if ord(char) != argument])
        if op is sre.ANY:
            return self._random.choice(string.ascii_letters)
        if op is sre.IN:
            return self._one_of(argument)
        if op is sre.BRANCH:
            return self._from(self._random.choice(argument[1]), most)
        if op is sre.SUBPATTERN:
            return self._from(argument[-1], most)
        if op in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            low, high, inner = argument
            top = min(int(high), low + most)
            return "".join(self._from(inner, max(1, most // 2)) for _ in range(self._random.randint(low, top)))
        if op in (sre.AT, sre.ASSERT, sre.ASSERT_NOT):
            return ""
        raise ValueError(f"no text for {op}")

    def _one_of(self, choices: Any) -> str:
        if choices[0][0] is sre.NEGATE:
            allowed = re.compile(_spelled(choices))
            return self._random.choice([char for char in string.printable if allowed.fullmatch(char)])
        op, argument = self._random.choice(choices[:40])
        if op is sre.LITERAL:
            return chr(argument)
        if op is sre.RANGE:
            low, high = argument
            return chr(self._random.randint(low, min(high, low + 40)))
        if op is sre.CATEGORY:
            return self._random.choice(string.ascii_letters if argument is sre.CATEGORY_WORD else string.digits)
        raise ValueError(f"no character for {op}")

    def _document(self, depth: int) -> Any:
        kinds = ["text", "number", "flag"] + (["object", "array"] if depth < 3 else [])
        if depth == 0:
            kinds = ["object"]
        match self._random.choice(kinds):
            case "object":
                return {f"k{i}": self._document(depth + 1) for i in range(3)}
            case "array":
                return [self._document(depth + 1) for _ in range(2)]
            case "text":
                return "".join(self._random.choices(_TEXT, k=5))
            case "number":
                return self._random.randint(-9, 9)
        return True


def _spelled(choices: Any) -> str:
    out = "[^"
    for op, argument in choices[1:]:
        if op is sre.LITERAL:
            out += re.escape(chr(argument))
        elif op is sre.RANGE:
            out += f"{re.escape(chr(argument[0]))}-{re.escape(chr(argument[1]))}"
        elif op is sre.CATEGORY:
            out += {sre.CATEGORY_SPACE: r"\s", sre.CATEGORY_WORD: r"\w", sre.CATEGORY_DIGIT: r"\d"}[argument]
    return out + "]"
