"""What agents publish of usage, as it is kept: per minute, summed for services, hosts and clusters, and rolled up."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from orchestrator.agents import usage_book
from orchestrator.agents.usage_book import UsageBook
from scheduler.loops.usage import UsageLoop
from state.loop import Leases
from state.store import StoreUnavailable
from state.usage import (
    FIVE_MINUTES,
    HOUR,
    MINUTE,
    UsagePoint,
    bucket,
    list_latest,
    list_usage,
    service_utilization,
)
from tests.support.services import NEEDED, ServicesPlane


class Plane(ServicesPlane):
    """A service of two tasks on one host of 4 cores, whose agent publishes."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        start = bucket(self.loop_clock.now(), HOUR) + timedelta(hours=1)
        self.tick(seconds=(start - self.loop_clock.now()).total_seconds())
        self.start = start
        self.book = UsageBook(self.store, self.loop_clock)
        self.rolls = UsageLoop(self.store, self.loop_clock, Leases(self.store, self.loop_clock, "one"))
        attributes = [*({"name": name, "value": ""} for name in NEEDED), {"name": "berth.cpus", "value": "4"}]
        self.host = self.add_host(attributes=attributes)
        self.register({"name": "web", "image": "web:1", "memory": 64, "cpu": 256})
        self.create(2)
        self.step()
        self.run()

    def publish(self, cpu: float, memory: float, *, host: str = "", received: int = 0) -> None:
        """Every task's container says the same: per cent of the host's CPU, MiB, and bytes received so far."""
        metrics = {
            "containerName": "web",
            "cpuStatsSet": stats(cpu),
            "memoryStatsSet": stats(memory),
            "networkStatsSet": {"rxBytes": stats(received)},
        }
        told = [{"taskArn": f"arn:x:task/default/{t.id}", "containerMetrics": [metrics]} for t in self.tasks()]
        self.book.note(host or self.host, {"taskMetrics": told})

    def minute(self, *published: tuple[float, float]) -> None:
        for cpu, memory in published:
            self.publish(cpu, memory)
        self.tick(seconds=60)

    def points(self, subject: str, seconds: int = MINUTE) -> list[UsagePoint]:
        return list(self.store.read(lambda s: list_usage(s, subject, seconds=seconds, since=self.start)))


def stats(value: float) -> dict[str, Any]:
    return {"min": value, "max": value, "sum": value, "sampleCount": 1}


@pytest.fixture
def plane(store_url: str) -> Iterator[Plane]:
    plane = Plane(store_url)
    yield plane
    plane.close()


def test_a_minute_is_averaged_by_container_and_summed_for_what_is_above(plane: Plane) -> None:
    plane.minute((10, 32), (20, 48), (30, 64))
    plane.book.step()

    [service] = plane.points("service/default/web")
    # 20 % of four cores is 819.2 units for each of the two tasks.
    assert service.cpu == pytest.approx(2 * 0.20 * 4096)
    assert service.cpu_peak == pytest.approx(2 * 0.30 * 4096)
    assert (service.memory, service.memory_peak) == (96, 128)
    assert (service.cpu_reserved, service.memory_reserved, service.tasks) == (512, 128, 2)
    for subject in ("cluster/default", f"host/{plane.host}"):
        [above] = plane.points(subject)
        assert (above.cpu, above.memory, above.tasks) == (service.cpu, service.memory, 2)
    task = plane.tasks()[0]
    [container] = plane.points(f"container/default/{task.id}/web")
    assert container.cpu == pytest.approx(service.cpu / 2)
    assert plane.store.read(lambda s: service_utilization(s, "default", "web", since=plane.start)) == pytest.approx(
        (320, 75)
    )


def test_counters_become_what_was_moved_in_the_minute(plane: Plane) -> None:
    for received in (1000, 1500, 1700):
        plane.publish(1, 1, received=received)
    plane.tick(seconds=60)
    # The container was started again, and counts from nothing.
    plane.publish(1, 1, received=40)
    plane.tick(seconds=60)
    plane.book.step()

    assert [point.rx for point in plane.points("service/default/web")] == [2 * 700, 2 * 40]


def test_the_minute_that_is_not_over_is_not_written_and_none_is_written_twice(plane: Plane) -> None:
    plane.publish(10, 32)
    plane.book.step()
    assert plane.points("cluster/default") == []
    plane.tick(seconds=60)
    for _ in range(3):
        plane.book.step()
    assert [point.memory for point in plane.points("cluster/default")] == [64]


def test_two_processes_add_to_the_same_minute(plane: Plane) -> None:
    other = UsageBook(plane.store, plane.loop_clock)
    first, second = plane.tasks()
    for book, task in ((plane.book, first), (other, second)):
        metrics = {"containerName": "web", "cpuStatsSet": stats(10), "memoryStatsSet": stats(32)}
        book.note(plane.host, {"taskMetrics": [{"taskArn": task.id, "containerMetrics": [metrics]}]})
    plane.tick(seconds=60)
    plane.book.step()
    other.step()

    [service] = plane.points("service/default/web")
    assert (service.minutes, service.memory, service.memory_reserved, service.tasks) == (1, 64, 128, 2)


def test_coarser_points_are_made_of_finer_ones_and_the_same_when_made_again(plane: Plane) -> None:
    for minute in range(12):
        plane.minute((10, 10 * minute))
        plane.book.step()
        plane.rolls.step()
        plane.rolls.step()

    fives = plane.points("service/default/web", FIVE_MINUTES)
    assert [(point.at - plane.start).total_seconds() for point in fives] == [0, 300, 600]
    assert [point.minutes for point in fives] == [5, 5, 2]
    assert [point.memory_average for point in fives] == [40, 140, 210]
    assert [point.memory_peak for point in fives] == [80, 180, 220]
    [hour] = plane.points("service/default/web", HOUR)
    assert (hour.minutes, hour.memory_average) == (12, 110)
    assert plane.points(f"container/default/{plane.tasks()[0].id}/web", FIVE_MINUTES) == []


def test_points_are_forgotten_by_their_resolution(plane: Plane) -> None:
    plane.minute((10, 10))
    plane.book.step()
    plane.rolls.step()
    kept = []
    for length in (timedelta(hours=1), timedelta(hours=3), timedelta(days=3), timedelta(days=60)):
        plane.tick(seconds=length.total_seconds())
        plane.rolls.step()
        kept.append([bool(plane.points("cluster/default", seconds)) for seconds in (MINUTE, FIVE_MINUTES, HOUR)])
    assert kept == [[True, True, True], [False, True, True], [False, False, True], [False, False, False]]


def test_what_a_long_silence_left_to_forget_is_forgotten_in_bites(plane: Plane) -> None:
    for _ in range(12):
        plane.minute((10, 10))
        plane.book.step()
    plane.tick(days=1)
    left = []
    for _ in range(4):
        left.append(len(plane.points("cluster/default")))
        plane.rolls.step()
    assert left == [12, 7, 2, 0]


def test_a_host_speaks_of_its_own_tasks_alone(plane: Plane) -> None:
    stranger = plane.add_host()
    plane.publish(10, 32, host=stranger)
    plane.tick(seconds=60)
    plane.book.step()
    assert plane.points("cluster/default") == []


def test_a_host_that_was_taken_out_speaks_of_none(plane: Plane) -> None:
    plane.publish(10, 32)
    plane.ecs.deregister_container_instance(containerInstance=plane.host, force=True)
    plane.tick(seconds=60)
    plane.book.step()
    assert plane.points("cluster/default") == []


@pytest.mark.parametrize(
    "nonsense",
    [
        None,
        7,
        "text",
        [None, 7, []],
        [{"taskArn": 7, "containerMetrics": 7}],
        [{"taskArn": "t", "containerMetrics": [{"cpuStatsSet": 7, "networkStatsSet": 7, "restartStatsSet": []}]}],
        [{"taskArn": "t", "containerMetrics": [{"cpuStatsSet": {"sum": float("nan"), "max": 1e300}}]}],
        [{"taskArn": "t", "containerMetrics": [{"restartStatsSet": {"restartCount": -5}, "memoryStatsSet": {}}]}],
    ],
)
def test_nonsense_is_passed_over(plane: Plane, nonsense: Any) -> None:
    plane.book.note(plane.host, {"taskMetrics": nonsense})
    plane.publish(10, 32)
    plane.tick(seconds=60)
    plane.book.step()
    assert len(plane.points("cluster/default")) == 1


def told(task: str, container: str, **metrics: Any) -> dict[str, Any]:
    return {"taskMetrics": [{"taskArn": task, "containerMetrics": [{"containerName": container, **metrics}]}]}


@pytest.mark.parametrize(
    ("task", "container"),
    [("t\0", "web"), ("\ud800", "web"), ("", "web\0"), ("", "\ud800"), ("", "w" * 256), ("", "a/b")],
)
def test_names_that_no_database_keeps_hold_nobody_elses_minute_up(plane: Plane, task: str, container: str) -> None:
    name = task or plane.tasks()[0].id
    plane.book.note(plane.host, told(name, container, memoryStatsSet=stats(5)))
    plane.publish(10, 32)
    plane.tick(seconds=60)
    plane.book.step()
    [point] = plane.points("cluster/default")
    assert point.memory == 64


def test_counters_that_leap_hold_nobody_elses_minute_up(plane: Plane) -> None:
    task = plane.tasks()[0].id
    for received in (0, 2**61, 0, 2**61, 0, 2**61, 0, 2**61, 0, 2**61):
        more = {"networkStatsSet": {"rxBytes": stats(received)}, "restartStatsSet": {"restartCount": 2**31 - 1}}
        for container in ("web", "other"):
            plane.book.note(plane.host, told(task, container, **more))
    plane.tick(seconds=60)
    plane.book.step()
    [point] = plane.points("cluster/default")
    assert (point.rx, point.restarts) == (2**50, 2**20)


def test_a_host_that_makes_containers_up_leaves_the_others_theirs(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_book, "MOST_OF_HOST", 10)
    monkeypatch.setattr(usage_book, "MOST_CONTAINERS", 20)
    for number in range(30):
        plane.book.note("another", told(f"t{number}", "web", memoryStatsSet=stats(5)))
    plane.publish(10, 32)
    plane.tick(seconds=60)
    plane.book.step()
    [point] = plane.points("cluster/default")
    assert point.memory == 64


def test_of_very_many_containers_only_what_they_come_to_is_kept(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage_book, "MOST_KEPT", 1)
    plane.minute((10, 32))
    plane.book.step()
    assert plane.points(f"container/default/{plane.tasks()[0].id}/web") == []
    assert [point.memory for point in plane.points("service/default/web")] == [64]


def test_a_clock_that_is_set_back_a_little_adds_to_no_minute_twice(plane: Plane) -> None:
    plane.minute((10, 32))
    plane.book.step()
    plane.tick(seconds=-30)
    plane.publish(10, 32)
    plane.tick(seconds=90)
    plane.book.step()
    assert [point.memory for point in plane.points("cluster/default")] == [64]


def test_minutes_that_cannot_be_written_are_not_kept_without_end(plane: Plane) -> None:
    write, plane.book._store = plane.book._store, Away()  # type: ignore[assignment]
    for _ in range(12):
        plane.minute((10, 32))
        with pytest.raises(StoreUnavailable):
            plane.book.step()
    plane.book._store = write
    plane.book.step()
    assert len(plane.points("cluster/default")) == usage_book.MOST_MINUTES


class Away:
    """A store that does not answer."""

    def transact(self, work: Any) -> Any:
        raise StoreUnavailable("away")


def test_what_was_written_before_a_long_silence_is_rolled_up_after_it(plane: Plane) -> None:
    plane.minute((10, 32))
    plane.book.step()
    plane.rolls.step()
    plane.minute((10, 32))
    plane.book.step()
    plane.tick(hours=2)
    plane.rolls.step()
    [point] = plane.points("service/default/web", FIVE_MINUTES)
    assert point.minutes == 2


def test_a_bucket_does_not_shrink_when_what_it_is_made_of_is_forgotten(plane: Plane) -> None:
    for _ in range(5):
        plane.minute((10, 32))
        plane.book.step()
    plane.rolls.step()
    for _ in range(12 * 4):
        plane.tick(minutes=5)
        plane.rolls.step()
        [point] = plane.points("service/default/web", FIVE_MINUTES)
        assert point.minutes == 5


def test_the_latest_minute_of_every_subject(plane: Plane) -> None:
    for memory in (10, 20, 30):
        plane.minute((1, memory))
    plane.book.step()
    latest = plane.store.read(lambda s: list_latest(s, ("host", "service"), since=plane.start))
    assert [(point.subject, point.memory) for point in latest] == [
        (f"host/{plane.host}", 60),
        ("service/default/web", 60),
    ]
