"""Payloads as text: whatever a task is like, its text says what its payload says, and forms are shared."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kit.ids import Arns, new_id
from kit.settings import Settings
from orchestrator.agents.payload_texts import PayloadTexts
from orchestrator.agents.payloads import render_payload_task
from state.base import Base
from state.store import Session, Store
from state.task_definitions import TaskDefinition
from state.told_tasks import ToldTask

SETTINGS = Settings(registry_port=5050)
# Whatever might upset a text with holes, or a text within a text.
ODD = st.text(alphabet="a%s{}\\\"'\u00e4\n$ ", max_size=12)
ENVIRONMENT = st.dictionaries(st.text(alphabet='AB%"', min_size=1, max_size=3), ODD, max_size=3)


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    store = Store(sqlite_url)
    Base.metadata.create_all(store.engine)
    yield store
    store.close()


def define(store: Store, *containers: dict[str, Any]) -> TaskDefinition:
    """The next revision of one family."""
    body = {"containerDefinitions": list(containers)}

    def write(session: Session) -> TaskDefinition:
        made = TaskDefinition(
            family="f",
            revision=session.query(TaskDefinition).count() + 1,
            body=body,
            registered_at=datetime(2030, 1, 1, tzinfo=UTC),
            registered_by="me",
        )
        session.add(made)
        return made

    return store.transact(write)


def told(definition: TaskDefinition, **members: Any) -> ToldTask:
    """A task of the definition, as it stands in its table."""
    containers = [
        {"id": new_id(), "name": container["name"], "lastStatus": "PENDING", **members.pop("container", {})}
        for container in definition.body["containerDefinitions"]
    ]
    usual: dict[str, Any] = {
        "id": new_id(),
        "cluster": "default",
        "family": definition.family,
        "revision": definition.revision,
        "desired_status": "RUNNING",
        "launch_type": "EC2",
        "service_name": "web",
        "group": "service:web",
        "cpu": 16,
        "memory": 64,
        "overrides": {},
        "extra_environment": {},
        "attachments": [],
        "containers": containers,
    }
    given = {**usual, **members}
    documents = ("overrides", "extra_environment", "attachments", "containers")
    texts = {f"{name}_text": json.dumps(given.pop(name)) for name in documents}
    return ToldTask(**given, **texts)


def says_the_same(store: Store, texts: PayloadTexts, task: ToldTask, definition: TaskDefinition) -> bool:
    text = store.read(lambda session: texts.render(session, task))
    expected: Any = render_payload_task(task, definition, arns=Arns(), settings=SETTINGS)
    return bool(json.loads(text) == json.loads(json.dumps(expected)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    command=st.lists(ODD, max_size=2),
    defined=ENVIRONMENT,
    extra=st.lists(ENVIRONMENT, min_size=2, max_size=3),
    overriding=ENVIRONMENT,
)
def test_the_text_says_what_the_payload_says(
    store: Store, command: list[str], defined: dict[str, str], extra: list[dict[str, str]], overriding: dict[str, str]
) -> None:
    def pairs(environment: dict[str, str]) -> list[dict[str, str]]:
        return [{"name": name, "value": value} for name, value in environment.items()]

    definition = define(
        store,
        {"name": "main", "image": "i:1", "memory": 64, "command": command, "environment": pairs(defined)},
        {"name": "side", "image": "i:2", "memory": 8},
    )
    texts = PayloadTexts(SETTINGS)
    overrides = {"containerOverrides": [{"name": "side", "environment": pairs(overriding), "command": command}]}
    for environment in extra:
        task = told(definition, extra_environment=environment, overrides=overrides)
        assert says_the_same(store, texts, task, definition)


def test_tasks_that_differ_in_more_than_their_own_share_no_text(store: Store) -> None:
    definition = define(store, {"name": "main", "image": "i:1", "memory": 64})
    texts = PayloadTexts(SETTINGS)
    for members in (
        {},
        {"desired_status": "STOPPED"},
        {"service_name": None, "group": "family:f"},
        {"memory": 128},
        {"overrides": {"containerOverrides": [{"name": "main", "command": ["a"]}]}},
        {"cluster": "other"},
        {"container": {"gpuIds": ["GPU-1"]}},
        {"container": {"gpuIds": ["GPU-2"]}},
        {},
    ):
        assert says_the_same(store, texts, told(definition, **members), definition)


def test_an_address_is_told_to_the_task_it_is_for(store: Store) -> None:
    definition = define(store, {"name": "main", "image": "i:1", "memory": 64})
    texts = PayloadTexts(SETTINGS)
    for number in (2, 3):
        details = {
            "networkInterfaceId": "eni-1",
            "macAddress": "02:42:0a:09:00:02",
            "privateIPv4Address": f"10.9.0.{number}",
            "berth.gateway": "10.9.0.1/24",
            "privateDnsName": "ip",
        }
        attachment = {
            "id": "a",
            "type": "ElasticNetworkInterface",
            "details": [{"name": name, "value": value} for name, value in details.items()],
        }
        assert says_the_same(store, texts, told(definition, attachments=[attachment]), definition)


def test_the_definition_is_read_once_for_tasks_that_are_alike(store: Store) -> None:
    definition = define(store, {"name": "main", "image": "i:1", "memory": 64})
    texts = PayloadTexts(SETTINGS)
    first = store.read(lambda session: texts.render(session, told(definition)))
    store.transact(lambda session: session.delete(session.get_one(TaskDefinition, ("f", 1))))

    other = told(definition)
    second = store.read(lambda session: texts.render(session, other))

    assert json.loads(second)["arn"] == Arns().task("default", other.id)
    assert json.loads(first).keys() == json.loads(second).keys()


def test_a_task_without_its_containers_cannot_be_told(store: Store) -> None:
    definition = define(store, {"name": "main", "image": "i:1", "memory": 64})
    texts = PayloadTexts(SETTINGS)
    store.read(lambda session: texts.render(session, told(definition)))

    with pytest.raises(StopIteration):
        store.read(lambda session: texts.render(session, told(definition, containers=[])))
