"""Which images are in use, as tasks, services, jobs and schedules name them, on both databases."""

import json
from datetime import timedelta

import pytest

from kit.settings import Settings
from registry.collected import Wish
from registry.uses import images_in_use, read_uri
from state.clusters import Cluster
from state.job_definitions import JobDefinition
from state.jobs import Job, Submission
from state.schedule_groups import ScheduleGroup
from state.schedules import Schedule
from state.services import Service
from state.task_definitions import TaskDefinition
from state.tasks import Task
from tests.support.registry import OCI_INDEX, OCI_MANIFEST
from tests.support.registry_world import World

HOST = "127.0.0.1:5050"


@pytest.fixture
def world(world: World) -> World:
    world.store.transact(lambda session: session.add(Cluster(name="default", created_at=world.clock.now())))
    return world


def in_use(world: World, *, protect: bool = True) -> set[str]:
    settings = Settings(registry_protect_in_use=protect)
    return set(world.store.read(lambda session: images_in_use(session, settings)).get("web", frozenset()))


def define(world: World, image: str, revision: int = 1, status: str = "ACTIVE") -> None:
    row = TaskDefinition(
        family="t",
        revision=revision,
        status=status,
        body={"containerDefinitions": [{"name": "main", "image": image}]},
        registered_at=world.clock.now(),
        registered_by="me",
    )
    world.store.transact(lambda session: session.add(row))


def run(world: World, image: str, *, status: str = "RUNNING", digest: str | None = None) -> None:
    container = {"name": "main", "image": image} | ({"imageDigest": digest} if digest else {})
    row = Task(
        id=f"{status}{image}"[:36],
        cluster="default",
        family="t",
        revision=1,
        launch_type="EC2",
        cpu=1,
        memory=1,
        desired_status="RUNNING",
        last_status=status,
        containers=[{**container, "id": "c", "healthStatus": "UNKNOWN"}],
        created_at=world.clock.now(),
    )
    world.store.transact(lambda session: session.add(row))


@pytest.mark.parametrize(
    "host", [HOST, "old.example:5000", "123456789012.dkr.ecr.us-east-1.amazonaws.com", "localhost"]
)
def test_a_task_uses_its_image_whatever_the_registry_was_called_then(world: World, host: str) -> None:
    digest = world.push(b"one", tags=("1",))
    run(world, f"{host}/web:1")
    assert in_use(world) == {digest}


def test_a_task_uses_what_it_pulled_and_what_its_tag_is_now(world: World) -> None:
    pulled = world.push(b"one", tags=("latest",))
    run(world, f"{HOST}/web", digest=pulled)
    now = world.push(b"two", tags=("latest",))
    assert in_use(world) == {pulled, now}
    assert in_use(world, protect=False) == set()


def test_a_stopped_task_and_images_of_docker_hub_use_nothing(world: World) -> None:
    world.push(b"one", tags=("1",))
    run(world, f"{HOST}/web:1", status="STOPPED")
    run(world, "web:1")
    assert in_use(world) == set()


def test_a_list_is_in_use_with_its_parts(world: World) -> None:
    part = world.push(b"part")
    child = {"mediaType": OCI_MANIFEST, "digest": part, "size": 1}
    inner = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child]}).encode()
    inner_digest = world.put(inner, media=OCI_INDEX)
    nested = {"mediaType": OCI_INDEX, "digest": inner_digest, "size": len(inner)}
    outer = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [nested]}).encode()
    outer_digest = world.put(outer, media=OCI_INDEX)
    run(world, f"{HOST}/web@{outer_digest}")
    assert in_use(world) == {part, inner_digest, outer_digest}


def test_a_service_uses_its_definition_and_an_inactive_one_does_not(world: World) -> None:
    digest = world.push(b"one", tags=("1",))
    define(world, f"{HOST}/web:1", status="INACTIVE")
    service = Service(
        cluster="default",
        name="s",
        family="t",
        revision=1,
        desired_count=0,
        launch_type="EC2",
        deployment_configuration={},
        created_at=world.clock.now(),
        created_by="me",
    )
    world.store.transact(lambda session: session.add(service))
    assert in_use(world) == {digest}

    def end(session: object) -> None:
        session.get(Service, ("default", "s")).status = "INACTIVE"  # type: ignore[attr-defined]

    world.store.transact(end)
    assert in_use(world) == set()


@pytest.mark.parametrize(("status", "uses"), [("RUNNABLE", True), ("RUNNING", True), ("SUCCEEDED", False)])
def test_a_job_that_has_not_ended_uses_its_image(world: World, status: str, uses: bool) -> None:
    digest, now = world.push(b"one", tags=("1",)), world.clock.now()
    submission = Submission(
        id="j",
        name="j",
        queue="q",
        definition_name="d",
        definition_revision=1,
        platform="EC2",
        container={"image": f"{HOST}/web:1"},
        created_at=now,
    )
    job = Job(id="j", submission_id="j", queue="q", cpu=1, memory=1, status=status, created_at=now)

    def add(session: object) -> None:
        for row in (submission, job):
            session.add(row)  # type: ignore[attr-defined]
            session.flush()  # type: ignore[attr-defined]

    world.store.transact(add)
    assert in_use(world) == ({digest} if uses else set())


@pytest.mark.parametrize(
    "target",
    [
        {"EcsParameters": {"TaskDefinitionArn": "arn:aws:ecs:us-east-1:123456789012:task-definition/t:2"}},
        {"EcsParameters": {"TaskDefinitionArn": "arn:aws:ecs:us-east-1:123456789012:task-definition/t"}},
        {"Input": '{"taskDefinition": "t"}'},
        {"Input": '{"JobDefinition": "d:1"}'},
        {"Input": '{"jobDefinition": "arn:aws:batch:us-east-1:123456789012:job-definition/d:1"}'},
    ],
)
def test_a_schedule_uses_what_it_would_run(world: World, target: dict[str, object]) -> None:
    digest, now = world.push(b"new", tags=("2",)), world.clock.now()
    world.push(b"old", tags=("1",))
    define(world, f"{HOST}/web:1")
    define(world, f"{HOST}/web:2", 2)
    body = {"containerProperties": {"image": f"{HOST}/web:2"}}
    rows = [
        JobDefinition(name="d", revision=1, body=body, registered_at=now),
        Schedule(
            id="s",
            group_name="default",
            name="s",
            arn="arn",
            state="DISABLED",
            expression="rate(1 day)",
            timezone="UTC",
            target={"Arn": "arn", **target},
            detail={},
            after_completion="NONE",
            origin_at=now,
            created_at=now,
            modified_at=now,
        ),
    ]

    def add(session: object) -> None:
        if session.get(ScheduleGroup, "default") is None:  # type: ignore[attr-defined]
            session.add(ScheduleGroup(name="default", created_at=now, modified_at=now))  # type: ignore[attr-defined]
            session.flush()  # type: ignore[attr-defined]
        for row in rows:
            session.merge(row)  # type: ignore[attr-defined]

    world.store.transact(add)
    assert in_use(world) == {digest}


def test_collecting_untagged_images_leaves_what_runs(world: World) -> None:
    runs, idle = world.push(b"runs"), world.push(b"idle")
    run(world, f"{HOST}/web:gone", digest=runs)
    world.clock.tick(hours=1)
    wish = Wish(grace=timedelta(0), untagged=True)
    assert world.collect(wish).images == 1
    assert world.kept(b"runs") and not world.kept(b"idle") and idle != runs
    assert world.collect(wish, registry_protect_in_use=False).images == 1


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("h:1/a/b:t", ("a/b", "t")),
        ("h.example/a", ("a", "latest")),
        (f"localhost/a:t@sha256:{'0' * 64}", ("a", f"sha256:{'0' * 64}")),
        ("busybox", None),
        ("team/web:1", None),
        ("h:1/A:t", None),
        ("h:1/a@nonsense", None),
        ("", None),
    ],
)
def test_image_names_are_read_as_docker_reads_them(uri: str, name: tuple[str, str] | None) -> None:
    assert read_uri(uri) == name
