"""Access: whether a key's actions cover what is asked. An action is ``service:Operation``."""

import re
from collections.abc import Sequence
from functools import lru_cache

# The session of a task's role is named after the task; others are bounded by whoever opened them.
_OF_A_TASK = re.compile(r":assumed-role/([^/]+)/[0-9a-f]{32}$")


def allows(actions: Sequence[str], wanted: str) -> bool:
    """Whether one of the globs ``actions`` (``ecr:Batch*``) covers ``wanted`` (``ecr:BatchGetImage``).

    ``*`` stands for any run of characters and ``?`` for one; letters match in either case, as in IAM's policies.
    """
    return any(_pattern(glob).fullmatch(wanted) for glob in actions)


def remedy(principal_arn: str, action: str) -> str:
    """What to do, in words to end a refusal with, where the one refused acts for a task's role; else nothing."""
    found = _OF_A_TASK.search(principal_arn)
    return f". What the role may do is said with: berth role put {found[1]} --allow {action}" if found else ""


@lru_cache(maxsize=1024)
def _pattern(glob: str) -> re.Pattern[str]:
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(char, re.escape(char)) for char in glob), re.IGNORECASE | re.DOTALL)
