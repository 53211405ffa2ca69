"""A crowd: 5,000 simulated agents on real sockets to one control plane, which is then restarted under them.

Each has the payload socket of a host that is registered, answers heartbeats as agents do, and dials again after a loss
with an agent's own back-off. The driver is one process beside the control plane, on the same two cores.
"""

import asyncio
import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlencode

import psutil

from bench.agent.line import Line, dial
from bench.client import Client, connect
from bench.stage import Stage, kill_plane, plane_of, start_again
from bench.table import print_table
from kit.aws.sigv4 import sign
from kit.clock import SystemClock
from kit.limits import allow_open_files

AGENTS = 5_000
SECONDS = 100
# As the agent's own: 250 ms, doubled, to 15 seconds, with a fifth of jitter.
FIRST_S, MOST_S, JITTER = 0.25, 15.0, 0.2
LATE_S = 60.0
OFFERS = [{"name": name, "type": "INTEGER", "integerValue": 1024} for name in ("CPU", "MEMORY")]


@dataclass(slots=True)
class Crowd:
    """What the agents have seen. ``opened`` is when each one's socket was, ``heard`` is when each heard something last;
    ``silences`` are the gaps. ``held_up`` is by how many seconds the agents' own process was late at most."""

    stage: Stage
    hosts: list[str]
    connected: set[int] = field(default_factory=set)
    opened: dict[int, float] = field(default_factory=dict)
    heard: dict[int, float] = field(default_factory=dict)
    silences: list[float] = field(default_factory=list)
    held_up: float = 0.0
    dials: int = 0
    ending: bool = False


def run(stage: Stage, *, agents: int = AGENTS, seconds: int = SECONDS) -> None:
    allow_open_files()
    seed = random.randrange(2**32)
    print(f"crowd: {agents} simulated agents, seed {seed}", flush=True)
    random.seed(seed)
    ecs = connect(stage)
    ecs.wait_for_host()
    with ThreadPoolExecutor(8) as pool:
        hosts = list(pool.map(lambda number: _register(ecs, number), range(agents)))
    print(f"crowd: {len(hosts)} hosts registered", flush=True)
    asyncio.run(_live(Crowd(stage, hosts), seconds))


def _register(ecs: Client, number: int) -> str:
    answer = ecs.call(
        "RegisterContainerInstance", totalResources=OFFERS, attributes=[{"name": "bench.number", "value": str(number)}]
    )
    return str(answer["containerInstance"]["containerInstanceArn"])


async def _live(crowd: Crowd, seconds: int) -> None:
    agents = [asyncio.create_task(_agent(crowd, number)) for number in range(len(crowd.hosts))]
    try:
        plane = psutil.Process(plane_of(crowd.stage))
        before = _cpu(plane)
        first = await _until_all(crowd)
        connecting = _cpu(plane) - before
        crowd.silences.clear()
        before, began = _cpu(plane), time.monotonic()
        await asyncio.sleep(seconds)
        share = (_cpu(plane) - before) / (time.monotonic() - began) * 100
        silences = sorted([*crowd.silences, *(time.monotonic() - at for at in crowd.heard.values())])
        memory = plane.memory_info().rss
        crowd.dials = 0
        again = await _restart(crowd)
        returning = _cpu(psutil.Process(plane_of(crowd.stage)))
        rows = [
            ("connected, all at once", f"{first:.1f} s", ""),
            ("control plane's processor time for that", f"{connecting:.1f} s", ""),
            ("longest silence", f"{silences[-1]:.1f} s", "≤ 60 s"),
            ("late heartbeats (> 60 s)", str(sum(1 for gap in silences if gap > LATE_S)), "0"),
            ("of one core, connected and idle", f"{share:.1f} %", ""),
            ("control plane's memory", f"{memory / 2**20:.0f} MiB", ""),
            ("after a restart, all connected again", f"{again:.1f} s", "≤ 60 s"),
            ("control plane's processor time since its start", f"{returning:.1f} s", ""),
            ("dials it took", str(crowd.dials), ""),
            # Beyond that it is not the control plane alone that is measured: who is late to answer is hung up on.
            ("longest that the agents' own process was held up", f"{crowd.held_up:.1f} s", "≤ 1 s"),
        ]
        print_table(f"{len(crowd.hosts)} agents on one control plane", ("", "measured", "aim"), rows)
    finally:
        crowd.ending = True
        for agent in agents:
            agent.cancel()
        await asyncio.gather(*agents, return_exceptions=True)


async def _until_all(crowd: Crowd) -> float:
    began = shown = time.monotonic()
    while len(crowd.connected) < len(crowd.hosts):
        slept = time.monotonic()
        await asyncio.sleep(0.1)
        late = time.monotonic() - slept - 0.1
        crowd.held_up = max(crowd.held_up, late)
        if time.monotonic() - shown > 5:
            shown = time.monotonic()
            print(f"crowd: {len(crowd.connected)} connected, {crowd.dials} dials, {late:.1f} s late", flush=True)
        if time.monotonic() - began > 600:
            raise RuntimeError(
                f"only {len(crowd.connected)} of {len(crowd.hosts)} agents are connected after ten minutes"
            )
    return time.monotonic() - began


async def _restart(crowd: Crowd) -> float:
    """Kill the control plane and start it on the same ports; answers the time from its answering to the last agent."""
    await asyncio.to_thread(kill_plane, crowd.stage)
    await asyncio.to_thread(start_again, crowd.stage)
    return await _until_all(crowd)


async def _agent(crowd: Crowd, number: int) -> None:
    failures = 0
    while not crowd.ending:
        crowd.opened.pop(number, None)
        try:
            clean = await _converse(crowd, number)
        except OSError:
            clean = False
        crowd.connected.discard(number)
        crowd.heard.pop(number, None)
        # As the agent's own: a dial that was not answered has not gone well, however long it took.
        lasted = number in crowd.opened and time.monotonic() - crowd.opened[number] >= MOST_S
        failures = 0 if clean else 1 if lasted else failures + 1
        pause = min(FIRST_S * 2 ** (failures - 1), MOST_S) if failures else 0
        await asyncio.sleep(pause * (1 + JITTER * random.random()))


async def _converse(crowd: Crowd, number: int) -> bool:
    """One connection, to its end; answers whether that was in order."""
    crowd.dials += 1
    query = urlencode({"containerInstanceArn": crowd.hosts[number], "seqNum": "1", "protocolVersion": "2"})
    url = f"{crowd.stage.endpoint}/acs/ws?{query}"
    headers = sign(
        method="GET",
        url=url,
        headers={},
        body=b"",
        access_key=crowd.stage.access_key,
        secret_key=crowd.stage.secret_key,
        service="ecs",
        region="us-east-1",
        at=SystemClock().now(),
    )
    line = await dial(url, headers, partial(_hear, crowd, number))
    crowd.opened[number] = time.monotonic()
    try:
        return await line.closed
    finally:
        line.close()


def _hear(crowd: Crowd, number: int, line: Line, text: str) -> None:
    now = time.monotonic()
    if number in crowd.heard:
        crowd.silences.append(now - crowd.heard[number])
    crowd.heard[number] = now
    crowd.connected.add(number)
    frame = json.loads(text)
    if frame["type"] == "HeartbeatMessage":
        answer = {"messageId": frame["message"]["messageId"]}
        line.say(json.dumps({"type": "HeartbeatAckRequest", "message": answer}))


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
