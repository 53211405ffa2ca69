"""A registry on a real socket: what tests push to and pull from."""

import base64
import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import uvicorn
from sqlalchemy import delete

from kit.clock import Clock, SystemClock
from kit.secrets import SecretBox
from kit.settings import Settings
from registry.access import EcrTokens, issue_token
from registry.app import create_registry
from registry.storage import Storage
from registry.storage.filesystem import FilesystemStorage
from state.access_keys import AccessKey
from state.base import Base
from state.blobs import Blob
from state.creation_templates import CreationTemplate
from state.repositories import Repository
from state.store import Store

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"


class RegistryClient:
    """A running registry, and an HTTP client with a good token. Paths are beneath ``/v2/``."""

    def __init__(self, store: Store, storage: Storage, clock: Clock, secrets: SecretBox, port: int) -> None:
        self.store, self.storage, self.clock, self.secrets = store, storage, clock, secrets
        self.address = f"127.0.0.1:{port}"
        self.password = self.token()
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.auth = ("AWS", self.password)

    def token(
        self,
        *,
        actions: list[str] | None = None,
        key_id: str = "AKIAROOT",
        only_path: str | None = None,
        principal_arn: str | None = None,
    ) -> str:
        """A password of a key that may do ``actions``; the key is made when absent."""

        def make(session: Any) -> None:
            if session.get(AccessKey, key_id) is None:
                session.add(
                    AccessKey(
                        id=key_id,
                        secret="sealed",
                        session_token=None,
                        principal_arn=principal_arn or f"arn:aws:iam::123456789012:user/{key_id}",
                        actions=actions or ["*"],
                        expires_at=None,
                        created_at=self.clock.now(),
                    )
                )

        self.store.transact(make)
        return issue_token(
            self.secrets, access_key_id=key_id, principal_arn="arn", now=self.clock.now(), only_path=only_path
        )[0]

    def make_repository(self, name: str, **columns: Any) -> None:
        row = {"name": name, "created_at": self.clock.now(), **columns}
        self.store.transact(lambda session: session.add(Repository(**row)))

    def add_template(self, prefix: str, applied_for: str) -> None:
        """A template by which repositories are made whose tags cannot be moved."""
        now = self.clock.now()
        template = CreationTemplate(
            prefix=prefix,
            applied_for=[applied_for],
            tag_mutability="IMMUTABLE",
            mutability_filters=[],
            encryption={"encryptionType": "AES256"},
            resource_tags=[],
            created_at=now,
            updated_at=now,
        )
        self.store.transact(lambda session: session.add(template))

    def forget_everything(self) -> None:
        """Empty the store and the spools, but for access keys."""

        def forget(session: Any) -> None:
            for table in (Repository, Blob):
                session.execute(delete(table))

        self.store.transact(forget)
        for upload, _ in tuple(self.storage.uploads()):
            self.storage.drop(upload)

    def url(self, path: str) -> str:
        return f"http://{self.address}{path}" if path.startswith("/") else f"http://{self.address}/v2/{path}"

    def call(self, method: str, path: str, **given: Any) -> requests.Response:
        where = path if path.startswith("http") else self.url(path)
        return self.session.request(method, where, timeout=60, allow_redirects=False, **given)

    def push_blob(self, repository: str, data: bytes) -> str:
        """Push in one request; the digest."""
        digest = sha256(data)
        answer = self.call("POST", f"{repository}/blobs/uploads/?digest={digest}", data=data)
        assert answer.status_code == 201, answer.text
        return digest

    def push_manifest(self, repository: str, manifest: dict[str, Any] | bytes, reference: str | None = None) -> str:
        """Push under a tag or, without one, by digest; the digest."""
        body = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
        answer = self.call(
            "PUT",
            f"{repository}/manifests/{reference or sha256(body)}",
            data=body,
            headers={"Content-Type": json.loads(body)["mediaType"]},
        )
        assert answer.status_code == 201, answer.text
        return sha256(body)

    def push_image(self, repository: str, tag: str | None = None, *, layer: bytes = b"layer", **members: Any) -> str:
        """Push a small image of one layer; the digest of its manifest."""
        self.push_blob(repository, b"{}")
        self.push_blob(repository, layer)
        return self.push_manifest(repository, image_of(layer, **members), tag)


def image_of(*layers: bytes, config: bytes = b"{}", **members: Any) -> dict[str, Any]:
    """An OCI manifest."""
    return {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [descriptor(layer, "application/vnd.oci.image.layer.v1.tar+gzip") for layer in layers],
        **members,
    }


def descriptor(data: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": sha256(data), "size": len(data)}


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def sha512(data: bytes) -> str:
    return f"sha512:{hashlib.sha512(data).hexdigest()}"


def basic(password: str, user: str = "AWS") -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@contextmanager
def serve(app: Any, listener: socket.socket, *, http: Any = "auto") -> Iterator[None]:
    """The application under uvicorn on a bound socket, in a thread; ``http`` is a protocol of uvicorn's kind."""
    config = uvicorn.Config(app, log_level="warning", lifespan="off", ws="none", timeout_graceful_shutdown=2, http=http)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(timeout=20)


def listen() -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    return listener


@contextmanager
def running_registry(
    directory: Path,
    *,
    clock: Clock | None = None,
    storage: Storage | None = None,
    url: str | None = None,
    http: Any = "auto",
    **given: Any,
) -> Iterator[RegistryClient]:
    """A registry on a store and storage beneath ``directory``, unless others are given; ``given`` are settings."""
    store = Store(url or f"sqlite:///{directory / 'berth.db'}")
    Base.metadata.create_all(store.engine)
    clock = clock or SystemClock()
    storage = storage or FilesystemStorage(directory / "registry")
    secrets = SecretBox(SecretBox.new_master_key())
    listener = listen()
    port = listener.getsockname()[1]
    settings = Settings(data=directory, registry_port=port, **given)
    app = create_registry(
        store,
        storage,
        clock=clock,
        settings=settings,
        authenticate=EcrTokens(store, secrets, clock=clock),
        secrets=secrets,
    )
    try:
        with serve(app, listener, http=http):
            client = RegistryClient(store, storage, clock, secrets, port)
            try:
                yield client
            finally:
                client.session.close()
    finally:
        store.close()
