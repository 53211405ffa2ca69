"""Allowed patterns: a caller's own regular expression, matched against a value where it can do no harm.

A pattern can be written so that matching it takes longer than anybody lives. So a process of its own matches it, which
is ended when it takes too long; nothing else waits meanwhile, least of all the store.
"""

import json
import subprocess
import sys

from orchestrator.api.ssm.errors import InvalidAllowedPatternException, ParameterPatternMismatchException

LONGEST_SECONDS = 2.0
_MATCH = """
import json, re, sys
pattern, value = json.load(sys.stdin)
try:
    compiled = re.compile(pattern)
except (re.error, OverflowError, RecursionError):
    sys.exit(2)
sys.exit(0 if compiled.fullmatch(value) else 1)
"""


def check_allowed(pattern: str, value: str) -> None:
    """Raise unless the value matches the whole pattern."""
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _MATCH],
            input=json.dumps([pattern, value]).encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=LONGEST_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise InvalidAllowedPatternException("The allowed pattern takes too long to match.") from None
    if done.returncode == 1:
        raise ParameterPatternMismatchException(
            f"Parameter value, cannot be validated against allowedPattern: {pattern}"
        )
    if done.returncode != 0:
        raise InvalidAllowedPatternException("The allowed pattern is not a regular expression.")
