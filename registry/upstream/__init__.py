"""Other registries: how this one asks them for images, and sends images to them."""

from registry.upstream.address import DOCKER_HUB, Address, BadAddress, read_address
from registry.upstream.authentication import Login
from registry.upstream.connection import Answer, Body, Flow, RegistryConnection
from registry.upstream.errors import Misbehaved, NotThere, Refused, Throttled, Unreachable, UpstreamError

__all__ = [
    "DOCKER_HUB",
    "Address",
    "Answer",
    "BadAddress",
    "Body",
    "Flow",
    "Login",
    "Misbehaved",
    "NotThere",
    "Refused",
    "RegistryConnection",
    "Throttled",
    "Unreachable",
    "UpstreamError",
    "read_address",
]
