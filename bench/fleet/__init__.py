"""A simulated fleet: thousands of hosts whose agents speak the real frames and report as real agents do.

Simulated are the agents, what runs on their hosts, and the sockets between: frames are handed over in this process,
or through a pipe to a child that carries the agents' side. Conversations, presence, the report desk and the
registration of hosts are the control plane's own.
"""

from bench.fleet.behaviour import Behaviour
from bench.fleet.fleet import SimulatedFleet

__all__ = ["Behaviour", "SimulatedFleet"]
