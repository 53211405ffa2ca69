"""``berth status``: what there is on a screen of 80 columns, through the clients it asks."""

from io import StringIO

from rich.console import Console

from orchestrator.agents.presence import Presence
from orchestrator.cli.asking import plain_table
from orchestrator.cli.status import MOST_ROWS, NOT_LOOKED_AT, tables_of
from tests.support.batch import EC2, BatchPlane
from tests.support.services import ServicesPlane, host_of


def shown(plane: ServicesPlane | BatchPlane, width: int = 80) -> list[str]:
    """The lines of the screen, blanks at their ends left out."""
    screen = StringIO()
    console = Console(width=width, file=screen)
    for table in tables_of(plane.client("ecs"), plane.client("batch")):
        console.print(table)
    return [line.rstrip() for line in screen.getvalue().splitlines()]


def test_what_there_is_none_of_is_not_shown(plane: ServicesPlane) -> None:
    assert shown(plane) == []


def test_a_host_a_service_and_its_tasks_are_a_line_each(plane: ServicesPlane) -> None:
    host = host_of(plane, memory=4096)
    plane.register()
    plane.create(1)
    plane.step(2)
    plane.run()
    task = plane.tasks()[0].id
    assert shown(plane, width=100) == [
        "Hosts",
        "cluster  host      status  agent      vCPU free  GiB free  tasks",
        f"default  {host[-8:]}  ACTIVE  connected  1.00/1.00  3.9/4.0   1 running",
        "Services",
        "cluster  service  of     running  rollout      last word",
        f"default  web      web:1  1/1      IN_PROGRESS  has started 1 tasks: (task {task[-8:]}).",
        "Tasks",
        "cluster  task      of     on        status   health  why",
        f"default  {task[-8:]}  web:1  {host[-8:]}  RUNNING",
    ]


def test_a_service_that_fits_nowhere_says_why_in_a_few_lines(plane: ServicesPlane) -> None:
    host = host_of(plane, memory=32)
    plane.register()
    plane.create()
    plane.step(2)
    lines = shown(plane)
    service = lines[lines.index("Services") :]
    told = " ".join(" ".join(service).split())
    assert f"was unable to place a task: memory: 64 MiB asked, 32 free on {host[-8:]} (1 host)." in told
    assert "For more information" not in told
    assert len(service) <= 7


def test_a_service_nobody_has_looked_at_says_so(plane: ServicesPlane) -> None:
    plane.register()
    plane.create()
    assert shown(plane, width=120)[-1].endswith(NOT_LOOKED_AT)


def test_a_task_whose_host_is_away_says_what_it_waits_for(plane: ServicesPlane) -> None:
    host = host_of(plane)
    plane.register()
    plane.create(1)
    plane.step(2)
    assert shown(plane, width=100)[-1].endswith("being pulled and started")
    Presence(plane.store, plane.clock).left(host, "connection")
    assert shown(plane, width=100)[-1].endswith("its host is away")


def test_more_tasks_than_a_screen_holds_are_counted(plane: ServicesPlane) -> None:
    host_of(plane, memory=64 * (MOST_ROWS + 2))
    plane.register()
    plane.create(MOST_ROWS + 2)
    plane.step(12)
    lines = shown(plane)
    tasks = lines[lines.index("Tasks") + 2 :]
    assert len(plane.tasks()) == MOST_ROWS + 2
    assert (len(tasks), tasks[-1]) == (MOST_ROWS + 1, "default  … 2 more")


def test_the_tasks_that_wait_are_shown_before_those_that_run(plane: ServicesPlane) -> None:
    host_of(plane, memory=64 * (MOST_ROWS + 2))
    plane.register()
    plane.create(MOST_ROWS + 2)
    plane.step(12)
    waiting, *running = reversed(plane.tasks())
    plane.run(running)
    lines = shown(plane)
    first = lines[lines.index("Tasks") + 2]
    assert (first.split()[1], first.split()[4]) == (waiting.id[-8:], "PENDING")


def test_a_host_of_an_environment_is_a_line_without_its_uuid(jobs: BatchPlane) -> None:
    jobs.environment("nightly", EC2)
    cluster = jobs.batch.describe_compute_environments()["computeEnvironments"][0]["ecsClusterArn"].rsplit("/", 1)[-1]
    host = host_of(jobs, cluster)
    lines = shown(jobs)
    assert lines[-1].split()[:2] == ["AWSBatch-nightly", host[-8:]]
    assert len(lines) == 3


def test_jobs_that_wait_say_why_and_each_is_there_once(jobs: BatchPlane) -> None:
    jobs.environment()
    jobs.queue()
    jobs.definition()
    first = jobs.submit("first")
    second = jobs.submit("second", dependsOn=[{"jobId": first}])
    jobs.settle()
    lines = shown(jobs, width=120)
    of_second, of_first = lines[2:]
    assert of_first.split()[:4] == ["queue", first[-8:], "first", "RUNNABLE"]
    assert "no container instances" in of_first
    assert of_second.split(maxsplit=4)[:4] == ["queue", second[-8:], "second", "PENDING"]
    assert of_second.endswith("Waiting for the jobs it depends on")


def test_an_array_says_how_far_its_jobs_have_come(jobs: BatchPlane) -> None:
    jobs.environment("nightly", EC2)
    cluster = jobs.batch.describe_compute_environments()["computeEnvironments"][0]["ecsClusterArn"].rsplit("/", 1)[-1]
    host_of(jobs, cluster, memory=8192)
    host_of(jobs, cluster, memory=8192)
    host_of(jobs, cluster, memory=8192)
    jobs.queue(environments=("nightly",))
    jobs.definition()
    array = jobs.submit("many", arrayProperties={"size": 3})
    jobs.settle()
    jobs.finish(f"{array}:0")
    line = shown(jobs, width=120)[-1]
    assert line.split()[:4] == ["queue", array[-8:], "many", "PENDING"]
    assert line.endswith("its 3 jobs: 2 STARTING, 1 SUCCEEDED")


def test_a_status_stays_one_word_however_narrow_the_screen_is() -> None:
    table = plain_table("Tasks", "cluster", "of", "status", "why")
    table.add_row("AWSBatch-nightly", "work-1-0c5081c09d2c:1", "PROVISIONING", "waits for capacity of its own")
    screen = StringIO()
    Console(width=50, file=screen).print(table)
    assert "PROVISIONING" in screen.getvalue()
