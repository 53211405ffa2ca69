"""Lifecycle policies: what is refused, and what becomes of which image."""

import json
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from registry.lifecycle.evaluate import Fate, Seen, evaluate
from registry.lifecycle.policy import BadPolicy, read_policy

NOW = datetime(2026, 5, 1, tzinfo=UTC)
TO_ARCHIVE = {"type": "transition", "targetStorageClass": "archive"}
DAYS = {"countType": "sinceImagePushed", "countUnit": "days"}


def rule(priority: int = 1, *, action: dict[str, Any] | None = None, **selection: Any) -> dict[str, Any]:
    chosen = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1, **selection}
    return {"rulePriority": priority, "selection": chosen, "action": action or {"type": "expire"}}


def policy(*rules: dict[str, Any]) -> str:
    return json.dumps({"rules": rules})


def image(name: str, *tags: str, age: int = 0, archived: int | None = None, **given: Any) -> Seen:
    """``age`` and ``archived`` are days ago."""
    return Seen(
        digest=name,
        tags=tags,
        storage_class="STANDARD" if archived is None else "ARCHIVE",
        pushed_at=NOW - timedelta(days=age),
        archived_at=None if archived is None else NOW - timedelta(days=archived),
        **given,
    )


def fates(text: str, *images: Seen) -> list[Fate]:
    return evaluate(read_policy(text), images, now=NOW)


def fated(text: str, *images: Seen) -> dict[str, int]:
    """Digests to the rules that took them."""
    return {fate.image.digest: fate.priority for fate in fates(text, *images) if not fate.kept}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not a JSON document"),
        ("[" * 100_000, "not a JSON document"),
        ("[]", "must be an object"),
        ('{"rules": []}', "1 to 50"),
        (json.dumps({"rules": [rule()], "Version": 1}), "no member 'Version'"),
        (policy(rule(0)), "rulePriority must be a whole number"),
        (policy({**rule(), "rulePriority": True}), "rulePriority must be a whole number"),
        (policy(rule(1, tagStatus="untagged"), rule(1)), "unique"),
        (policy(rule(1), rule(2, tagStatus="untagged")), "highest rulePriority"),
        (policy(rule(1, tagStatus="untagged"), rule(2, tagStatus="untagged")), "only one rule"),
        (policy(rule(tagStatus="tagged")), "needs a tagPatternList"),
        (policy(rule(tagStatus="tagged", tagPrefixList=["a"], tagPatternList=["b"])), "not both"),
        (policy(rule(tagStatus="untagged", tagPrefixList=["a"])), "goes with the tagStatus tagged"),
        (policy(rule(tagStatus="tagged", tagPrefixList=[])), "not empty"),
        (policy(rule(tagStatus="tagged", tagPatternList=["a*b*c*d*e*"])), "more than 4 wildcards"),
        (policy(rule(tagStatus="sometimes")), "tagged, untagged or any"),
        (policy(rule(countType="sinceLunch")), "countType must be one of"),
        (policy(rule(countUnit="days")), "countUnit does not go"),
        (policy(rule(countType="sinceImagePushed")), "countUnit must be days"),
        (policy(rule(countType="sinceImageTransitioned", countUnit="days")), "storageClass must be archive"),
        (policy(rule(countNumber=0)), "countNumber must be a whole number"),
        (policy(rule(storageClass="cellar")), "standard or archive"),
        (policy(rule(action={"type": "explode"})), "expire or transition"),
        (policy(rule(action={"type": "transition"})), "must be archive"),
        (policy(rule(action={"type": "expire", "targetStorageClass": "archive"})), "goes with the type transition"),
        (
            policy(rule(storageClass="archive", action=TO_ARCHIVE)),
            "already",
        ),
    ],
)
def test_a_policy_that_is_none_is_refused_with_its_mistake(text: str, said: str) -> None:
    with pytest.raises(BadPolicy, match=said):
        read_policy(text)


def test_the_youngest_images_are_kept() -> None:
    images = [image(f"d{age}", age=age) for age in (3, 1, 2, 0)]
    assert fated(policy(rule(countNumber=2)), *images) == {"d3": 1, "d2": 1}


def test_days_are_counted_from_the_push() -> None:
    text = policy(rule(**DAYS, countNumber=14))
    assert fated(text, image("old", age=14), image("young", age=13)) == {"old": 1}


def test_more_days_than_there_have_been_find_nothing() -> None:
    text = policy(rule(**DAYS, countNumber=2**31 - 1))
    assert fated(text, image("old", age=9000)) == {}


def test_a_pull_keeps_an_image_and_an_image_never_pulled_counts_from_its_push() -> None:
    text = policy(rule(countType="sinceImagePulled", countUnit="days", countNumber=10))
    images = [
        image("pulled", age=90, pulled_at=NOW - timedelta(days=9)),
        image("forgotten", age=90, pulled_at=NOW - timedelta(days=10)),
        image("never", age=10),
        image("new", age=9),
        image("restored", age=90, activated_at=NOW - timedelta(days=2)),
    ]
    assert fated(text, *images) == {"forgotten": 1, "never": 1}


def test_every_pattern_must_be_met_by_some_tag() -> None:
    text = policy(rule(tagStatus="tagged", tagPatternList=["prod*", "*-web"], **DAYS))
    images = [
        image("both", "prod-1", "x-web", age=2),
        image("one", "prod-web", age=2),
        image("half", "prod-1", age=2),
        image("none", age=2),
    ]
    assert fated(text, *images) == {"both": 1, "one": 1}


@pytest.mark.parametrize(("prefix", "expected"), [("v1.", {"yes": 1}), ("v*", {}), ("*", {})])
def test_prefixes_are_taken_literally(prefix: str, expected: dict[str, int]) -> None:
    text = policy(rule(tagStatus="tagged", tagPrefixList=[prefix], **DAYS))
    assert fated(text, image("yes", "v1.0", age=2), image("no", "v10", age=2)) == expected


def test_an_image_belongs_to_the_first_rule_it_meets_even_when_that_rule_keeps_it() -> None:
    text = policy(
        rule(1, tagStatus="tagged", tagPrefixList=["prod"], countNumber=5),
        rule(2, **DAYS, countNumber=1),
    )
    assert fated(text, image("kept", "prod1", age=30), image("gone", "dev1", age=30)) == {"gone": 2}


def test_what_a_higher_rule_took_still_counts_for_a_lower_one() -> None:
    text = policy(
        rule(1, tagStatus="untagged", countNumber=1),
        rule(2, countNumber=2),
    )
    images = [image("u3", age=3), image("u1", age=1), image("t4", "a", age=4), image("t2", "b", age=2)]
    # The second rule keeps the two youngest of all four, which are u1 and t2.
    assert fated(text, *images) == {"u3": 1, "t4": 2}


def test_storage_classes_are_looked_at_apart() -> None:
    text = policy(
        rule(
            1,
            countType="sinceImagePushed",
            countUnit="days",
            countNumber=30,
            action=TO_ARCHIVE,
        ),
        rule(2, storageClass="archive", countType="sinceImageTransitioned", countUnit="days", countNumber=365),
    )
    found = fates(
        text, image("move", age=30), image("lies", age=500, archived=364), image("ends", age=500, archived=365)
    )
    assert {(fate.image.digest, fate.action) for fate in found} == {("move", "TRANSITION"), ("ends", "EXPIRE")}


def test_an_image_in_use_is_kept_and_told() -> None:
    found = fates(policy(rule()), image("runs", age=2, in_use=True), image("young"))
    assert [(fate.image.digest, fate.kept) for fate in found] == [("runs", True)]


def test_a_part_of_a_list_stays_and_still_counts() -> None:
    assert fated(policy(rule()), image("part", age=2, bound=True), image("old", age=3), image("young")) == {"old": 1}


def test_no_image_has_two_fates_and_order_of_images_makes_no_difference() -> None:
    seed = 20260501
    print(f"seed {seed}")
    chance = Random(seed)
    for _ in range(200):
        count = chance.randint(1, 4)
        rules = [
            rule(
                priority + 1,
                tagStatus="tagged",
                tagPatternList=[chance.choice(["a*", "*b", "*", "c"])],
                countNumber=chance.randint(1, 4),
            )
            for priority in range(count)
        ]
        images = [
            image(f"d{n}", *chance.sample(["ab", "c", "xb", "a"], chance.randint(0, 3)), age=chance.randint(0, 9))
            for n in range(chance.randint(0, 12))
        ]
        first = fated(policy(*rules), *images)
        chance.shuffle(images)
        assert fated(policy(*rules), *images) == first
        assert len(fates(policy(*rules), *images)) == len(first)
        for each in images:
            covering = [one.priority for one in read_policy(policy(*rules)) if one.covers(each.tags)]
            assert each.digest not in first or first[each.digest] == covering[0]
