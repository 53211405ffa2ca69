"""Folders for what nobody else may read or replace: keys, the store, logs, what agents remember."""

import errno
import os
from pathlib import Path


class SharedFolder(PermissionError):
    """Somebody else could put files of theirs in the folder; the text says what to change."""


def private_folder(path: Path) -> Path:
    """Make the folder with mode 0700 where there is none; raises SharedFolder where another user may write in it."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    trusted = {0, os.geteuid()}
    # A link, too, must be ours: whoever owns it may point it elsewhere at any time.
    if path.lstat().st_uid not in trusted or path.stat().st_uid not in trusted:
        raise SharedFolder(errno.EPERM, "Permission denied: it belongs to another user", str(path))
    if path.stat().st_mode & 0o022:
        raise SharedFolder(errno.EPERM, f"Permission denied: others may write in it; chmod go-w {path}", str(path))
    return path
