"""Trust: making a Docker Engine on this machine believe the registry's certificate.

An engine looks for ``/etc/docker/certs.d/HOST:PORT/ca.crt`` at every pull, so nothing needs to be restarted. Source:
Docker's documentation, "Verify repository client with certificates".
"""

import os
import shutil
import sys
from pathlib import Path

CERTIFICATES = Path("/etc/docker/certs.d")


def trust_registry(registry: str, authority: Path, *, folder: Path = CERTIFICATES) -> None:
    """Let the engine here trust ``registry`` (``host:port``); say how where this process may not.

    A repeat changes nothing. An engine on another machine (``DOCKER_HOST``) needs the same file there.
    """
    place = folder / registry / "ca.crt"
    try:
        if place.exists() and place.read_bytes() == authority.read_bytes():
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.with_name(f".ca.crt.{os.getpid()}")
        shutil.copyfile(authority, temporary)
        # It is a certificate and no secret, and the engine may run as another user.
        temporary.chmod(0o644)
        temporary.replace(place)
    except OSError as error:
        print(
            f"berth: warning: cannot write {place} ({error.strerror}), so the Docker Engine here may not trust "
            f"{registry}. As root: mkdir -p {place.parent} && cp {authority} {place}",
            file=sys.stderr,
        )


def is_engine_here(docker_host: str) -> bool:
    """Whether the engine runs on this machine, as far as its address tells."""
    return not docker_host or docker_host.startswith("unix://")
