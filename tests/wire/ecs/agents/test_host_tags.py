"""Tags for metadata: a host's agent may ask for those of what runs on its host, and of nothing else."""

from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from kit.aws.sigv4 import Caller, Key
from orchestrator.agents.joining import make_host_key
from orchestrator.agents.presence import Presence
from orchestrator.identity import find_key
from tests.support.loopback import KEY
from tests.support.tasks import CAPABLE, SIZES, TasksPlane


@pytest.fixture
def plane(plane: TasksPlane) -> TasksPlane:
    """Its gateway knows the keys of hosts."""
    keys = find_key(plane.store, plane.secrets, plane.clock, fresh=timedelta(0))
    plane.gateway._find_key = lambda name: KEY if name == KEY.access_key_id else keys(name)
    return plane


def test_an_agent_reads_the_tags_of_its_own_tasks(plane: TasksPlane) -> None:
    key_id, secret = plane.store.transact(
        lambda session: make_host_key(session, plane.secrets, account=plane.settings.account, now=plane.clock.now())
    )
    key = Key(access_key_id=key_id, secret=secret, caller=Caller(access_key_id=key_id, principal_arn="", account=""))
    agent = plane.client("ecs", key)
    host = agent.register_container_instance(totalResources=SIZES, attributes=CAPABLE)["containerInstance"]
    Presence(plane.store, plane.clock).arrived(host["containerInstanceArn"].rsplit("/", 1)[-1], "connection")
    plane.register()
    tags = [{"key": "team", "value": "blue"}]
    mine = plane.run(tags=tags)["taskArn"]
    assert agent.list_tags_for_resource(resourceArn=mine)["tags"] == tags

    assert agent.list_tags_for_resource(resourceArn=host["containerInstanceArn"])["tags"] == []

    other = plane.add_host(memory=4096)
    there = plane.ecs.start_task(taskDefinition="t", containerInstances=[other])["tasks"][0]["taskArn"]
    cluster = plane.ecs.describe_clusters()["clusters"][0]["clusterArn"]
    for arn in (there, other, cluster):
        with pytest.raises(ClientError, match="AccessDeniedException"):
            agent.list_tags_for_resource(resourceArn=arn)
