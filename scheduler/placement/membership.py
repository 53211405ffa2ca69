"""Membership: the hosts that a cluster query names, all at once.

Comparisons give masks that ``and``, ``or`` and ``not`` combine. Fields answer for what tasks do not change; what they
do is read from the columns and the members of groups as they stand.
"""

import numpy as np

from scheduler.placement.arrays import Mask
from scheduler.placement.fields import check_of
from scheduler.placement.fleet import Fleet
from scheduler.placement.query_tree import And, Comparison, Not, Or, Tree
from scheduler.placement.world import Host


def members_of(fleet: Fleet, tree: Tree) -> Mask:
    """The hosts of which the query is true; says nothing of slots without a host."""
    match tree:
        case Comparison(subject="runningTasksCount"):
            return _by_tasks(fleet, tree)
        case Comparison(subject="task:group"):
            return _by_groups(fleet, tree)
        case Comparison():
            return fleet.fields.get(tree.subject, tree.name).matches(tree)
        case Not(part):
            return ~members_of(fleet, part)
        case And(parts):
            mask = members_of(fleet, parts[0])
            for part in parts[1:]:
                mask = mask & members_of(fleet, part)
            return mask
        case Or(parts):
            mask = members_of(fleet, parts[0])
            for part in parts[1:]:
                mask = mask | members_of(fleet, part)
            return mask


def _by_tasks(fleet: Fleet, comparison: Comparison) -> Mask:
    check = check_of(comparison)
    tasks = fleet.columns.tasks
    answers = np.zeros(int(tasks.max(initial=0)) + 1, dtype=np.bool_)
    for count in np.bincount(tasks).nonzero()[0].tolist():
        answers[count] = check(_probe(tasks=count))
    mask: Mask = answers[tasks]
    return mask


def _by_groups(fleet: Fleet, comparison: Comparison) -> Mask:
    """True where any group on the host compares; with a negated operator, where none does."""
    check = check_of(comparison)
    negated = check(_probe())
    plain = comparison.operator in ("==", "!=", "in", "!in")
    mask = np.zeros(fleet.columns.size, dtype=np.bool_)
    for group in comparison.arguments if plain else fleet.members.groups():
        if check(_probe(group=group)) is not negated:
            mask[fleet.members.slots(group)] = True
    return ~mask if negated else mask


def _probe(*, tasks: int = 0, group: str | None = None) -> Host:
    """A host that has nothing but what a comparison of tasks reads."""
    groups = {} if group is None else {group: 1}
    return Host(id="", registered_cpu=0, registered_memory=0, free_cpu=0, free_memory=0, tasks=tasks, groups=groups)
