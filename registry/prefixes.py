"""Prefixes: which rule or template a repository's name belongs to.

There is a slash assumed after every prefix, the longest that fits wins, and ``ROOT`` fits every name.
Source: Amazon ECR API, CreateRepositoryCreationTemplate and CreatePullThroughCacheRule.
"""

from collections.abc import Sequence

ROOT = "ROOT"


def prefixes_of(name: str) -> Sequence[str]:
    """Every prefix that fits the name, the longest first: of ``a/b/c`` these are ``a/b``, ``a`` and ``ROOT``."""
    parts = name.split("/")
    return (*("/".join(parts[:length]) for length in range(len(parts) - 1, 0, -1)), ROOT)


def bare(prefix: str) -> str:
    """The prefix without the slash that may be given at its end."""
    return prefix.removesuffix("/")
