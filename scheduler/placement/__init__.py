"""Placement: which host takes which task. Pure: the same hosts, asks and seed give the same plan."""

from scheduler.placement.asking import ask_of
from scheduler.placement.constraints import BadConstraint, check_constraints, eligible
from scheduler.placement.demand import Demand, demand_of
from scheduler.placement.devices import gpus_by_container, share_gpus
from scheduler.placement.fleet import Fleet
from scheduler.placement.place import place, place_group
from scheduler.placement.plan import GroupPlan, On, Placed, Plan
from scheduler.placement.query import BadQuery, Query, parse
from scheduler.placement.refusal import Objection, Reason, Refused, Why
from scheduler.placement.sizes import BadSize, cpu_units, gpu_count, memory_mib, port_range
from scheduler.placement.strategies import BadStrategy, check_strategies
from scheduler.placement.world import Ask, Constraint, Host, Port, RequiredAttribute, Strategy

__all__ = [
    "Ask",
    "BadConstraint",
    "BadQuery",
    "BadSize",
    "BadStrategy",
    "Constraint",
    "Demand",
    "Fleet",
    "GroupPlan",
    "Host",
    "Objection",
    "On",
    "Placed",
    "Plan",
    "Port",
    "Query",
    "Reason",
    "Refused",
    "RequiredAttribute",
    "Strategy",
    "Why",
    "check_constraints",
    "check_strategies",
    "cpu_units",
    "demand_of",
    "eligible",
    "gpu_count",
    "gpus_by_container",
    "memory_mib",
    "parse",
    "place",
    "place_group",
    "port_range",
    "share_gpus",
    "ask_of",
]
