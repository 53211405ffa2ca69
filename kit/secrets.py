"""Secrets at rest: encrypting what the store keeps, and files that only their owner may read."""

import os
import tempfile
from pathlib import Path

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
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_or_create(path: Path, make: str) -> str:
    """The file's text; where there is no file, ``make`` is written there first (mode 0600) and answered."""
    try:
        return path.read_text()
    except FileNotFoundError:
        write_private(path, make)
        return make
