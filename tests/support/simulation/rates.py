"""How likely each trouble is, each time it could happen."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """``killed`` is a control-plane process at the edge of a transaction; ``agent_killed`` an agent at the edge of a
    call to its engine or of a write to its disk; ``interleaved``: others get in between two transactions;
    ``engine_trouble``: the engine does not answer a call, done or not; ``skew`` is the most, in seconds, that the
    clock of a process is off."""

    killed: float = 0.0
    agent_killed: float = 0.0
    interleaved: float = 0.0
    request_lost: float = 0.0
    answer_lost: float = 0.0
    repeated: float = 0.0
    late: float = 0.0
    wake_lost: float = 0.0
    engine_trouble: float = 0.0
    refused: float = 0.0
    skew: float = 0.0


PEACE = Rates()
ROUGH = Rates(
    killed=0.004,
    agent_killed=0.01,
    interleaved=0.05,
    request_lost=0.03,
    answer_lost=0.05,
    repeated=0.05,
    late=0.03,
    wake_lost=0.1,
    engine_trouble=0.02,
    refused=0.05,
    skew=2.0,
)
