"""Hosts join with a token, get a key that is theirs alone, and can be put out again."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from sqlalchemy import delete, select

from kit.aws.errors import AwsError, ServiceUnavailable
from kit.aws.http import HttpRequest
from kit.aws.joining import JOIN_PATH, derive_secret
from kit.aws.sigv4 import Caller, Key
from kit.clock import ManualClock, SystemClock
from kit.secrets import SecretBox
from kit.settings import Settings
from orchestrator.agents.handshake import Handshake
from orchestrator.agents.joining import Joining, JoinTokenUsed, make_host_key, make_token
from orchestrator.agents.presence import Presence
from orchestrator.identity import ensure_agent_key, find_key
from orchestrator.operations import SERVICES
from scheduler.loops.housekeeping import HousekeepingLoop
from state.access_keys import AccessKey, list_host_keys
from state.container_instances import ContainerInstance
from state.loop import Leases
from tests.support.aws_requests import signed
from tests.support.loopback import KEY, Loopback
from tests.support.tasks import CAPABLE, SIZES, SMALL


class Berth(Loopback):
    """A control plane with the real look-up of keys and the door for hosts."""

    def __init__(self, url: str) -> None:
        secrets = SecretBox(SecretBox.new_master_key())
        clock = ManualClock(SystemClock().now())
        super().__init__(url, SERVICES, clock=clock, secrets=secrets, find_key=lambda key_id: self.find(key_id))
        self.time = clock
        find = find_key(self.store, secrets, clock, fresh=timedelta(0))
        self.find: Callable[[str], Key | None] = lambda name: KEY if name == KEY.access_key_id else find(name)
        self.joining = Joining(self.store, clock, self.find, secrets, self.settings)
        self.client("ecs").create_cluster()

    def token(self, *, life: timedelta = timedelta(hours=1)) -> Key:
        account = self.settings.account
        return key(*self.store.transact(lambda s: make_token(s, self.secrets, self.clock, account=account, life=life)))

    def join(self, given: Key, nonce: Any = "a" * 32) -> Key:
        key_id = self.joining.join(asking(self, given, nonce))
        return key(key_id, derive_secret(given.secret, nonce=nonce, key_id=key_id))

    def register(self, host: Key, **members: Any) -> str:
        answer = self.client("ecs", host).register_container_instance(
            totalResources=SIZES, attributes=CAPABLE, **members
        )
        arn: str = answer["containerInstance"]["containerInstanceArn"]
        Presence(self.store, self.clock).arrived(arn.rsplit("/", 1)[-1], "connection")
        return arn

    def poll(self, host: Key, instance: str) -> str:
        handshake = Handshake(self.store, self.clock, self.find, region="us-east-1")
        query = f"containerInstanceArn={instance.rsplit('/', 1)[-1]}"
        request = signed("ecs", method="GET", path="/acs/ws", query=query, key=host, clock=self.clock)
        return handshake.admit(request, action="ecs:Poll", member="containerInstanceArn")


def asking(berth: Berth, given: Key, nonce: Any) -> HttpRequest:
    """The request to join."""
    body = json.dumps({"nonce": nonce}).encode()
    return signed("ecs", path=JOIN_PATH, body=body, key=given, clock=berth.clock)


def key(key_id: str, secret: str) -> Key:
    caller = Caller(access_key_id=key_id, principal_arn="", account="")
    return Key(access_key_id=key_id, secret=secret, caller=caller)


@pytest.fixture
def berth(store_url: str) -> Iterator[Berth]:
    berth = Berth(store_url)
    yield berth
    berth.close()


def refused(call: Any, *args: Any, **members: Any) -> str:
    with pytest.raises((ClientError, AwsError)) as error:
        call(*args, **members)
    if isinstance(error.value, ClientError):
        return str(error.value.response["Error"]["Code"])
    assert isinstance(error.value, AwsError)
    return error.value.code


def test_a_token_lets_one_host_join_and_only_that_one_ask_again(berth: Berth) -> None:
    token = berth.token()
    host = berth.join(token, "a" * 32)

    assert berth.join(token, "a" * 32) == host, "an answer that was lost is given again"
    with pytest.raises(JoinTokenUsed):
        berth.join(token, "b" * 32)
    assert berth.register(host)


def test_of_many_that_join_with_one_token_at_once_one_does(berth: Berth) -> None:
    token = berth.token()
    nonces = [letter * 32 for letter in "abcdefgh"]

    def join(nonce: str) -> str:
        try:
            return berth.join(token, nonce).access_key_id
        except (JoinTokenUsed, ServiceUnavailable) as refusal:
            return refusal.code

    with ThreadPoolExecutor(len(nonces)) as pool:
        answers = list(pool.map(join, nonces))
    [joined] = [answer for answer in answers if answer.startswith("AKIA")]
    assert [key.id for key, _ in berth.store.read(list_host_keys)] == [joined]


def test_of_many_that_register_with_one_key_at_once_one_host_is_left(berth: Berth) -> None:
    host = berth.join(berth.token())
    clients = [berth.client("ecs", host) for _ in range(4)]

    def register(client: Any) -> str:
        answer = client.register_container_instance(totalResources=SIZES, attributes=CAPABLE)
        return str(answer["containerInstance"]["containerInstanceArn"])

    with ThreadPoolExecutor(len(clients)) as pool:
        arns = list(pool.map(register, clients))
    [left] = berth.client("ecs").list_container_instances()["containerInstanceArns"]
    assert left in arns
    assert berth.poll(host, left)


def test_a_token_ends_with_its_time_and_does_nothing_else(berth: Berth) -> None:
    token = berth.token(life=timedelta(hours=2))
    assert refused(berth.client("ecs", token).list_clusters) == "AccessDeniedException"
    assert refused(berth.register, token) == "AccessDeniedException"
    berth.time.tick(hours=2)
    assert refused(berth.join, token) == "ExpiredTokenException"


@pytest.mark.parametrize("nonce", [None, 7, "", "short", "x" * 65, "ü" * 20, "a b" * 8])
def test_nonsense_joins_nothing_and_leaves_the_token_good(berth: Berth, nonce: Any) -> None:
    token = berth.token()
    with pytest.raises(AwsError) as error:
        berth.joining.join(asking(berth, token, nonce))
    assert error.value.code == "InvalidParameterException"
    assert berth.join(token)


def test_any_number_join_with_the_agents_key_each_with_a_key_of_its_own(berth: Berth) -> None:
    pair = ensure_agent_key(berth.store, Settings(data=berth.settings.data), berth.secrets, berth.clock)
    first, second = berth.join(key(*pair), "a" * 32), berth.join(key(*pair), "b" * 32)

    assert first != second
    assert berth.register(first) != berth.register(second)
    assert refused(berth.register, key(*pair)) == "AccessDeniedException"


def test_a_host_acts_for_itself_alone(berth: Berth) -> None:
    mine, other = berth.join(berth.token(), "a" * 32), berth.join(berth.token(), "b" * 32)
    my_host = berth.register(mine)
    root = berth.client("ecs")
    root.register_task_definition(family="t", containerDefinitions=[SMALL])
    arn = root.run_task(taskDefinition="t")["tasks"][0]["taskArn"]
    other_host = berth.register(other)
    stranger = berth.client("ecs", other)
    state = {"task": arn, "status": "STOPPED", "containers": [{"containerName": "main", "status": "STOPPED"}]}
    logs = berth.client("logs")
    logs.create_log_group(logGroupName="g")
    stream = {"logGroupName": "g", "logStreamName": f"p/main/{arn.rsplit('/', 1)[-1]}"}
    logs.create_log_stream(**stream)
    line = [{"timestamp": int(berth.clock.now().timestamp() * 1000), "message": "hello"}]

    denied = "AccessDeniedException"
    assert refused(berth.poll, other, my_host) == denied
    assert refused(stranger.discover_poll_endpoint, containerInstance=my_host) == denied
    assert refused(stranger.submit_task_state_change, **state) == denied
    assert refused(stranger.deregister_container_instance, containerInstance=my_host, force=True) == denied
    drain = {"containerInstances": [my_host], "status": "DRAINING"}
    assert refused(stranger.update_container_instances_state, **drain) == denied
    assert refused(berth.register, other, containerInstanceArn=my_host) == denied
    assert refused(berth.client("logs", other).put_log_events, **stream, logEvents=line) == denied
    assert root.describe_tasks(tasks=[arn])["tasks"][0]["lastStatus"] == "PENDING"

    assert berth.poll(mine, my_host) == my_host.rsplit("/", 1)[-1]
    assert berth.poll(other, other_host) == other_host.rsplit("/", 1)[-1]
    berth.client("logs", mine).put_log_events(**stream, logEvents=line)
    berth.client("ecs", mine).submit_task_state_change(**state)
    assert root.describe_tasks(tasks=[arn])["tasks"][0]["lastStatus"] == "STOPPED"


def test_a_host_that_lost_its_name_is_a_new_one_and_no_longer_the_old(berth: Berth) -> None:
    host = berth.join(berth.token())
    first = berth.register(host)
    assert berth.register(host, containerInstanceArn=first) == first
    second = berth.register(host)

    assert second != first
    assert refused(berth.poll, host, first) == "AccessDeniedException"
    assert berth.poll(host, second)
    root = berth.client("ecs")
    told = root.describe_container_instances(containerInstances=[first, second])["containerInstances"]
    assert [one["status"] for one in told] == ["INACTIVE", "ACTIVE"], "a key is good for one host at a time"


def test_what_a_new_host_had_under_its_old_name_counts_as_ended(berth: Berth) -> None:
    host = berth.join(berth.token())
    berth.register(host)
    root = berth.client("ecs")
    root.register_task_definition(family="t", containerDefinitions=[SMALL])
    arn = root.run_task(taskDefinition="t")["tasks"][0]["taskArn"]
    berth.register(host)
    assert root.describe_tasks(tasks=[arn])["tasks"][0]["lastStatus"] == "STOPPED"


def test_keys_that_ended_a_moment_ago_neither_join_nor_register(berth: Berth) -> None:
    """Though each process remembers keys for some seconds."""
    token, host = berth.token(), berth.join(berth.token(), "b" * 32)
    berth.register(host)
    remember(berth, token, host)
    ended = (token.access_key_id, host.access_key_id)
    berth.store.transact(lambda s: s.execute(delete(AccessKey).where(AccessKey.id.in_(ended))))

    assert refused(berth.join, token, "c" * 32) == "AccessDeniedException"
    assert refused(berth.register, host) == "AccessDeniedException"
    assert len(berth.client("ecs").list_container_instances()["containerInstanceArns"]) == 1


def test_a_key_that_is_remembered_as_another_hosts_registers_again(berth: Berth) -> None:
    host = berth.join(berth.token())
    first = berth.register(host)
    remember(berth, host)
    assert berth.register(host, containerInstanceArn=first) == first
    second = berth.register(host)
    assert berth.register(host, containerInstanceArn=second) == second


def test_a_host_says_nonsense_of_log_streams(berth: Berth) -> None:
    host = berth.join(berth.token())
    berth.register(host)
    berth.client("logs").create_log_group(logGroupName="g")
    line = [{"timestamp": int(berth.clock.now().timestamp() * 1000), "message": "hello"}]
    stream = {"logGroupName": "g", "logStreamName": "p/main/\0"}
    assert refused(berth.client("logs", host).put_log_events, **stream, logEvents=line) == "InvalidParameterException"


def remember(berth: Berth, *keys: Key) -> None:
    """Have these keys remembered as they are now, as the process does that has just looked them up."""
    known = {key.access_key_id: berth.find(key.access_key_id) for key in keys}
    find = berth.find
    berth.find = lambda key_id: known.get(key_id) or find(key_id)
    berth.joining = Joining(berth.store, berth.clock, berth.find, berth.secrets, berth.settings)


def test_keys_without_a_host_are_forgotten(berth: Berth) -> None:
    unused, used = berth.join(berth.token(), "a" * 32), berth.join(berth.token(), "b" * 32)
    berth.client("ecs").deregister_container_instance(containerInstance=berth.register(used))
    leases = Leases(berth.store, berth.clock, "one")
    house = HousekeepingLoop(berth.store, berth.clock, leases, task_retention=timedelta(hours=1))

    def kept() -> list[str]:
        house.step()
        return berth.store.read(lambda session: sorted(key.id for key, _ in list_host_keys(session)))

    assert kept() == sorted([unused.access_key_id, used.access_key_id])
    berth.time.tick(hours=2)
    assert kept() == [used.access_key_id]
    berth.time.tick(days=6)
    assert kept() == [used.access_key_id]
    berth.time.tick(days=1)
    assert kept() == []
    assert not berth.store.read(lambda session: session.scalars(select(ContainerInstance)).all())


def test_a_key_made_for_an_official_agent_speaks_for_the_host_that_registers_with_it(berth: Berth) -> None:
    account, now = berth.settings.account, berth.clock.now()
    host = key(*berth.store.transact(lambda s: make_host_key(s, berth.secrets, account=account, now=now)))
    own = berth.register(host)
    other = berth.register(KEY)

    assert berth.poll(host, own) == own.rsplit("/", 1)[-1]
    with pytest.raises(AwsError, match="not its own"):
        berth.poll(host, other)
    with pytest.raises(ClientError, match="not authorized"):
        berth.client("ecs", host).run_task(taskDefinition="t")
