"""Scaling managed fleets: by hand for what a person can check, by properties for the rest."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from scheduler.jobs.instance_types import allowed_types
from scheduler.jobs.scaling import Demand, Fleet, HostSeen, next_release, scale

NOW = datetime(2030, 1, 1, tzinfo=UTC)
M5 = allowed_types(["m5"])


def host(name: str, vcpus: int = 2, *, idle: int | None = None, free: bool = True) -> HostSeen:
    since = None if idle is None else NOW - timedelta(seconds=idle)
    room = vcpus * 1024 if free else 0
    return HostSeen(capacity_id=name, cpu=vcpus * 1024, free_cpu=room, free_memory=room * 4, idle_since=since)


def fleet(*hosts: HostSeen, minimum: int = 0, maximum: int = 64, grows: bool = True) -> Fleet:
    return Fleet(hosts=hosts, minimum=minimum, maximum=maximum, types=M5, grows=grows)


def job(vcpus: int = 1, memory: int = 512, *, on: tuple[str, ...] = ("ce",)) -> Demand:
    return Demand(cpu=vcpus * 1024, memory=memory, environments=on)


def test_free_room_is_used_before_anything_is_launched() -> None:
    scaling = scale({"ce": fleet(host("a"))}, [job(), job(), job()], NOW)["ce"]
    assert [kind.name for kind in scaling.launch] == ["m5.large"]


def test_an_idle_host_that_somebody_waits_for_is_kept() -> None:
    seen = fleet(host("a", idle=600), host("b", idle=600))
    assert scale({"ce": seen}, [job()], NOW)["ce"].release == ["b"]
    assert scale({"ce": seen}, [], NOW)["ce"].release == ["a", "b"]


def test_nothing_goes_below_the_minimum() -> None:
    seen = fleet(host("a", idle=900), host("b", idle=600), minimum=2)
    assert scale({"ce": seen}, [], NOW)["ce"].release == ["a"]


def test_the_minimum_is_launched_even_when_the_environment_may_not_grow() -> None:
    scaling = scale({"ce": fleet(minimum=4, grows=False)}, [job(8)], NOW)["ce"]
    assert [kind.vcpus for kind in scaling.launch] == [2, 2]


def test_a_job_makes_only_the_first_of_its_environments_grow() -> None:
    fleets = {"one": fleet(), "two": fleet()}
    scaled = scale(fleets, [job(on=("one", "two"))], NOW)
    assert (len(scaled["one"].launch), len(scaled["two"].launch)) == (1, 0)


def test_a_full_environment_leaves_growing_to_the_next() -> None:
    fleets = {"one": fleet(maximum=2), "two": fleet()}
    scaled = scale(fleets, [job(2, on=("one", "two")), job(2, on=("one", "two"))], NOW)
    assert (len(scaled["one"].launch), len(scaled["two"].launch)) == (1, 1)


def test_a_busy_host_is_never_let_go_and_says_nothing_of_when() -> None:
    seen = fleet(host("a", free=False), host("b", idle=20))
    assert scale({"ce": seen}, [], NOW)["ce"].release == []
    assert next_release(seen) == NOW + timedelta(seconds=40)


@given(
    demand=st.lists(st.tuples(st.integers(1, 32), st.integers(4, 200_000)), max_size=40),
    sizes=st.lists(st.tuples(st.sampled_from([2, 4, 8]), st.integers(0, 200)), max_size=6),
    minimum=st.integers(0, 16),
    maximum=st.integers(16, 64),
)
def test_fleets_stay_within_their_bounds(
    demand: list[tuple[int, int]], sizes: list[tuple[int, int]], minimum: int, maximum: int
) -> None:
    hosts = [host(str(i), vcpus, idle=idle) for i, (vcpus, idle) in enumerate(sizes)]
    seen = fleet(*hosts, minimum=minimum, maximum=maximum)
    before = sum(one.cpu for one in hosts)
    jobs = [Demand(cpu=vcpus * 1024, memory=memory, environments=("ce",)) for vcpus, memory in demand]
    scaling = scale({"ce": seen}, jobs, NOW)["ce"]
    after = before + sum(kind.cpu for kind in scaling.launch)
    assert after <= max(before, maximum * 1024)
    left = after - sum(one.cpu for one in hosts if one.capacity_id in scaling.release)
    assert left >= min(before, minimum * 1024)
    assert scale({"ce": seen}, jobs, NOW)["ce"] == scaling
