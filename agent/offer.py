"""What this host offers: what its settings say, and all that its machine has where they say nothing."""

from agent.cgroup import Limit
from agent.control.registration import Offer
from agent.gpus import find_gpus
from agent.runtime import EngineInfo
from agent.settings import AgentSettings


def size_of(settings: AgentSettings, engine: EngineInfo) -> Limit:
    """How much CPU and memory the host's tasks may have in all."""
    return Limit(cpu=settings.cpu or engine.cpus * 1024, memory=settings.memory or engine.memory_mib)


def offer_of(settings: AgentSettings, engine: EngineInfo, *, agent_id: str, network_cidr: str) -> Offer:
    """What the host registers with."""
    size = size_of(settings, engine)
    attributes = {
        "berth.awsvpc-cidr": network_cidr,
        "berth.agent": agent_id,
        "berth.cpus": str(engine.cpus),
    }
    if settings.capacity:
        attributes["berth.capacity"] = settings.capacity
    return Offer(
        cpu=size.cpu,
        memory=size.memory,
        reserved_ports=settings.reserved_ports,
        gpus=_gpus(settings, engine),
        resources=settings.resources,
        attributes={**attributes, **settings.attributes},
    )


def _gpus(settings: AgentSettings, engine: EngineInfo) -> tuple[str, ...]:
    """Those that were named, else the machine's; a piece of capacity, and an engine elsewhere, have none found."""
    if settings.gpus is not None:
        return settings.gpus
    return () if settings.capacity or not engine.local else find_gpus()
