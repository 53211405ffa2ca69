"""Access: whether a key's actions cover what is asked. An action is ``service:Operation``."""

import re
from collections.abc import Sequence
from functools import lru_cache


def allows(actions: Sequence[str], wanted: str) -> bool:
    """Whether one of the globs ``actions`` (``ecr:Batch*``) covers ``wanted`` (``ecr:BatchGetImage``).

    ``*`` stands for any run of characters and ``?`` for one; letters match in either case, as in IAM's policies.
    """
    return any(_pattern(glob).fullmatch(wanted) for glob in actions)


def remedy(principal_arn: str, action: str) -> str:
    """What to do, in words to end a refusal with, where the one refused acts for a task's role; else nothing."""
    kind, _, role = principal_arn.rsplit(":", 1)[-1].partition("/")
    if kind != "assumed-role":
        return ""
    return f". What the role may do is said with: berth role put {role.rsplit('/', 1)[0]} --allow {action}"


@lru_cache(maxsize=1024)
def _pattern(glob: str) -> re.Pattern[str]:
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(char, re.escape(char)) for char in glob), re.IGNORECASE | re.DOTALL)
