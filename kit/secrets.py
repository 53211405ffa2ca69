"""Secrets at rest: encrypting what the store keeps, and files that only their owner may read."""

import os
import tempfile
from pathlib import Path
from typing import BinaryIO

from cryptography.fernet import Fernet, InvalidToken


class Undecipherable(Exception):
    """The text was encrypted under another master key, or was tampered with."""


class SecretBox:
    """Encrypts and decrypts short texts under one master key (32 bytes, URL-safe base64)."""

    def __init__(self, master_key: str) -> None:
        self._fernet = Fernet(master_key.encode())

    @staticmethod
    def new_master_key() -> str:
        return Fernet.generate_key().decode()

    def encrypt(self, text: str) -> str:
        return self._fernet.encrypt(text.encode()).decode()

    def decrypt(self, text: str) -> str:
        try:
            return self._fernet.decrypt(text.encode()).decode()
        except InvalidToken as error:
            raise Undecipherable("the master key does not fit what the store keeps") from error


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600 in one step: a reader sees the old text or the new, never a part."""
    temporary = _write_beside(path, text)
    try:
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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
    temporary = _write_beside(path, make)
    try:
        # A link, unlike a rename, fails where the file has come to be meanwhile.
        os.link(temporary, path)
        return make
    except FileExistsError:
        return path.read_text()
    finally:
        temporary.unlink(missing_ok=True)


def _write_beside(path: Path, text: str) -> Path:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return Path(temporary)
