"""A store with three hosts, on which tasks are launched."""

from datetime import UTC, datetime
from typing import Any

import pytest

from state.clusters import Cluster
from state.container_instances import ContainerInstance
from state.store import Session, Store
from state.task_definitions import TaskDefinition

NOW = datetime(2030, 1, 1, tzinfo=UTC)
HOSTS = ("host-a", "host-b", "host-c")


@pytest.fixture
def store(store: Store) -> Store:
    """Three hosts with room for ten tasks each."""
    room = {"registered_cpu": 1000, "registered_memory": 1000, "free_cpu": 1000, "free_memory": 1000}

    def fill(session: Session) -> None:
        session.add(Cluster(name="default", created_at=NOW))
        session.flush()
        for host in HOSTS:
            session.add(ContainerInstance(id=host, cluster="default", agent_connected=True, registered_at=NOW, **room))
        bodies: dict[str, dict[str, Any]] = {
            "web": {},
            "port": {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]},
        }
        for family, container in bodies.items():
            body = {"containerDefinitions": [{"name": "c", "image": "i", "cpu": 100, "memory": 100, **container}]}
            session.add(TaskDefinition(family=family, revision=1, body=body, registered_at=NOW, registered_by="me"))

    store.transact(fill)
    return store
