"""Restart policies: whether a container that has ended is started again, in its place.

As ECS has it: a container is restarted when it ran for at least the policy's period since its last start and its
exit code is not among those to be ignored. A task that is to stop is never held up by a restart.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from agent.runtime import ContainerState
from agent.tasks.reading import BadPayload, items, member, whole, yes_or_no

DEFAULT_PERIOD_S = 300
LONGEST_PERIOD_S = 86400
SHORT = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    ignored_exit_codes: frozenset[int] = frozenset()
    period: timedelta = timedelta(seconds=DEFAULT_PERIOD_S)

    def wants(self, ended: ContainerState) -> bool:
        """Whether the run that ``ended`` is followed by another."""
        if ended.error or ended.exit_code in self.ignored_exit_codes:
            return False
        if ended.started_at is None or ended.finished_at is None:
            return False
        ran = ended.finished_at - ended.started_at
        # A clock that was put back meanwhile proves nothing, and one restart too many does less harm than none. Of a
        # very short run engines note the end a moment before the begin.
        return ran >= self.period or ran < -SHORT


def read_restart_policy(raw: Mapping[str, Any], where: str) -> RestartPolicy | None:
    """A container's ``restartPolicy``; None when it has none that is enabled."""
    policy = member(raw, "restartPolicy", where)
    where = f"{where}.restartPolicy"
    if not yes_or_no(policy, "enabled", where, False):
        return None
    codes = items(policy, "ignoredExitCodes", where)
    if not all(isinstance(code, int) and not isinstance(code, bool) for code in codes):
        raise BadPayload(f"{where}.ignoredExitCodes: expected whole numbers")
    period = whole(policy, "restartAttemptPeriod", where, most=LONGEST_PERIOD_S)
    return RestartPolicy(
        ignored_exit_codes=frozenset(codes),
        period=timedelta(seconds=period if period is not None else DEFAULT_PERIOD_S),
    )
