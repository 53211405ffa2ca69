"""How simulated hosts behave. Lengths are in seconds, shares between 0 and 1; every choice is drawn from a seed."""

from dataclasses import dataclass

Between = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """The default is a fleet where nothing takes time and nothing goes wrong."""

    start_delay: Between = (0.0, 0.0)
    """From being told of a task until its containers run."""
    stop_delay: Between = (0.0, 0.0)
    """From being told to stop a task until nothing of it runs."""
    run_for: Between | None = None
    """How long tasks run before they exit by themselves; None: until they are told to stop."""
    exit_failures: float = 0.0
    """The share of those that exit with code 1 instead of 0."""
    cannot_pull: float = 0.0
    """The share of tasks that never start, for CannotPullContainerError."""
    connected_for: float | None = None
    """How long an agent's connection lasts in the mean before it breaks; None: for ever."""
    away_for: Between = (1.0, 5.0)
    """From a broken connection until the agent dials again. Its tasks run on, and it reports."""
    repeats: float = 0.0
    """The share of reports that an agent sends twice, as after an answer that was lost."""
