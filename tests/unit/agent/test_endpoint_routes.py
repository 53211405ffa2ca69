"""What containers are answered at the endpoints: by unguessable ids, in the ECS agent's words, and not too often."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.endpoints.ids import EndpointIds
from agent.endpoints.limits import BURST
from agent.endpoints.metadata import Machine
from agent.endpoints.routes import Routes
from agent.endpoints.server import Answer, Request
from agent.endpoints.statistics import Statistics
from agent.endpoints.views import Views
from agent.runtime import Details
from agent.tasks import messages as m
from agent.tasks.pausing import PAUSE_NAME
from agent.tasks.roles import read_role
from kit.clock import ManualClock
from tests.support.agent_process import container
from tests.support.fake_control_plane import CLUSTER, task_arn
from tests.unit.agent.calls import FakeCalls
from tests.unit.agent.host import MemoryHost

ROLE = {
    "credentialsId": "3b0d9a52-7e0f-4c1c-9a0e-000000000001",
    "roleArn": "arn:aws:iam::123456789012:role/worker",
    "accessKeyId": "ASIAFIRST",
    "secretAccessKey": "secret-one",
    "sessionToken": "token-one",
    "expiration": "2030-01-01T06:00:00Z",
}
NEWER = {**ROLE, "accessKeyId": "ASIASECOND", "secretAccessKey": "secret-two", "expiration": "2030-01-01T12:00:00Z"}


class Asked:
    """The routes over a host in memory; ``get`` is what a container gets."""

    def __init__(self, host: MemoryHost) -> None:
        self.host = host
        self.aws = FakeCalls()
        self.ids = EndpointIds(host.data)
        self.views = Views(runtime=host.runtime, clock=host.clock)
        self.make()

    def make(self) -> None:
        self.routes = Routes(
            tasks=lambda: self.host.engine.tasks(),
            ids=self.ids,
            views=self.views,
            statistics=Statistics(runtime=self.host.runtime, clock=self.host.clock),
            machine=lambda: Machine(zone="eu-west-1b"),
            aws=self.aws,
            clock=self.host.clock,
        )

    def id_of(self, task: str = "t1", name: str = "web") -> str:
        return self.ids.id_of(task_arn(task), name)

    def get(self, path: str, *, method: str = "GET", body: bytes = b"", query: str = "") -> Answer:
        answering = self.routes.answer(
            Request(method=method, path=path, body=body, query=query, source="169.254.172.2", user_agent="boto3")
        )
        return answering if isinstance(answering, Answer) else answering()

    def credentials(self) -> Any:
        return self.get(f"/v2/credentials/{ROLE['credentialsId']}")


@pytest.fixture
def asked(host: MemoryHost) -> Iterator[Asked]:
    yield Asked(host)


def test_credentials_are_those_of_the_role_in_the_form_that_sdks_read(asked: Asked) -> None:
    asked.host.run("t1", container("web", "server"), roleCredentials=ROLE)
    answer = asked.credentials()
    assert answer == Answer(
        200,
        {
            "RoleArn": ROLE["roleArn"],
            "AccessKeyId": "ASIAFIRST",
            "SecretAccessKey": "secret-one",
            "Token": "token-one",
            "Expiration": "2030-01-01T06:00:00Z",
        },
    )
    assert asked.get("/v1/credentials", query=f"id={ROLE['credentialsId']}") == answer


def test_renewed_credentials_take_the_place_of_the_old_ones_and_survive_a_restart(asked: Asked) -> None:
    asked.host.run("t1", container("web", "server"), roleCredentials=ROLE)
    kept: list[str] = []
    role = read_role(NEWER, "role")
    assert role is not None
    asked.host.engine.post(m.Renewed(task=task_arn("t1"), role=role, raw=NEWER, kept=lambda: kept.append("kept")))
    asked.host.settle()
    assert kept == ["kept"]
    assert asked.credentials().document["AccessKeyId"] == "ASIASECOND"
    asked.host.restart()
    assert asked.credentials().document["SecretAccessKey"] == "secret-two"
    # A payload that was on its way all the time does not bring the old ones back.
    asked.host.run("t1", container("web", "server"), roleCredentials=ROLE)
    assert asked.credentials().document["AccessKeyId"] == "ASIASECOND"


def test_a_repeated_payload_brings_newer_credentials(asked: Asked) -> None:
    asked.host.run("t1", container("web", "server"), roleCredentials=ROLE)
    asked.host.run("t1", container("web", "server"), roleCredentials=NEWER)
    assert asked.credentials().document["AccessKeyId"] == "ASIASECOND"


def test_credentials_for_a_task_that_is_gone_are_taken_and_forgotten(asked: Asked) -> None:
    kept: list[str] = []
    role = read_role(NEWER, "role")
    assert role is not None
    asked.host.engine.post(m.Renewed(task=task_arn("gone"), role=role, raw=NEWER, kept=lambda: kept.append("kept")))
    asked.host.settle()
    assert kept == ["kept"] and asked.credentials().status == 400


def test_credentials_end_with_the_task(asked: Asked) -> None:
    asked.host.reports.acknowledge = False
    asked.host.run("t1", container("web", "job"), roleCredentials=ROLE)
    asked.host.tick(11)
    answer = asked.credentials()
    assert answer.status == 400
    assert answer.document == {
        "code": "InvalidIdInRequest",
        "message": "CredentialsV2Request: Credentials not found",
        "HTTPErrorCode": 400,
    }


def test_secrets_are_on_the_disk_for_nobody_else_and_in_no_text(asked: Asked) -> None:
    asked.host.run("t1", container("web", "server"), roleCredentials=ROLE)
    [file] = (asked.host.data / "tasks").glob("*.json")
    assert file.stat().st_mode & 0o077 == 0
    [task] = asked.host.engine.tasks()
    assert "secret-one" not in repr(task) and "token-one" not in repr(task)


def test_container_and_task_tell_what_is_known(asked: Asked) -> None:
    asked.host.run(
        "t1",
        container("web", "server", cpu=128, memory=64, config={"Labels": {"mine": "1"}}),
        container("job", "failing", essential=False),
        serviceName="shop",
        launchType="EC2",
    )
    asked.host.tick(2)
    me = asked.get(f"/v4/{asked.id_of()}").document
    [task] = asked.host.engine.tasks()
    assert me["DockerId"] == task.containers["web"].runtime_id
    assert me["DockerName"] == "ecs-t1-web" and me["Limits"] == {"CPU": 128, "Memory": 64}
    assert me["Labels"]["mine"] == "1" and me["Labels"]["com.amazonaws.ecs.task-arn"] == task_arn("t1")
    assert "berth.agent" not in me["Labels"]
    assert (me["KnownStatus"], me["Type"], me["Networks"][0]["NetworkMode"]) == ("RUNNING", "NORMAL", "bridge")

    all_of_it = asked.get(f"/v4/{asked.id_of()}/task").document
    assert all_of_it["TaskARN"] == task_arn("t1")
    assert all_of_it["Cluster"] == CLUSTER.rsplit("/", 1)[-1]
    assert (all_of_it["AvailabilityZone"], all_of_it["ServiceName"]) == ("eu-west-1b", "shop")
    ended = next(one for one in all_of_it["Containers"] if one["Name"] == "job")
    assert (ended["KnownStatus"], ended["ExitCode"]) == ("STOPPED", 3)
    older = asked.get(f"/v3/{asked.id_of('t1', 'job')}/task").document
    assert "ServiceName" not in older and "ContainerARN" not in older["Containers"][0]


def test_tags_are_asked_of_the_control_plane_and_their_absence_is_told(asked: Asked) -> None:
    asked.host.run("t1", container("web", "server"))
    asked.aws.answers["ListTagsForResource"] = lambda body: {"tags": [{"key": "team", "value": "blue"}]}
    answer = asked.get(f"/v4/{asked.id_of()}/taskWithTags")
    assert answer.document["TaskTags"] == {"team": "blue"}
    assert asked.aws.bodies("ListTagsForResource") == [{"resourceArn": task_arn("t1")}]
    asked.aws.away = True
    answer = asked.get(f"/v4/{asked.id_of()}/taskWithTags")
    assert answer.status == 200 and "TaskTags" not in answer.document
    assert answer.document["Errors"][0]["ErrorField"] == "TaskTags"


def test_statistics_are_asked_once_a_second_and_tell_rates_from_the_second_on(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked.host.run("t1", container("web", "server"))
    [task] = asked.host.engine.tasks()
    samples: list[int] = []

    def statistics(runtime_id: str) -> dict[str, Any]:
        samples.append(len(samples))
        moved = 1000 * len(samples)
        return {
            "read": f"{len(samples)}",
            "cpu_stats": {"cpu_usage": {"total_usage": moved}},
            "networks": {"eth0": {"rx_bytes": moved, "tx_bytes": 2 * moved}},
        }

    monkeypatch.setattr(asked.host.runtime, "statistics", statistics)
    path = f"/v4/{asked.id_of()}/stats"
    first = asked.get(path).document
    assert asked.get(path).document == first and len(samples) == 1
    assert "network_rate_stats" not in first
    asked.host.clock.tick(seconds=2)
    second = asked.get(f"/v4/{asked.id_of()}/task/stats").document[task.containers["web"].runtime_id]
    assert second["network_rate_stats"] == {"rx_bytes_per_sec": 500.0, "tx_bytes_per_sec": 1000.0}
    assert second["precpu_stats"] == first["cpu_stats"] and second["preread"] == "1"


def test_the_traffic_of_a_task_is_told_once_among_its_containers(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    interface = {"ipv4Addresses": [{"primary": True, "privateAddress": "10.233.0.9"}]}
    both = (container("web", "server"), container("side", "server"))
    asked.host.run("t1", *both, networkMode="awsvpc", elasticNetworkInterfaces=[interface])
    [task] = asked.host.engine.tasks()
    moved = {task.containers[PAUSE_NAME].runtime_id: 1000}

    def statistics(runtime_id: str) -> dict[str, Any]:
        return {"read": "1", "networks": {"eth0": {"rx_bytes": moved.get(runtime_id, 7), "tx_bytes": 0}}}

    monkeypatch.setattr(asked.host.runtime, "statistics", statistics)
    path = f"/v4/{asked.id_of()}/task/stats"
    [pause, *told] = asked.get(path).document.values()
    assert "networks" not in pause
    assert [sample["networks"]["eth0"]["rx_bytes"] for sample in told] == [500, 500]
    asked.host.clock.tick(seconds=1)
    moved = dict.fromkeys(moved, 1600)
    [_, *told] = asked.get(path).document.values()
    assert [sample["network_rate_stats"]["rx_bytes_per_sec"] for sample in told] == [300, 300]


def test_the_engine_being_away_leaves_what_is_known(asked: Asked) -> None:
    asked.host.run("t1", container("web", "server"))
    asked.host.runtime.go_away()
    answer = asked.get(f"/v4/{asked.id_of()}/task")
    assert answer.status == 200 and answer.document["Containers"][0]["Name"] == "web"
    assert asked.get(f"/v4/{asked.id_of()}/stats") == Answer(200, None)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 404),
        ("/v4", 404),
        ("/v4/unknown", 404),
        ("/v4/unknown/task", 404),
        ("/v4/unknown/else", 404),
        ("/v2/metadata", 404),
        ("/v2/credentials/unknown", 400),
        ("/v2/credentials", 400),
        ("/api/unknown/task-protection/v1/state", 404),
        ("/api/unknown/task-protection/v2/state", 404),
    ],
)
def test_what_is_not_there_says_so(asked: Asked, path: str, status: int) -> None:
    asked.host.run("t1", container("web", "server"), roleCredentials=ROLE)
    assert asked.get(path).status == status
    assert asked.get(path, method="DELETE").status in (404, 405)


def test_a_task_may_ask_only_so_often_and_others_are_not_held_up(asked: Asked) -> None:
    asked.host.run("t1", container("web", "server"))
    asked.host.run("t2", container("web", "server"))
    mine, other = (f"/v4/{asked.id_of(task)}" for task in ("t1", "t2"))
    answers = [asked.get(mine).status for _ in range(int(BURST) + 5)]
    assert answers == [200] * int(BURST) + [429] * 5
    assert asked.get(other).status == 200
    asked.host.clock.tick(seconds=1)
    assert asked.get(mine).status == 200


def test_ids_are_the_same_after_a_restart_and_others_elsewhere(host: MemoryHost, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    again, elsewhere = EndpointIds(host.data), EndpointIds(tmp_path / "other")
    mine = EndpointIds(host.data).id_of("task", "web")
    assert again.id_of("task", "web") == mine
    assert len({mine, elsewhere.id_of("task", "web"), again.id_of("task", "job"), again.id_of("task2", "web")}) == 4
    assert (host.data / "endpoint-key").stat().st_mode & 0o077 == 0


class TestProtection:
    """The protection endpoint, as the ECS agent answers it."""

    def state(self, asked: Asked, method: str = "GET", body: bytes = b"") -> Answer:
        return asked.get(f"/api/{asked.id_of()}/task-protection/v1/state", method=method, body=body)

    def test_it_asks_with_the_tasks_own_role_and_tells_what_came_of_it(self, asked: Asked) -> None:
        asked.host.run("t1", container("web", "server"), roleCredentials=ROLE)
        told = {"taskArn": task_arn("t1"), "protectionEnabled": True, "expirationDate": 1893456000.5}
        asked.aws.answers["UpdateTaskProtection"] = lambda body: {"protectedTasks": [told]}
        answer = self.state(asked, "PUT", b'{"ProtectionEnabled":true,"ExpiresInMinutes":60}')
        assert answer == Answer(
            200,
            {
                "protection": {
                    "ExpirationDate": "2030-01-01T00:00:00.500Z",
                    "ProtectionEnabled": True,
                    "TaskArn": task_arn("t1"),
                }
            },
        )
        [body] = asked.aws.bodies("UpdateTaskProtection")
        assert body == {
            "cluster": CLUSTER,
            "tasks": [task_arn("t1")],
            "protectionEnabled": True,
            "expiresInMinutes": 60,
        }
        assert asked.aws.keys[-1] is not None and asked.aws.keys[-1].access_key == "ASIAFIRST"
        told["protectionEnabled"] = False
        told.pop("expirationDate")
        asked.aws.answers["GetTaskProtection"] = lambda body: {"protectedTasks": [told]}
        assert self.state(asked).document["protection"]["ExpirationDate"] is None

    def test_failures_and_errors_have_their_own_forms(self, asked: Asked) -> None:
        asked.host.run("t1", container("web", "server"), roleCredentials=ROLE)
        failure = {"arn": task_arn("t1"), "reason": "TASK_NOT_VALID"}
        asked.aws.answers["GetTaskProtection"] = lambda body: {"failures": [failure]}
        assert self.state(asked).document == {
            "failure": {"Arn": task_arn("t1"), "Detail": None, "Reason": "TASK_NOT_VALID"}
        }
        asked.aws.refuse("GetTaskProtection", "AccessDeniedException", "not you", status=400)
        refused = self.state(asked)
        assert refused.status == 400
        assert refused.document == {
            "error": {"Arn": task_arn("t1"), "Code": "AccessDeniedException", "Message": "not you"}
        }
        asked.aws.away = True
        assert self.state(asked).status == 504

    def test_without_a_role_it_is_refused(self, asked: Asked) -> None:
        asked.host.run("t1", container("web", "server"))
        assert self.state(asked).status == 403
        assert self.state(asked, "PUT", b'{"ProtectionEnabled":true}').document["error"]["Code"] == (
            "AccessDeniedException"
        )

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"[]",
            b"{",
            b"{}",
            b'{"ProtectionEnabled":"yes"}',
            b'{"ProtectionEnabled":1}',
            b'{"ProtectionEnabled":null}',
            b'{"ProtectionEnabled":true,"ExpiresInMinutes":"60"}',
            b'{"ProtectionEnabled":true,"ExpiresInMinutes":true}',
            b'{"ProtectionEnabled":true,"Extra":1}',
            b"\xff" * 20,
            b"[" * 16000,
        ],
    )
    def test_nonsense_is_refused_before_anybody_is_asked(self, asked: Asked, body: bytes) -> None:
        asked.host.run("t1", container("web", "server"), roleCredentials=ROLE)
        answer = self.state(asked, "PUT", body)
        assert (answer.status, answer.document["error"]["Code"]) == (400, "InvalidParameterException")
        assert not asked.aws.heard


def test_views_are_remembered_for_a_few_seconds(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    asked.host.run("t1", container("web", "server"))
    looks: list[str] = []

    def details(runtime_id: str) -> Details:
        looks.append(runtime_id)
        return Details(image_id="sha256:1", addresses={"bridge": "172.17.0.9"})

    monkeypatch.setattr(asked.host.runtime, "details", details)
    for _ in range(3):
        assert asked.get(f"/v4/{asked.id_of()}").document["ImageID"] == "sha256:1"
    assert len(looks) == 1
    asked.host.clock.tick(seconds=timedelta(seconds=6).total_seconds())
    assert asked.get(f"/v4/{asked.id_of()}").document["Networks"] == [
        {"NetworkMode": "bridge", "IPv4Addresses": ["172.17.0.9"]}
    ]
    assert len(looks) == 2
    assert isinstance(asked.host.clock, ManualClock)
