"""Folders for what nobody else may read or replace: keys, the store, logs, what agents remember."""

import errno
import os
from pathlib import Path


class SharedFolder(PermissionError):
    """Somebody else could put files of theirs in the folder; the text says what to change."""


def make_folder(path: Path) -> None:
    """Make the folder where there is none, with mode 0700, as every folder above it that is missing too."""
    try:
        # Not with parents=True, which makes those above with the mode of the process's umask.
        path.mkdir(mode=0o700, exist_ok=True)
    except FileNotFoundError:
        make_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)


def private_folder(path: Path) -> Path:
    """As `make_folder`; raises SharedFolder where another user may write in it."""
    make_folder(path)
    trusted = {0, os.geteuid()}
    # A link, too, must be ours: whoever owns it may point it elsewhere at any time.
    if path.lstat().st_uid not in trusted or path.stat().st_uid not in trusted:
        raise SharedFolder(errno.EPERM, "Permission denied: it belongs to another user", str(path))
    if path.stat().st_mode & 0o022:
        raise SharedFolder(errno.EPERM, f"Permission denied: others may write in it; chmod go-w {path}", str(path))
    return path
