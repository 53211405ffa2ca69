"""Exposure: telling whoever opens Berth to a network what that means."""

import sys
from ipaddress import ip_address

from kit.settings import Settings


def warn_if_exposed(settings: Settings) -> None:
    """Say so on standard error when others than this machine can reach what will be served."""
    if not is_loopback(settings.host) and not settings.tls:
        print(
            f"berth: warning: BERTH_HOST={settings.host} is open to the network, and what is served is plain HTTP: "
            "others can read all that is sent. Start with --tls, or put a TLS proxy in front (docs/security.md) and "
            "say by BERTH_ENDPOINT and BERTH_REGISTRY_ADDRESS how it is reached.",
            file=sys.stderr,
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on the address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
