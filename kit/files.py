"""Files that only their owner may read, written so that a reader never sees a part."""

import os
import re
import tempfile
from pathlib import Path
from typing import BinaryIO

# As tempfile names them.
UNFINISHED = re.compile(r"\..+\.[a-z0-9_]{8}")


def write_private(path: Path, text: str, *, sync: bool = True) -> None:
    """Replace a file of mode 0600 in one step; ``sync`` makes it survive a power failure too."""
    temporary = _write_beside(path, text, sync=sync)
    try:
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def remove_unfinished(folder: Path) -> None:
    """Remove what writers have left who were killed in their midst; nobody may be writing there now."""
    for path in folder.glob(".*"):
        if UNFINISHED.fullmatch(path.name):
            path.unlink(missing_ok=True)


def append_private(path: Path) -> BinaryIO:
    """Open a file of mode 0600 for appending, making it where there is none."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600), "ab")


def read_or_create(path: Path, make: str) -> str:
    """The file's text; where there is no file, ``make`` is written there first (mode 0600) and answered.

    Of several processes that create it at once one wins, and all of them answer its text.
    """
    try:
        return path.read_text()
    except FileNotFoundError:
        pass
    temporary = _write_beside(path, make, sync=True)
    try:
        # A link, unlike a rename, fails where the file has come to be meanwhile.
        os.link(temporary, path)
        return make
    except FileExistsError:
        return path.read_text()
    finally:
        temporary.unlink(missing_ok=True)


def _write_beside(path: Path, text: str, *, sync: bool) -> Path:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            if sync:
                os.fsync(file.fileno())
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return Path(temporary)
