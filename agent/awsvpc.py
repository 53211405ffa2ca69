"""The network of awsvpc tasks: the engine's own bridge, with the addresses that the agent was told to use.

Addresses that a person has chosen are routed to this host by others: then it is these or none. Otherwise any will do
that no other network of the engine has.
"""

from collections.abc import Iterator
from ipaddress import IPv4Network
from itertools import islice

from agent.log import facts
from agent.runtime import Runtime, RuntimeTrouble

DEFAULT_CIDR = "10.233.0.0/20"
MOST_SIBLINGS = 64

log = facts(__name__)


def ensure_network(runtime: Runtime, name: str, asked: str) -> str:
    """The network's CIDR; the one asked for when the network can't be made now."""
    chosen = asked != DEFAULT_CIDR
    for cidr in (asked,) if chosen else (asked, *siblings(asked)):
        try:
            found = runtime.network(name, cidr)
            if chosen and found != cidr and runtime.remove_network(name):
                # It is from before the choice, and no task is on it.
                found = runtime.network(name, cidr)
            if chosen and found != cidr:
                log.warning("awsvpc network has other addresses than asked for", network=name, cidr=found, asked=cidr)
            return found
        except RuntimeTrouble as error:
            trouble = error
            if "overlaps" not in str(error):
                break
            log.info("addresses taken by another network", cidr=cidr)
    log.warning("awsvpc network not made", network=name, cidr=cidr, because=str(trouble))
    return asked


def siblings(cidr: str) -> Iterator[str]:
    """The networks of the same size after ``cidr``, as far as they share its first 16 bits."""
    network = IPv4Network(cidr)
    around = network.supernet(new_prefix=min(16, network.prefixlen))
    for other in islice(around.subnets(new_prefix=network.prefixlen), MOST_SIBLINGS):
        if other > network:
            yield str(other)
