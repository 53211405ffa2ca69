"""Cron: EventBridge Scheduler's expressions, and when they fire. Pure: no clock, chance only from a seed."""

from scheduler.cron.expression import At, BadExpression, Cron, Expression, Rate
from scheduler.cron.fire import BadZone, first_fire, flexible, next_fire, zone_of
from scheduler.cron.parse import parse

__all__ = [
    "At",
    "BadExpression",
    "BadZone",
    "Cron",
    "Expression",
    "Rate",
    "first_fire",
    "flexible",
    "next_fire",
    "parse",
    "zone_of",
]
