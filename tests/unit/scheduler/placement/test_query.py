"""The cluster query language: what is true of which host, and where a mistake is."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.placement import BadQuery, Host, parse
from scheduler.placement.query import MOST_CHARACTERS
from scheduler.placement.query_tree import And, Comparison, Not, Or, render
from tests.unit.scheduler.placement.queries import SEEN, trees
from tests.unit.scheduler.placement.worlds import HOST

TRUE = [
    "attribute:ecs.instance-type == g2.2xlarge",
    "attribute:ecs.instance-type==g2.2xlarge",
    "attribute:ecs.instance-type equals 'g2.2xlarge'",
    "attribute:ecs.availability-zone in [us-east-1a, us-east-1b]",
    "attribute:ecs.availability-zone in ['us-east-1a']",
    "attribute:ecs.availability-zone not_in [us-east-1c]",
    "attribute:ecs.availability-zone !in [us-east-1c,us-east-1d]",
    "attribute:ecs.instance-type =~ g2.* and attribute:ecs.availability-zone != us-east-1d",
    "attribute:ecs.instance-type =~ (t2|g2)\\..*",
    "(attribute:ecs.instance-type =~ (t2|g2).*)",
    "attribute:ecs.instance-type matches [a-z]+2[^A]+",
    "attribute:ecs.instance-type !~ g2",
    "attribute:ecs.instance-type not_matches 't2.*'",
    "attribute:rack > 9",
    "attribute:rack >= 10.0",
    "attribute:rack less_than 11",
    "attribute:rack <= 10",
    "attribute:rack greater_than -1",
    "attribute:rack greater_than_equal 9 && attribute:rack less_than_equal 11",
    "attribute:rack < 9a",  # text, since one side is no number
    "attribute:ecs.instance-type > g",
    "attribute:rack != 10.0",  # equality is that of text
    "attribute:bare exists",
    "attribute:bare == ''",
    "attribute:gpu !exists",
    "attribute:gpu not_exists",
    "attribute:gpu != 1",
    "attribute:gpu !~ .*",
    'attribute:com.example/path == "a b"',
    "task:group == service:web",
    "task:group != gone",
    "task:group in [nothing, database]",
    "task:group =~ service:.*",
    "task:group exists",
    "not(task:group == other)",
    "!(task:group == other)",
    "not not task:group == database",
    "runningTasksCount == 3",
    "runningTasksCount > 2 and runningTasksCount < 4",
    "agentVersion < 1.14.10",
    "agentVersion >= v1.14.5",
    "agentVersion == 1.14.5.0",
    "agentVersion > 1.14.5-rc1",
    "agentConnected == true",
    "agentConnected != false",
    "agentConnected in [true]",
    "agentConnected =~ t.*",
    "registeredAt < 2018-06-19",
    "registeredAt > 2018-06-18",
    "registeredAt == 2018-06-18T22:28:28",
    "registeredAt == 2018-06-18T22:28:28Z",
    "registeredAt == 2018-06-18T22:28:28+00:00",
    "registeredAt equals 2018-06-19T00:28:28+02:00",
    "ec2InstanceId in ['i-0abc', 'i-wxyx7890']",
    "ec2InstanceId =~ i-0.*",
    "attribute:gpu exists or attribute:rack == 10",
    "attribute:gpu exists || attribute:rack == 10",
    "attribute:rack == 10 or attribute:gpu exists and attribute:gpu exists",  # and binds closer
    "not attribute:gpu exists and attribute:rack == 10",  # not binds closest
    "  ( attribute:rack==10)AND(attribute:bare exists )  ",
]
FALSE = [
    "attribute:ecs.instance-type == G2.2xlarge",
    "attribute:ecs.instance-type =~ g2",  # the whole value must match
    "attribute:gpu == ''",
    "attribute:gpu > 0",
    "attribute:gpu in [a, b]",
    "attribute:rack == 10.0",
    "attribute:rack > 10",
    "task:group == gone",
    "task:group !exists",
    "task:group != database",
    "runningTasksCount >= 4",
    "agentVersion < 1.9",
    "agentConnected == false",
    "registeredAt < 2018-06-18",
    "registeredAt > 2018-06-18T22:28:28Z",
    "ec2InstanceId == i-other",
    "(attribute:rack == 10 or attribute:gpu exists) and attribute:gpu exists",
    "not (attribute:gpu exists or attribute:rack == 10)",
]


@pytest.mark.parametrize("expression", TRUE)
def test_true_of_the_host(expression) -> None:
    assert parse(expression).matches(SEEN)


@pytest.mark.parametrize("expression", FALSE)
def test_false_of_the_host(expression) -> None:
    assert not parse(expression).matches(SEEN)


@pytest.mark.parametrize("subject", ["agentVersion < 9", "registeredAt > 1999-01-01", "ec2InstanceId =~ .*"])
def test_what_a_host_does_not_have_passes_no_comparison_but_the_negated(subject) -> None:
    assert not parse(subject).matches(HOST)
    assert parse(f"not {subject}").matches(HOST)


@pytest.mark.parametrize(
    ("expression", "position", "said"),
    [
        ("", 0, "expected a subject (attribute:NAME, task:group, runningTasksCount, "),
        ("   ", 3, "found the end"),
        ("stack == prod", 0, "found 'stack'"),
        ("attribute == prod", 9, "expected attribute:NAME"),
        ("attribute: == prod", 10, "expected an attribute's name"),
        ("attribute:stack", 15, "expected an operator (==, !=, "),
        ("attribute:stack = prod", 16, "found '='"),
        ("attribute:stack ==", 18, "expected a value, found the end"),
        ("attribute:stack === prod", 18, "expected a value, found '='"),
        ("attribute:stack == and", 19, "expected a value, found 'and'"),
        ("attribute:stack == a b", 21, "expected and, or, or the end, found 'b'"),
        ("attribute:stack == 'a", 19, "expected the quote ' to be closed"),
        ("attribute:stack in a", 19, "expected a list like [a, b], found 'a'"),
        ("attribute:stack in []", 20, "expected a value, found ']'"),
        ("attribute:stack in [a b]", 22, "expected a comma or ], found 'b'"),
        ("attribute:stack =~", 18, "expected a regular expression, found the end"),
        ("attribute:stack =~ a(b", 20, "the group is never closed"),
        ("attribute:stack =~ 'a**'", 22, "nothing stands before '*'"),
        (r"attribute:stack =~ (a)\1", 22, r"\1 is not supported"),
        ("attribute:a exists and", 22, "expected a subject"),
        ("attribute:a exists and and attribute:b exists", 23, "found 'and'"),
        ("(attribute:a exists", 19, "expected and, or, or the ) of the ( at position 0, found the end"),
        ("attribute:a exists)", 18, "found ')'"),
        ("attribute:a exists 1", 19, "found '1'"),
        ("agentVersion exists", 13, "agentVersion does not take exists: ==, !=, >, >=, <, <="),
        ("agentVersion < new", 15, "expected a version like 1.14.5, found 'new'"),
        ("runningTasksCount > many", 20, "expected a count like 3, found 'many'"),
        ("runningTasksCount > -1", 20, "expected a count"),
        ("registeredAt > yesterday", 15, "expected a date like 2018-06-18"),
        ("registeredAt > 2018-02-30", 15, "found '2018-02-30'"),
        ("agentConnected == yes", 18, "expected true or false"),
        ("agentConnected in [true, no]", 25, "found 'no'"),
        (f"agentVersion < {'9' * 500}", 15, f"found '{'9' * 40}…'"),
        ("pendingTasksCount > 1", 0, "expected a subject"),
        ("(" * 60 + "attribute:a exists" + ")" * 60, 41, "at most 40 deep"),
        ("not " * 60 + "attribute:a exists", 164, "at most 40 deep"),
        ("attribute:a exists or " * 200, MOST_CHARACTERS, "at most 2000 characters, not 4400"),
    ],
)
def test_a_mistake_is_told_with_its_place(expression, position, said) -> None:
    with pytest.raises(BadQuery) as caught:
        parse(expression)
    assert caught.value.position == position
    assert str(caught.value).startswith(f"at position {position}: ")
    assert said in str(caught.value)


def test_volatile_is_what_reads_the_tasks_of_a_host() -> None:
    assert parse("attribute:a exists or not (runningTasksCount < 2)").volatile
    assert parse("task:group == a").volatile
    assert not parse("attribute:task == group and agentConnected == true").volatile


some_hosts = st.sampled_from([SEEN, HOST, replace(SEEN, connected=False, tasks=0, groups={}, agent_version="dev")])


def truth(tree, host: Host) -> bool:
    match tree:
        case Comparison():
            return parse(render(tree)).matches(host)
        case Not(part):
            return not truth(part, host)
        case And(parts):
            return all(truth(part, host) for part in parts)
        case Or(parts):
            return any(truth(part, host) for part in parts)


@settings(max_examples=300)
@given(tree=trees, host=some_hosts)
def test_a_printed_tree_parses_to_itself_and_to_the_same_truth(tree, host) -> None:
    expression = render(tree)
    if len(expression) <= MOST_CHARACTERS:
        query = parse(expression)
        assert query.tree == tree
        assert query.matches(host) == truth(tree, host)


words = "attribute:a task:group runningTasksCount registeredAt agentVersion agentConnected and or not exists in 1 true"
marks = "== != =~ > [ ] ( ) ! && || 'x x' \" , (a|b)* [a- \\ {2,1}"
pieces = st.sampled_from([*words.split(), *marks.split()])


@settings(max_examples=400)
@given(garbage=st.text(max_size=40) | st.lists(pieces | st.text(max_size=3), max_size=12).map(" ".join))
def test_garbage_is_read_or_refused_with_a_place_in_it(garbage) -> None:
    try:
        parse(garbage).matches(SEEN)
    except BadQuery as error:
        assert 0 <= error.position <= len(garbage)
