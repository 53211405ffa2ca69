"""Access: whether a key's actions cover what is asked. An action is ``service:Operation``."""

import re
from collections.abc import Sequence
from functools import lru_cache


def allows(actions: Sequence[str], wanted: str) -> bool:
    """Whether one of the globs ``actions`` (``ecr:Batch*``) covers ``wanted`` (``ecr:BatchGetImage``).

    ``*`` stands for any run of characters and ``?`` for one; letters match in either case, as in IAM's policies.
    """
    return any(_pattern(glob).fullmatch(wanted) for glob in actions)


@lru_cache(maxsize=1024)
def _pattern(glob: str) -> re.Pattern[str]:
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(char, re.escape(char)) for char in glob), re.IGNORECASE | re.DOTALL)
