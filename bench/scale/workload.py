"""Hosts and asks for the engine's benchmarks: the same seed gives the same ones."""

from collections.abc import Iterator
from dataclasses import replace
from random import Random

from scheduler.placement import Ask, Constraint, Host, Strategy

ZONES = 6
RACKS = 40
TYPES = ("c6i.4xlarge", "m6i.4xlarge", "r6i.4xlarge")
SERVICES = 100
MIB = {"c6i.4xlarge": 32_768, "m6i.4xlarge": 65_536, "r6i.4xlarge": 131_072}
CPU = 16_384


def make_hosts(count: int) -> list[Host]:
    """Machines of 16 vCPU and 32, 64 or 128 GiB in six zones and forty racks."""
    return [_host(number) for number in range(count)]


def make_groups(count: int, seed: int) -> list[Ask]:
    """An ask for each group: small tasks of many sizes, binpacked on memory."""
    rng = Random(seed)
    return [
        Ask(
            id=f"group-{number}",
            cpu=rng.randrange(16, 129),
            memory=rng.randrange(64, 513),
            group=f"service:s{number}",
            strategy=(Strategy(type="binpack", field="memory"),),
        )
        for number in range(count)
    ]


def binpack_members(count: int, seed: int) -> Iterator[Ask]:
    """Every ask of its own size, binpacked on the hosts that one of a hundred expressions allows."""
    for number, ask in enumerate(_asks(count, seed)):
        expression = (
            f"attribute:ecs.instance-type in [{TYPES[number % 3]}, {TYPES[(number + 1) % 3]}] "
            f"and attribute:rack != r{number % RACKS}"
        )
        member = Constraint(type="memberOf", expression=expression)
        yield replace(ask, constraints=(member,), strategy=(Strategy(type="binpack", field="memory"),))


def distinct_instances(count: int, seed: int) -> Iterator[Ask]:
    """Every ask of its own size, no two tasks of a service on one host: kube-scheduler's anti-affinity."""
    apart = Constraint(type="distinctInstance")
    for ask in _asks(count, seed):
        yield replace(ask, constraints=(apart,), strategy=(Strategy(type="binpack", field="memory"),))


def spreads(count: int, seed: int) -> Iterator[Ask]:
    """Every ask of its own size, spread over zones and then over hosts: the default of a service."""
    over = ("attribute:ecs.availability-zone", "instanceId")
    for ask in _asks(count, seed):
        yield replace(ask, strategy=tuple(Strategy(type="spread", field=field) for field in over))


def _asks(count: int, seed: int) -> Iterator[Ask]:
    """Asks of which no two are of one size, for a hundred services in turn."""
    rng = Random(seed)
    sizes = rng.sample(range(1024 * 1024), count)
    for number, size in enumerate(sizes):
        yield Ask(
            id=f"ask-{number}",
            cpu=64 + size % 1024,
            memory=128 + size // 1024,
            group=f"service:s{number % SERVICES}",
        )


def _host(number: int) -> Host:
    kind = TYPES[number % len(TYPES)]
    return Host(
        id=f"host-{number:05}",
        registered_cpu=CPU,
        registered_memory=MIB[kind],
        free_cpu=CPU,
        free_memory=MIB[kind],
        attributes={
            "ecs.instance-type": kind,
            "ecs.availability-zone": f"us-east-1{'abcdef'[number % ZONES]}",
            "rack": f"r{number % RACKS}",
        },
    )
