"""Placement: which host takes which task. Pure: the same hosts, asks and seed give the same plan."""

from scheduler.placement.constraints import BadConstraint, UnsupportedConstraint, check_constraints
from scheduler.placement.demand import BadSize, Demand, cpu_units, demand_of, memory_mib
from scheduler.placement.place import place
from scheduler.placement.plan import Objection, Placed, Plan, Reason, Refused, Why
from scheduler.placement.strategies import BadStrategy, check_strategies
from scheduler.placement.world import Ask, Constraint, Host, Port, RequiredAttribute, Strategy

__all__ = [
    "Ask",
    "BadConstraint",
    "BadSize",
    "BadStrategy",
    "Constraint",
    "Demand",
    "Host",
    "Objection",
    "Placed",
    "Plan",
    "Port",
    "Reason",
    "Refused",
    "RequiredAttribute",
    "Strategy",
    "UnsupportedConstraint",
    "Why",
    "check_constraints",
    "check_strategies",
    "cpu_units",
    "demand_of",
    "memory_mib",
    "place",
]
