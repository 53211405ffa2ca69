"""Addresses of other registries: ``host[:port]``, ``https://host[:port]`` or ``http://host[:port]``.

Also where a registry may send us. Its own answers name the host that gives out tokens, and redirect us to where its
bytes lie: credentials go to the first only when it belongs to the registry, and to the second never.
"""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_PORTS = {"https": 443, "http": 80}
# Registries whose tokens come from a host of another name.
_TOKEN_HOSTS = {
    "registry-1.docker.io": ("auth.docker.io",),
    "registry.gitlab.com": ("gitlab.com",),
}
DOCKER_HUB = "registry-1.docker.io"


class BadAddress(ValueError):
    """The text is no address of a registry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a registry, or a host it sends us to, answers."""

    scheme: str
    host: str
    port: int

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == _PORTS[self.scheme] else f":{self.port}")

    @property
    def is_docker_hub(self) -> bool:
        return self.host == DOCKER_HUB


def read_address(text: str) -> Address:
    """The registry's address; raises BadAddress for anything with a path, a user, a query or another scheme."""
    given = text if "://" in text else f"https://{text}"
    parts = _split(given)
    if parts.path not in ("", "/") or parts.query or parts.fragment or given.endswith(("?", "#")):
        raise BadAddress(f"'{text[:200]}' must be a registry's host and port alone, without a path")
    return address_of(given)


def address_of(url: str) -> Address:
    """The address in a URL; raises BadAddress."""
    parts = _split(url)
    host = (parts.hostname or "").lower()
    if parts.scheme not in _PORTS:
        raise BadAddress(f"'{url[:200]}' is neither an https nor an http address")
    if "@" in parts.netloc:
        raise BadAddress("credentials do not belong into a registry's address")
    if not (_HOST.fullmatch(host) and ".." not in host) and not _ip(host):
        raise BadAddress(f"'{url[:200]}' names no valid host")
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise BadAddress(f"'{url[:200]}' names no valid port")
    return Address(scheme=parts.scheme, host=host, port=port or _PORTS[parts.scheme])


def may_log_in_at(registry: Address, realm: Address) -> bool:
    """Whether the host that gives out tokens belongs to the registry, so that it may see the credentials."""
    if registry.scheme == "https" and realm.scheme != "https":
        return False
    if realm == registry or realm.host in _TOKEN_HOSTS.get(registry.host, ()):
        return True
    if _ip(registry.host) or _ip(realm.host):
        return realm.host == registry.host
    # auth.example.com for registry.example.com; a name of two parts has no parent that is anybody's own.
    _, _, parent = registry.host.partition(".")
    return realm.host == registry.host or ("." in parent and f".{realm.host}".endswith(f".{parent}"))


def may_send_us_to(registry: Address, target: Address) -> bool:
    """Whether a redirect may be followed: not from https to http, and not from outside into our own networks."""
    if registry.scheme == "https" and target.scheme != "https":
        return False
    return target.host == registry.host or _is_inside(registry.host) or not _is_inside(target.host)


def _is_inside(host: str) -> bool:
    address = _ip(host)
    if address is None:
        return host == "localhost" or host.endswith((".localhost", ".internal", ".local"))
    return not address.is_global


def _split(url: str) -> SplitResult:
    # The standard library takes line ends out of an address without a word, and somebody else may not.
    if not (url.isascii() and url.isprintable()) or " " in url:
        raise BadAddress("an address has no spaces and no other letters than ASCII's")
    try:
        return urlsplit(url)
    except ValueError:
        raise BadAddress(f"'{url[:200]}' is no address") from None


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
