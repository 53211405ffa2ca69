"""The tour that ``make demo`` gives, on a host that has nothing yet: to its end, and nothing stays behind."""

import re
from pathlib import Path

from tests.support.tour import tour_host, touring

STEPS = (
    "Start Berth",
    "Build, push, delete an image",
    "Run and heal a service",
    "Run a Fargate task",
    "Run Batch jobs",
    "Fire a schedule",
)


def test_the_tour_passes_every_step_and_leaves_nothing(tmp_path: Path) -> None:
    with tour_host() as host, touring(host, tmp_path) as tour:
        assert tour.end() == 0, tour.said
        said, table = tour.said.rsplit("The tour", 1)
        assert "nothing left running" in said
        rows = [line for line in table.splitlines() if re.search(r"\d+\.\d s *$", line)]
        assert [step for step, row in zip(STEPS, rows, strict=True) if row.startswith(step)] == [*STEPS]
        # One host for the Fargate task, one or more for the Batch jobs.
        assert len(tour.capacities()) >= 2
        assert tour.left() == []
