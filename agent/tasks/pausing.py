"""The pause container: it holds the namespaces that a task's containers share, and outlives them all."""

from dataclasses import replace
from datetime import timedelta

from agent.tasks.spec import Condition, ContainerSpec, Dependency

PAUSE_NAME = "~internal~ecs~pause"
PAUSE_IMAGE = "berth/pause:2"


def with_pause(containers: tuple[ContainerSpec, ...]) -> tuple[ContainerSpec, ...]:
    """The task's containers behind one pause container, which starts first and stops last."""
    pause = ContainerSpec(
        name=PAUSE_NAME,
        image=PAUSE_IMAGE,
        internal=True,
        stop_timeout=timedelta(seconds=2),
    )
    first = Dependency(container=PAUSE_NAME, condition=Condition.START)
    return (pause, *(replace(c, depends_on=(first, *c.depends_on)) for c in containers))
