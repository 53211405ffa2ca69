"""Secrets at rest: encrypting what the store keeps."""

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
