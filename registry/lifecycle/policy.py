"""Reading lifecycle policies: the text a client gave, as rules, or a refusal that says what is wrong and where.

Source: Amazon ECR user guide, "Lifecycle policy properties" and "Lifecycle policy template".
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kit.wildcards import matches_pattern

MOST_RULES = 50
MOST_WILDCARDS = 4
STANDARD, ARCHIVE = "STANDARD", "ARCHIVE"
COUNT = "imageCountMoreThan"
SINCE = ("sinceImagePushed", "sinceImagePulled", "sinceImageTransitioned")
_SELECTION = {"tagStatus", "tagPatternList", "tagPrefixList", "storageClass", "countType", "countUnit", "countNumber"}


class BadPolicy(Exception):
    """The text is no lifecycle policy; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule. ``patterns`` and ``prefixes`` must all be met, each by some tag; only in patterns is ``*`` special."""

    priority: int
    # ``tagged``, ``untagged`` or ``any``.
    tag_status: str
    patterns: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    # Of the images it looks at: STANDARD or ARCHIVE.
    storage_class: str = STANDARD
    count_type: str
    # Images, or days.
    count: int
    # EXPIRE or TRANSITION (to the archive).
    action: str

    def covers(self, tags: Sequence[str]) -> bool:
        """Whether an image with these tags meets the rule's tagging requirements."""
        if self.tag_status == "any":
            return True
        if self.tag_status == "untagged":
            return not tags
        return (
            bool(tags)
            and all(any(tag.startswith(prefix) for tag in tags) for prefix in self.prefixes)
            and all(any(matches_pattern(pattern, tag) for tag in tags) for pattern in self.patterns)
        )


def read_policy(text: str) -> tuple[Rule, ...]:
    """The rules by priority, the first to be asked first; raises BadPolicy."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise BadPolicy("the policy is not a JSON document") from None
    given = _object(document, "the policy", {"rules"}).get("rules")
    if not isinstance(given, list) or not 1 <= len(given) <= MOST_RULES:
        raise BadPolicy(f"rules must be a list of 1 to {MOST_RULES} rules")
    rules = sorted((_rule(each, f"rules[{index}]") for index, each in enumerate(given)), key=lambda rule: rule.priority)
    _check_together(rules)
    return tuple(rules)


def _check_together(rules: Sequence[Rule]) -> None:
    priorities = [rule.priority for rule in rules]
    if len(set(priorities)) < len(priorities):
        raise BadPolicy("rulePriority must be unique among the rules")
    for storage_class in (STANDARD, ARCHIVE):
        alike = [rule.tag_status for rule in rules if rule.storage_class == storage_class]
        if alike.count("untagged") > 1:
            raise BadPolicy(f"only one rule may select untagged images of the storage class {storage_class.lower()}")
        if "any" in alike[:-1]:
            raise BadPolicy("a rule that selects any image must have the highest rulePriority of its storage class")


def _rule(given: Any, where: str) -> Rule:
    rule = _object(given, where, {"rulePriority", "description", "selection", "action"})
    if not isinstance(rule.get("description", ""), str):
        raise BadPolicy(f"{where}.description must be a text")
    selection = _object(rule.get("selection"), f"{where}.selection", _SELECTION)
    action, target = _action(rule.get("action"), f"{where}.action")
    storage_class = selection.get("storageClass", "standard")
    if storage_class not in ("standard", "archive"):
        raise BadPolicy(f"{where}.selection.storageClass must be standard or archive")
    if target is not None and storage_class == "archive":
        raise BadPolicy(f"{where} moves to the archive what is there already")
    count_type = _count_type(selection, storage_class, f"{where}.selection")
    return Rule(
        priority=_whole(rule.get("rulePriority"), f"{where}.rulePriority"),
        tag_status=_tag_status(selection, f"{where}.selection"),
        patterns=_patterns(selection, f"{where}.selection"),
        prefixes=_texts(selection, "tagPrefixList", f"{where}.selection"),
        storage_class=storage_class.upper(),
        count_type=count_type,
        count=_whole(selection.get("countNumber"), f"{where}.selection.countNumber"),
        action=action,
    )


def _action(given: Any, where: str) -> tuple[str, str | None]:
    action = _object(given, where, {"type", "targetStorageClass"})
    target = action.get("targetStorageClass")
    match action.get("type"), target:
        case "expire", None:
            return "EXPIRE", None
        case "transition", "archive":
            return "TRANSITION", ARCHIVE
        case "expire", _:
            raise BadPolicy(f"{where}.targetStorageClass goes with the type transition")
        case "transition", _:
            raise BadPolicy(f"{where}.targetStorageClass must be archive")
    raise BadPolicy(f"{where}.type must be expire or transition")


def _count_type(selection: dict[str, Any], storage_class: str, where: str) -> str:
    count_type, unit = selection.get("countType"), selection.get("countUnit")
    if count_type not in (COUNT, *SINCE):
        raise BadPolicy(f"{where}.countType must be one of {', '.join((COUNT, *SINCE))}")
    if count_type == COUNT and unit is not None:
        raise BadPolicy(f"{where}.countUnit does not go with {COUNT}")
    if count_type in SINCE and unit != "days":
        raise BadPolicy(f"{where}.countUnit must be days with {count_type}")
    if count_type == "sinceImageTransitioned" and storage_class != "archive":
        raise BadPolicy(f"{where}.storageClass must be archive with sinceImageTransitioned")
    return str(count_type)


def _tag_status(selection: dict[str, Any], where: str) -> str:
    status = selection.get("tagStatus")
    if status not in ("tagged", "untagged", "any"):
        raise BadPolicy(f"{where}.tagStatus must be tagged, untagged or any")
    named = [member for member in ("tagPatternList", "tagPrefixList") if member in selection]
    if status == "tagged" and len(named) != 1:
        raise BadPolicy(f"{where} needs a tagPatternList or a tagPrefixList, and not both, for tagged images")
    if status != "tagged" and any(selection[member] for member in named):
        raise BadPolicy(f"{where}.{named[0]} goes with the tagStatus tagged")
    return str(status)


def _patterns(selection: dict[str, Any], where: str) -> tuple[str, ...]:
    given = _texts(selection, "tagPatternList", where)
    for each in given:
        if each.count("*") > MOST_WILDCARDS:
            raise BadPolicy(f"{where}.tagPatternList has more than {MOST_WILDCARDS} wildcards in '{each}'")
    return given


def _texts(selection: dict[str, Any], member: str, where: str) -> tuple[str, ...]:
    if selection.get("tagStatus") != "tagged" or member not in selection:
        return ()
    given = selection[member]
    fits = isinstance(given, list) and given and all(isinstance(each, str) and 0 < len(each) <= 300 for each in given)
    if not fits:
        raise BadPolicy(f"{where}.{member} must be a list of texts, and not empty")
    return tuple(given)


def _object(given: Any, where: str, members: set[str]) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise BadPolicy(f"{where} must be an object")
    unknown = sorted(set(given) - members)
    if unknown:
        raise BadPolicy(f"{where} has no member '{unknown[0][:100]}'")
    return given


def _whole(given: Any, where: str) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given < 2**31:
        raise BadPolicy(f"{where} must be a whole number from 1")
    return given
