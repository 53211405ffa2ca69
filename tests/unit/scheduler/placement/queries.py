"""Cluster queries for placement tests: a host that has everything they speak of, and trees by hypothesis."""

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import strategies as st

from scheduler.placement.query_subjects import SUBJECTS
from scheduler.placement.query_tree import And, Comparison, Not, Or
from tests.unit.scheduler.placement.worlds import HOST

SEEN = replace(
    HOST,
    instance_id="i-0abc",
    agent_version="1.14.5",
    registered_at=datetime(2018, 6, 18, 22, 28, 28, 400_000, tzinfo=UTC),
    tasks=3,
    groups={"service:web": 2, "database": 1, "gone": 0},
    attributes={
        "ecs.instance-type": "g2.2xlarge",
        "ecs.availability-zone": "us-east-1a",
        "rack": "10",
        "bare": None,
        "com.example/path": "a b",
    },
)

texts = st.text(alphabet='abg12 .:-/_!=<>&|()[]{},*+?\\^$"é', max_size=8)
names = st.sampled_from(["rack", "bare", "gpu", "ecs.availability-zone", "com.example/path"])
patterns = st.sampled_from([".*", "a|b", "[0-9]+", "(us-)?east.*", "g{2}", "", "x&&y", "a b"])


def _arguments(subject, operator):
    if operator in ("exists", "!exists"):
        return st.just(())
    if operator in ("=~", "!~"):
        return st.tuples(patterns)
    one = {
        "runningTasksCount": st.integers(0, 5).map(str),
        "agentVersion": st.sampled_from(["1", "1.14.5", "1.15-rc1"]),
        "agentConnected": st.sampled_from(["true", "false", "TRUE"]),
        "registeredAt": st.sampled_from(["2018-06-18", "2018-06-18T22:28:28Z", "2030-01-01T00:00:00"]),
    }.get(subject, texts | st.sampled_from(["10", "9", "us-east-1a", "service:web", "and", "it's"]))
    return st.lists(one, min_size=1, max_size=3).map(tuple) if operator in ("in", "!in") else st.tuples(one)


@st.composite
def comparisons(draw):
    subject = draw(st.sampled_from(sorted(SUBJECTS)))
    operator = draw(st.sampled_from(SUBJECTS[subject]))
    arguments = draw(_arguments(subject, operator))
    # A value cannot hold both kinds of quotes: there is no way to write it.
    arguments = tuple(a.replace('"', "") if "'" in a else a for a in arguments)
    name = draw(names) if subject == "attribute" else ""
    return Comparison(subject=subject, name=name, operator=operator, arguments=arguments)


trees = st.recursive(
    comparisons(),
    lambda parts: (
        parts.map(Not)
        | st.lists(parts, min_size=2, max_size=3).map(lambda some: And(tuple(some)))
        | st.lists(parts, min_size=2, max_size=3).map(lambda some: Or(tuple(some)))
    ),
    max_leaves=6,
)
