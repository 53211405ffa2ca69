"""The benchmark of packing: its baselines are what they say, and small runs of it already show the order of things."""

import numpy as np
import pytest

from bench.baselines import ecs_cpu, ecs_memory, first_fit, nomad
from bench.packing import Contest, Step, contestants, measure
from bench.workloads import WORKLOADS, Sizes, Workload

FREE = np.array([[0.5, 0.4], [0.3, 0.9], [0.6, 0.2]])
ASKED = np.array([0.1, 0.1])
FEW = 400
QUEUED = Contest(name="queued", tasks=FEW, steps=lambda _: [Step(leave=(), come=range(FEW))], since=0)
ONLINE = Contest(
    name="online", tasks=FEW, steps=lambda _: [Step(leave=(), come=(task,)) for task in range(FEW)], since=FEW - 1
)


def test_each_baseline_chooses_as_it_says() -> None:
    assert ecs_cpu(FREE, ASKED).argmin() == 1
    assert ecs_memory(FREE, ASKED).argmin() == 2
    assert first_fit(FREE, ASKED).argmin() == 0
    # 20 - 10^0.4 - 10^0.3, 20 - 10^0.2 - 10^0.8, 20 - 10^0.5 - 10^0.1
    assert nomad(FREE, ASKED) == pytest.approx([-15.4928, -12.1055, -15.5788], abs=1e-4)


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_a_workload_fits_its_hosts_and_is_the_same_for_the_same_seed(workload: Workload) -> None:
    tasks = workload.draw(np.random.default_rng(3), 500)
    assert (tasks > 0).all()
    assert (tasks <= [workload.cpu, workload.memory]).all()
    assert (tasks == workload.draw(np.random.default_rng(3), 500)).all()


def test_the_bound_is_the_greater_of_both_dimensions() -> None:
    workload = WORKLOADS[0]
    tasks: Sizes = np.array([[60_000, 10_000], [60_000, 10_000]])
    assert workload.bound(tasks) == 2
    assert workload.bound(tasks[:1]) == 1


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_berth_packs_no_worse_than_ecs_and_a_queue_better(workload: Workload) -> None:
    known = contestants(workload)
    ecs = min(measure(workload, ONLINE, known[name], 2) for name in ("ECS binpack cpu", "ECS binpack memory"))
    online = measure(workload, ONLINE, known["Berth, one by one"], 2)
    queued = measure(workload, QUEUED, known["Berth, queue"], 2)
    # A host more or less is chance where few are used.
    a_host = 100 / workload.bound(workload.draw(np.random.default_rng(0), FEW))
    assert online <= ecs + a_host / 2
    assert queued < ecs


def test_a_task_that_leaves_gives_its_room_back_to_everybody() -> None:
    workload = WORKLOADS[0]
    tasks: Sizes = np.array([[60_000, 60_000]] * 3)
    for name, make in contestants(workload).items():
        packer = make(tasks)
        packer.come([0, 1])
        assert packer.hosts() == 2, name
        packer.leave(0)
        assert packer.hosts() == 1, name
        packer.come([2])
        assert packer.hosts() == 2, name
