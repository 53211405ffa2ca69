"""Sending: one image to one destination, over the distribution protocol, with what it is made of first.

The destination is another Berth: its ECR API gives the token, its registry takes the push. The header
``Berth-Replication`` tells it so: it then asks for ``ecr:ReplicateImage``, makes a missing repository by its own
template, and does not send the image on. A repeat sends what is missing.
"""

from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from registry.manifests import LISTS, read_manifest
from registry.storage import CHUNK, NotStored, Storage
from registry.upstream import BadAddress, Login, NotThere, Refused, RegistryConnection, UpstreamError, read_address
from state.blobs import linked_sizes
from state.images import get_image
from state.store import Session, Store

HEADER = {"Berth-Replication": "1"}
# Lists of lists are rare, and this is deep.
_DEEPEST = 4


class CannotSend(Exception):
    """The image cannot be sent; ``code`` tells why, ``for_ever`` that another attempt would end alike."""

    def __init__(self, code: str, message: str, *, for_ever: bool) -> None:
        super().__init__(message)
        self.code = code
        self.for_ever = for_ever


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A destination, with the key for it opened."""

    endpoint: str
    region: str
    access_key_id: str
    secret: str = field(repr=False)
    # File of certificates to trust.
    ca_file: str | None = None


def connect(peer: Peer) -> RegistryConnection:
    """A connection to the peer's registry with a fresh token; raises CannotSend."""
    client = botocore.session.Session().create_client(
        "ecr",
        region_name=peer.region,
        endpoint_url=peer.endpoint,
        aws_access_key_id=peer.access_key_id,
        aws_secret_access_key=peer.secret,
        verify=peer.ca_file,
        config=Config(connect_timeout=10, read_timeout=30, retries={"total_max_attempts": 1}),
    )
    try:
        data = client.get_authorization_token()["authorizationData"][0]
        user, _, password = b64decode(data["authorizationToken"]).decode().partition(":")
        login = Login(username=user, password=password)
        return RegistryConnection(read_address(data["proxyEndpoint"]), login, ca_file=peer.ca_file)
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code"))
        raise CannotSend("AccessDenied", f"{peer.endpoint} gives no token: {code}", for_ever=False) from error
    except (BotoCoreError, BadAddress, KeyError, IndexError, ValueError) as error:
        raise CannotSend("DestinationUnreachable", f"{peer.endpoint}: {error}", for_ever=False) from error
    finally:
        client.close()


def send_image(
    store: Store, storage: Storage, connection: RegistryConnection, repository: str, digest: str, tags: Iterable[str]
) -> None:
    """Send the image under its digest and then under each tag; raises CannotSend."""
    try:
        _send(store, storage, connection, repository, digest, tags, depth=0)
    except Refused as error:
        raise CannotSend("AccessDenied", str(error), for_ever=True) from error
    except NotThere as error:
        raise CannotSend("RepositoryNotFound", str(error), for_ever=False) from error
    except NotStored as error:
        raise CannotSend("LayerNotFound", f"the bytes of {error} are not in the storage", for_ever=False) from error
    except UpstreamError as error:
        raise CannotSend("DestinationUnreachable", str(error), for_ever=False) from error


def _send(
    store: Store,
    storage: Storage,
    connection: RegistryConnection,
    repository: str,
    digest: str,
    tags: Iterable[str],
    *,
    depth: int,
) -> None:
    def look(session: Session) -> tuple[bytes, str] | None:
        image = get_image(session, repository, digest, body=True)
        return (image.body, image.media_type) if image is not None else None

    found = store.read(look)
    if found is None:
        raise CannotSend("ImageNotFound", f"{digest} is not in {repository} any more", for_ever=True)
    if depth > _DEEPEST:
        raise CannotSend("ImageUnsupported", f"{digest} is a list of lists of lists", for_ever=True)
    body, media_type = found
    manifest = read_manifest(body, media_type)
    if media_type in LISTS:
        # A list may have been taken with parts missing (a setting); what is here is sent.
        for child in manifest.images:
            if _has(store, repository, child):
                _send(store, storage, connection, repository, child, (), depth=depth + 1)
    sizes = store.read(lambda session: linked_sizes(session, repository, manifest.blobs))
    for blob in manifest.blobs:
        if blob in sizes:
            _send_blob(storage, connection, repository, blob, sizes[blob])
    query = "&".join(f"tag={quote(tag)}" for tag in tags)
    connection.put(
        f"/v2/{repository}/manifests/{digest}" + (f"?{query}" if query else ""),
        scope=_scope(repository),
        headers={**HEADER, "Content-Type": media_type},
        body=body,
    )


def _has(store: Store, repository: str, digest: str) -> bool:
    return store.read(lambda session: get_image(session, repository, digest)) is not None


def _send_blob(storage: Storage, connection: RegistryConnection, repository: str, digest: str, size: int) -> None:
    scope, path = _scope(repository), f"/v2/{repository}/blobs"
    try:
        connection.head(f"{path}/{digest}", scope=scope, headers=HEADER)
        return
    except NotThere:
        pass
    begun = connection.post(f"{path}/uploads/", scope=scope, headers=HEADER)
    location = begun.headers.get("location", "")
    connection.put(
        f"{location}{'&' if '?' in location else '?'}digest={quote(digest)}",
        scope=scope,
        headers={**HEADER, "Content-Length": str(size), "Content-Type": "application/octet-stream"},
        body=_pieces(storage, digest),
    )


def _pieces(storage: Storage, digest: str) -> Callable[[], Iterable[bytes]]:
    def read() -> Iterator[bytes]:
        with storage.open(digest) as file:
            while piece := file.read(CHUNK):
                yield piece

    return read


def _scope(repository: str) -> str:
    return f"repository:{repository}:pull,push"
