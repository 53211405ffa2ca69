"""Stanzas: the ``Key: value`` texts of Debian's control files and of Python's metadata."""

from collections.abc import Iterator


def read_stanzas(text: str) -> Iterator[dict[str, str]]:
    """Each stanza's fields, keys in small letters, continuation lines left out; stanzas end at an empty line."""
    fields: dict[str, str] = {}
    for line in text.split("\n"):
        line = line.rstrip("\r")
        if not line.strip():
            if fields:
                yield fields
            fields = {}
        elif line[0] not in " \t":
            key, colon, value = line.partition(":")
            if colon:
                # The first of a key counts: a later one may be of a description.
                fields.setdefault(key.lower(), value.strip())
    if fields:
        yield fields
