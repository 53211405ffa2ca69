"""Upstream registries: what ECR calls them, how they are reached, and whether they let us in."""

import re

from kit.clock import Clock
from registry.upstream import Address, Login, Misbehaved, NotThere, RegistryConnection
from registry.upstream.connection import SILENT_AT_MOST

# A rule's validation is waited for by somebody at a prompt.
PROBED_WITHIN = 10.0
_NAMES = {
    "public.ecr.aws": "ecr-public",
    "quay.io": "quay",
    "registry.k8s.io": "k8s",
    "registry-1.docker.io": "docker-hub",
    "ghcr.io": "github-container-registry",
    "registry.gitlab.com": "gitlab-container-registry",
    "cgr.dev": "chainguard",
}
_PRIVATE_ECR = re.compile(r"\d{12}\.dkr\.ecr(-fips)?\.[a-z0-9-]+\.amazonaws\.com(\.cn)?")


def name_of(address: Address) -> str | None:
    """ECR's name for a registry that it knows; None for any other."""
    if address.host.endswith(".azurecr.io"):
        return "azure-container-registry"
    return "ecr" if _PRIVATE_ECR.fullmatch(address.host) else _NAMES.get(address.host)


def connect(
    address: Address, login: Login | None, *, clock: Clock, silent_at_most: float = SILENT_AT_MOST
) -> RegistryConnection:
    """A connection to the upstream; the caller closes it."""
    return RegistryConnection(address, login, clock=clock, silent_at_most=silent_at_most)


def probe(connection: RegistryConnection) -> None:
    """Ask whether a registry answers there and lets us in; raises UpstreamError where not."""
    try:
        connection.get("/v2/", scope="")
    except NotThere:
        raise Misbehaved(f"{connection.address.url} is no registry: it has no /v2/") from None
