"""Patterns in which ``*`` stands for any characters, as AWS's filters have them. Nothing else in them is special.

Without regular expressions, which many stars make slow.
"""


def matches_pattern(pattern: str, text: str) -> bool:
    """Whether the whole text matches."""
    first, *middle = pattern.split("*")
    if not middle:
        return text == pattern
    last = middle.pop()
    if not text.startswith(first) or not text.endswith(last) or len(text) < len(first) + len(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
