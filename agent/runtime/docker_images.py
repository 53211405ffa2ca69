"""Images of a Docker Engine: pulling, with what its words of failure mean, and what it has and uses.

The engine tells troubles of a registry as texts, nearly all under status 500 or in the midst of the stream: they are
read here, and nowhere else. What is in none of the lists will not pass.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import requests
import urllib3
from docker import auth as docker_auth
from docker import errors

from agent.runtime import (
    Cancelled,
    Damaged,
    Hindered,
    Hindrance,
    ImageMissing,
    ImageState,
    NotFound,
    Refused,
    RegistryLogin,
    RuntimeTrouble,
    Temporary,
)
from agent.runtime.docker_errors import explained, translated

# A pull that says nothing for so long has got stuck. Layers that wait for others are silent, so it is not short.
STUCK_S = 600
CONNECT_S = 60
_WORDS: tuple[tuple[Hindrance, re.Pattern[str]], ...] = (
    (
        Hindrance.LOGIN,
        re.compile(
            r"\bunauthorized\b|no basic auth credentials|authorization token has expired|authentication required"
        ),
    ),
    (Hindrance.FULL, re.compile(r"no space left on device|disk quota exceeded")),
    (
        Hindrance.ABSENT,
        re.compile(r"no such host|: lookup |network is unreachable|no route to host|server misbehaving"),
    ),
    (
        Hindrance.ILL,
        re.compile(
            r"connection refused|connection reset|broken pipe|i/o timeout|TLS handshake timeout|\bEOF\b"
            r"|Client\.Timeout exceeded|context deadline exceeded|request canceled|HTTP status: (429|5\d\d)"
            r"|toomanyrequests|Too Many Requests|[Rr]ate exceeded|(?i:throttl)|unavailable\b"
            r"|filesystem layer verification failed|unexpected size|short read|gzip: invalid|flate: corrupt"
            r"|archive/tar: invalid"
        ),
    ),
)
_DAMAGED = re.compile(
    r"/(overlay2|overlay|fuse-overlayfs|aufs|btrfs|devicemapper|vfs|zfs|imagedb|layerdb)/\S+"
    r": (no such file or directory|not a directory|bad message|structure needs cleaning)"
    r"|error creating overlay mount|layer does not exist|unable to get layer|input/output error"
    r"|failed to create rwlayer"
)


def pull(api: Any, image: str, login: RegistryLogin | None, cancelled: Cancelled) -> str | None:
    """Pull through the engine; the answer is the digest. Raises Hindered, Refused, NotFound, Temporary."""
    digest = None
    with translated():
        response = _ask(api, image, login)
    with closing(response):
        for step in _steps(response):
            if cancelled():
                raise Refused(f"the pull of {image} was given up: nobody waits for it")
            if "error" in step:
                raise trouble_of(f"Error response from daemon: {step['error']}")
            status = str(step.get("status", ""))
            if status.startswith("Digest: "):
                digest = status.removeprefix("Digest: ")
    return digest


def trouble_of(text: str) -> RuntimeTrouble:
    """What the engine's words about a pull mean."""
    for hindrance, words in _WORDS:
        if words.search(text):
            return Hindered(text, hindrance)
    return Refused(text)


def find_image(api: Any, name: str) -> ImageState:
    """Raises ImageMissing, Damaged."""
    try:
        with telling_damage(), translated():
            seen = api.inspect_image(name)
    except NotFound as error:
        raise ImageMissing(str(error)) from error
    names = (*(seen.get("RepoTags") or ()), *(seen.get("RepoDigests") or ()))
    return ImageState(id=str(seen["Id"]), names=tuple(str(one) for one in names if not one.startswith("<none>")))


def images_in_use(api: Any) -> frozenset[str]:
    """One look at all containers."""
    with translated():
        return frozenset(str(container["ImageID"]) for container in api.containers(all=True))


@contextmanager
def telling_damage() -> Iterator[None]:
    """A refusal whose words mean that the image's layers are not whole on the disk leaves as Damaged."""
    try:
        yield
    except (Refused, NotFound) as error:
        text = str(error)
        # What cannot be mounted into a container is named by a path among its layers too.
        of_container = "OCI runtime" in text or "error mounting" in text or "failed to create shim" in text
        if "input/output error" in text or (not of_container and _DAMAGED.search(text)):
            raise Damaged(text) from error
        raise


def _ask(api: Any, image: str, login: RegistryLogin | None) -> Any:
    """As ``APIClient.pull``, which would wait for ever for an engine that has got stuck."""
    repository, tag = _split(image)
    headers = {}
    if login:
        credentials = {"username": login.username, "password": login.password}
        headers["X-Registry-Auth"] = docker_auth.encode_header(credentials).decode("ascii")
    response = api.post(
        f"{api.base_url}/v{api.api_version}/images/create",
        params={"fromImage": repository, "tag": tag},
        headers=headers,
        stream=True,
        timeout=(CONNECT_S, STUCK_S),
    )
    try:
        api._raise_for_status(response)
    except errors.APIError as error:
        response.close()
        trouble = trouble_of(explained(error))
        if isinstance(trouble, Hindered) or error.status_code in (400, 404):
            raise trouble from error
        raise
    return response


def _split(image: str) -> tuple[str, str]:
    repository, at, digest = image.partition("@")
    if at:
        return repository, digest
    repository, colon, tag = image.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (image, "latest")


def _steps(response: Any) -> Iterator[Mapping[str, Any]]:
    """The objects of the stream, which is one JSON object after the other; its breaking off is the engine's end."""
    decoder = json.JSONDecoder()
    kept = ""
    try:
        for chunk in response.iter_content(chunk_size=None):
            kept += chunk.decode(errors="replace")
            while kept := kept.lstrip():
                try:
                    step, end = decoder.raw_decode(kept)
                except ValueError:
                    break
                kept = kept[end:]
                if isinstance(step, dict):
                    yield step
    except requests.RequestException as error:
        # A timeout in the midst of a body is told in two ways.
        cause = error.args[0] if error.args else None
        if isinstance(error, requests.ReadTimeout) or isinstance(cause, urllib3.exceptions.ReadTimeoutError):
            raise Hindered(f"the pull has made no progress for {STUCK_S} seconds", Hindrance.ILL) from error
        raise Temporary(f"the Docker Engine does not answer: {error}") from error
