"""Hosts are lost: without power or without a network, their work goes on elsewhere; and they come back."""

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import faults
from tests.support.berth import TASK_LABEL, until
from tests.support.hosts import Host
from tests.support.site import Site, told_of

pytestmark = pytest.mark.alone

SPREAD = [{"type": "spread", "field": "instanceId"}]
CUTS = {"both ways": Host.cut, "to the host": Host.cut_incoming, "from the host": Host.cut_outgoing}


@pytest.fixture(autouse=True)
def whole(site: Site) -> Iterator[None]:
    """Every test finds both hosts there, idle and well."""
    site.connected()
    yield
    for host in site.hosts:
        host.mend()
    faults.stop_all(site.berth)
    until("nothing runs any more", lambda: not copies(site), seconds=120)


def served(site: Site, name: str, count: int, **members: Any) -> dict[str, dict[str, Any]]:
    """A service whose tasks run, spread over the hosts; the tasks by ARN."""
    family = faults.register(site.berth, name, site.image, "sleep", "600", **members)
    site.ecs.create_service(serviceName=name, taskDefinition=family, desiredCount=count, placementStrategy=SPREAD)
    return until(f"{name} runs", lambda: running(site, name, count), seconds=90)


def running(site: Site, name: str, count: int, *, apart_from: Host | None = None) -> dict[str, dict[str, Any]]:
    """The tasks of the service, when there are that many and all run, on other hosts than this one."""
    tasks = faults.describe(site.berth, site.ecs.list_tasks(serviceName=name)["taskArns"])
    well = [
        task
        for task in tasks
        if task["lastStatus"] == "RUNNING" and (apart_from is None or site.host_of(task) is not apart_from)
    ]
    return {task["taskArn"]: task for task in tasks} if len(well) == len(tasks) == count else {}


def copies(site: Site, *hosts: Host) -> Counter[str]:
    """How many containers run for each task, on these hosts, or on all of them together."""
    return Counter(
        container.labels[TASK_LABEL]
        for host in hosts or site.hosts
        for container in host.containers_of(TASK_LABEL)
        if container.status == "running"
    )


def ran_on(task: dict[str, Any]) -> float:
    """The seconds since a task was taken for ended."""
    ended: float = task["executionStoppedAt"].timestamp()
    return time.time() - ended


def test_what_a_host_without_power_had_runs_elsewhere(site: Site) -> None:
    second = site.hosts[1]
    before = served(site, "power", 4)
    lost = [arn for arn, task in before.items() if site.host_of(task) is second]
    assert len(lost) == 2

    cut_at = time.monotonic()
    second.lose_power()

    until("the host is shown as away", lambda: not site.is_connected(second))
    assert "away" in site.berth.berth("status")
    until("its tasks run elsewhere", lambda: running(site, "power", 4, apart_from=second), seconds=90)
    print(f"host lost: its tasks ran elsewhere {time.monotonic() - cut_at:.1f} s after the cut")
    for task in faults.describe(site.berth, lost):
        assert (task["lastStatus"], task["stopCode"]) == ("STOPPED", "TerminationNotice")
        assert task["stoppedReason"] == f"Host EC2 (instance {second.instance.rpartition('/')[2]}) terminated."

    second.mend()
    second.switch_on()
    site.connected(second)
    until("nothing of them is left there", lambda: not second.containers_of(TASK_LABEL))
    site.ecs.update_service(service="power", desiredCount=6)
    after = until("the host takes new work", lambda: running(site, "power", 6), seconds=90)
    assert sum(site.host_of(task) is second for task in after.values()) == 2
    assert copies(site) == dict.fromkeys(after, 1)
    assert len(site.ecs.list_container_instances(status="ACTIVE")["containerInstanceArns"]) == 2


@pytest.mark.parametrize("how", CUTS)
def test_a_host_that_comes_back_stops_its_stale_copies_first(site: Site, how: str) -> None:
    second = site.hosts[1]
    name, each = f"cable-{how.replace(' ', '-')}", f"daemon-{how.replace(' ', '-')}"
    served(site, name, 2)
    # Of a daemon there is one on each host, and its port is there once: the next one needs the stale one's.
    ports = [{"containerPort": 80, "hostPort": 8080}]
    daemon = faults.register(site.berth, each, site.image, "sleep", "600", portMappings=ports)
    site.ecs.create_service(serviceName=each, taskDefinition=daemon, schedulingStrategy="DAEMON")
    until("the daemon runs", lambda: running(site, each, 2))
    stale = set(copies(site, second))
    assert len(stale) == 2

    CUTS[how](second)

    until("its tasks run elsewhere", lambda: running(site, name, 2, apart_from=second), seconds=90)
    # Of less than a second nobody would be told.
    until("they have run on for a while", lambda: all(ran_on(task) > 2 for task in faults.describe(site.berth, stale)))
    assert set(copies(site, second)) == stale
    second.mend()

    until("the daemon is back", lambda: running(site, each, 2), seconds=90)
    now = set(running(site, name, 2)) | set(running(site, each, 2))
    until("every task runs once", lambda: copies(site) == dict.fromkeys(now, 1))
    until("the stale ones are told of", lambda: all("ran on for" in told_of(site, arn)[-1] for arn in stale))
    (ended,) = faults.describe(site.berth, site.ecs.list_tasks(serviceName=each, desiredStatus="STOPPED")["taskArns"])
    assert ended["taskArn"] in stale
    (again,) = [task for task in running(site, each, 2).values() if site.host_of(task) is second]
    assert ended["executionStoppedAt"] <= again["startedAt"]
    for arn in sorted(stale):
        print(f"{how}: {told_of(site, arn)[-1]}")


def test_delay_and_loss_neither_lose_nor_double_anything(site: Site) -> None:
    second = site.hosts[1]
    began = time.time()
    by = second.delay(150)
    second.lose(0.05)
    family = faults.register(site.berth, "rough", site.image, "sh", "-c", "sleep 1; exit 7")
    served(site, "steady", 2)

    started = site.ecs.start_task(taskDefinition=family, containerInstances=[second.instance] * 8)
    tasks = [task["taskArn"] for task in started["tasks"]]
    assert len(tasks) == 8, started["failures"]
    ended = faults.all_at(site.berth, "STOPPED", tasks, seconds=180)

    assert [task["containers"][0].get("exitCode") for task in ended] == [7] * 8
    assert Counter(started_on(second, began)) & Counter(tasks) == dict.fromkeys(tasks, 1), by
    # Bad as it is, the host was never given up.
    assert running(site, "steady", 2)
    assert site.ecs.list_tasks(serviceName="steady", desiredStatus="STOPPED")["taskArns"] == []
    second.mend()


def started_on(host: Host, since: float) -> list[str]:
    """The tasks whose container was started by the host's engine, once for each start."""
    events = host.engine.client.api.events(
        since=int(since), until=int(time.time()) + 1, filters={"event": "start"}, decode=True
    )
    return [event["Actor"]["Attributes"][TASK_LABEL] for event in events]


def test_a_batch_job_on_a_lost_host_is_tried_again_elsewhere(site: Site) -> None:
    batch = site.berth.client("batch")
    cluster = join_batch(site)
    batch.register_job_definition(
        jobDefinitionName="lost",
        type="container",
        containerProperties={
            "image": site.image,
            "command": ["sh", "-c", "test $AWS_BATCH_JOB_ATTEMPT != 1 || sleep 600"],
            "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "64"}],
        },
        retryStrategy={
            "attempts": 3,
            "evaluateOnExit": [
                {"onStatusReason": "Host EC2*", "action": "RETRY"},
                {"onReason": "*", "action": "EXIT"},
            ],
        },
    )
    job = batch.submit_job(jobName="lost", jobQueue="hosts", jobDefinition="lost")["jobId"]

    def seen() -> Any:
        return batch.describe_jobs(jobs=[job])["jobs"][0]

    until("the job runs", lambda: seen()["status"] == "RUNNING", seconds=90)
    instance = seen()["container"]["containerInstanceArn"]
    (host,) = [host for host in site.hosts if host.instance_in(cluster) == instance]

    host.lose_power()

    until("the job has ended well", lambda: seen()["status"] == "SUCCEEDED", seconds=90)
    lost, done = seen()["attempts"]
    assert lost["statusReason"].startswith("Host EC2 (instance")
    assert lost["container"]["containerInstanceArn"] == instance
    assert done["container"]["containerInstanceArn"] != instance
    host.mend()
    host.switch_on()


def join_batch(site: Site) -> str:
    """A job queue on the two hosts: agents of theirs join the cluster of a compute environment that is not managed."""
    batch = site.berth.client("batch")
    batch.create_compute_environment(computeEnvironmentName="hosts", type="UNMANAGED")

    def valid() -> str:
        (found,) = batch.describe_compute_environments(computeEnvironments=["hosts"])["computeEnvironments"]
        return str(found["ecsClusterArn"]).rpartition("/")[2] if found["status"] == "VALID" else ""

    cluster = until("the environment is valid", valid)
    for host in site.hosts:
        host.start_agent(site.token(), cluster=cluster)
    site.connected(cluster=cluster)
    order = [{"order": 1, "computeEnvironment": "hosts"}]
    batch.create_job_queue(jobQueueName="hosts", priority=1, computeEnvironmentOrder=order)
    until(
        "the queue is valid",
        lambda: batch.describe_job_queues(jobQueues=["hosts"])["jobQueues"][0]["status"] == "VALID",
    )
    return cluster


def test_a_revoked_host_is_out_and_its_agent_is_refused(site: Site) -> None:
    second = site.hosts[1]
    before = served(site, "revoked", 2)
    (left,) = [arn for arn, task in before.items() if site.host_of(task) is second]
    instance = second.instance

    said = site.berth.berth("agent", "revoke", instance)

    assert "Revoked" in said
    until("its task runs elsewhere", lambda: running(site, "revoked", 2, apart_from=second), seconds=60)
    until("its agent is refused", lambda: "UnrecognizedClientException" in second.log_end())
    assert second.agent_ended() is None
    (ended,) = faults.describe(site.berth, [left])
    assert ended["lastStatus"] == "STOPPED"
    assert instance not in site.ecs.list_container_instances()["containerInstanceArns"]
    # It comes back as another host, with a new token, and ends what it was told nothing of meanwhile.
    assert left in copies(site, second)
    second.kill_agent()
    second.join_anew(site.token())
    site.connected(second)
    assert second.instance != instance
    until("the stale copy has ended", lambda: left not in copies(site))
