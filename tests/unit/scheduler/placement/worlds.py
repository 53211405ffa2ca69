"""Hosts and asks for placement tests, by example and by hypothesis."""

from dataclasses import replace

from hypothesis import strategies as st

from scheduler.placement import Ask, Constraint, Host, RequiredAttribute, Strategy

ZONE = "ecs.availability-zone"

HOST = Host(
    id="h1", registered_cpu=4096, registered_memory=8192, free_cpu=4096, free_memory=8192, attributes={ZONE: "a"}
)
ASK = Ask(id="t1", cpu=256, memory=512, group="service:web")


def host(name: str, **changes) -> Host:
    return replace(HOST, id=name, **changes)


def asks(count: int, **changes) -> list[Ask]:
    return [replace(ASK, id=f"t{number}", **changes) for number in range(count)]


ports = st.sampled_from([(80, "tcp"), (80, "udp"), (443, "tcp")])
links = st.sampled_from(
    [
        Strategy(type="random"),
        Strategy(type="binpack", field="cpu"),
        Strategy(type="binpack", field="memory"),
        Strategy(type="binpack", field="cpu+memory"),
        Strategy(type="spread", field="instanceId"),
        Strategy(type="spread", field=f"attribute:{ZONE}"),
    ]
)

EXPRESSIONS = (
    f"attribute:{ZONE} == a",
    f"attribute:{ZONE} != a and attribute:gpu !exists",
    "runningTasksCount < 3",
    "task:group == service:db or not (attribute:gpu exists)",
    "task:group != service:db",
    "task:group =~ service:w.*",
    "not (attribute:gpu exists) and runningTasksCount >= 2",
)
gpus = st.sampled_from([(), (), ("gpu-0",), ("gpu-1", "gpu-0", "gpu-2")])
some_hosts = st.builds(
    lambda **members: Host(**members, registered_gpus=3 if members["gpus"] else 0),
    id=st.uuids().map(str),
    registered_cpu=st.just(4096),
    registered_memory=st.just(4096),
    free_cpu=st.integers(0, 4096),
    free_memory=st.integers(0, 4096),
    ports=st.frozensets(ports, max_size=2),
    attributes=st.sampled_from([{}, {ZONE: "a"}, {ZONE: "b"}, {ZONE: "b", "gpu": None}]),
    status=st.sampled_from(["ACTIVE", "ACTIVE", "ACTIVE", "DRAINING", "REGISTERING"]),
    connected=st.sampled_from([True, True, True, False]),
    tasks=st.integers(0, 3),
    groups=st.dictionaries(st.sampled_from(["service:web", "service:db"]), st.integers(0, 2)),
    free_addresses=st.sampled_from([None, 0, 1, 2]),
    gpus=gpus,
    resources=st.dictionaries(st.sampled_from(["licence", "disk"]), st.integers(0, 5), max_size=2),
)
some_asks = st.builds(
    Ask,
    id=st.uuids().map(str),
    cpu=st.sampled_from([0, 128, 1000, 4096]),
    memory=st.sampled_from([4, 300, 1500]),
    ports=st.lists(ports, max_size=2, unique=True).map(tuple),
    attributes=st.sampled_from([(), (), (RequiredAttribute(name=ZONE, value="b"),), (RequiredAttribute(name="gpu"),)]),
    constraints=st.sampled_from([(), (), (Constraint(type="distinctInstance"),)])
    | st.sampled_from(EXPRESSIONS).map(lambda one: (Constraint(type="memberOf", expression=one),)),
    strategy=st.lists(links, max_size=3).map(tuple),
    group=st.sampled_from(["service:web", "service:db"]),
    address=st.booleans(),
    gpus=st.sampled_from([0, 0, 0, 1, 2]),
    resources=st.sampled_from([(), (), (("licence", 1),), (("disk", 2), ("licence", 2))]),
)
HOSTS = ("a", "b", "c", "d", "e", "f")
roomy_hosts = st.builds(
    lambda **members: Host(**members, registered_gpus=2 if members["gpus"] else 0),
    id=st.sampled_from(HOSTS),
    registered_cpu=st.sampled_from([2048, 4096]),
    registered_memory=st.sampled_from([2048, 4096]),
    free_cpu=st.sampled_from([700, 1024, 2048]),
    free_memory=st.sampled_from([700, 1024, 2048]),
    ports=st.frozensets(ports, max_size=1),
    attributes=st.sampled_from([{ZONE: "a"}, {ZONE: "a"}, {ZONE: "b"}, {ZONE: "c", "gpu": None}, {}]),
    status=st.sampled_from(["ACTIVE", "ACTIVE", "ACTIVE", "ACTIVE", "DRAINING"]),
    tasks=st.integers(0, 4),
    groups=st.dictionaries(st.sampled_from(["service:web", "service:db"]), st.integers(0, 3)),
    free_addresses=st.sampled_from([None, 3]),
    gpus=st.sampled_from([(), (), ("gpu-0", "gpu-1")]),
    resources=st.dictionaries(st.just("disk"), st.integers(1, 5)),
)
"""Hosts of a few names that take most of ``small_asks``, so that what is remembered of them matters."""
small_asks = st.builds(
    Ask,
    id=st.just("small"),
    cpu=st.sampled_from([1, 100, 150]),
    memory=st.sampled_from([1, 100, 150]),
    ports=st.sampled_from([(), (), (), ((80, "tcp"),)]),
    attributes=st.sampled_from([(), (), (), (RequiredAttribute(name=ZONE, value="a"),)]),
    constraints=st.sampled_from([(), (), (Constraint(type="distinctInstance"),)])
    | st.sampled_from(EXPRESSIONS).map(lambda one: (Constraint(type="memberOf", expression=one),)),
    strategy=st.lists(links.filter(lambda link: link.type != "random"), max_size=3).map(tuple),
    group=st.sampled_from(["service:web", "service:db"]),
    gpus=st.sampled_from([0, 0, 0, 0, 1]),
    resources=st.sampled_from([(), (), (), (("disk", 1),)]),
)
towns = st.lists(roomy_hosts, min_size=2, max_size=6, unique_by=lambda one: one.id)
clusters = st.lists(some_hosts, max_size=6, unique_by=lambda one: one.id)
batches = st.lists(some_asks, max_size=12)


def without_chance(ask: Ask) -> Ask:
    """The ask without strategies that throw."""
    return replace(ask, strategy=tuple(link for link in ask.strategy if link.type != "random"))


calm_batches = st.lists(some_asks.map(without_chance), max_size=12)
