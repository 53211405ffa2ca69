"""Starting an agent: settings, identity, the lock, and registering."""

import json
from pathlib import Path
from typing import Any

import pytest

from agent.control.aws import ApiError
from agent.control.registration import NoCluster, Offer, register, render_registration
from agent.identity import AlreadyRunning, DataLock, Identity, IdentityFile, OtherCluster, cluster_arn
from agent.main import main
from agent.runtime import EngineInfo
from agent.runtime.simulated import SimulatedRuntime
from agent.settings import AgentSettings, BadSettings, build_parser, read_settings
from kit.files import write_private
from tests.support.fake_control_plane import CLUSTER, ENVIRONMENT, INSTANCE, FakeControlPlane
from tests.unit.agent.calls import FakeCalls

ENGINE = EngineInfo(version="20.10", architecture="aarch64", cpus=2, memory_mib=4096)
OFFER = Offer(cpu=2048, memory=4096, reserved_ports=(22,), attributes={"zone": "a"})


def settings(data: Path, *options: str, environment: dict[str, str] = ENVIRONMENT) -> AgentSettings:
    given = ["--endpoint", "http://127.0.0.1:7070", "--data", str(data), *options]
    return read_settings(build_parser().parse_args(given), environment)


def test_settings_are_read_from_options_and_environment(tmp_path: Path) -> None:
    read = settings(tmp_path, "--attribute", "stack=x=y", "--reserved-ports", "22,80", "--cpu", "512")
    assert read.attributes == {"stack": "x=y"}
    assert read.reserved_ports == (22, 80)
    assert (read.cpu, read.memory, read.cluster, read.region) == (512, 0, "default", "us-east-1")
    assert read.awsvpc_cidr == "10.233.0.0/20"
    assert ENVIRONMENT["AWS_SECRET_ACCESS_KEY"] not in repr(read)


def test_credentials_may_come_from_a_private_file(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    path.write_text(json.dumps({"access_key_id": "AK", "secret_access_key": "SK", "region": "eu-west-1"}))
    path.chmod(0o600)
    read = settings(tmp_path, environment={})
    assert (read.keys.access_key, read.keys.secret_key, read.region) == ("AK", "SK", "eu-west-1")
    path.chmod(0o644)
    with pytest.raises(BadSettings, match="can be read by others"):
        settings(tmp_path, environment={})


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--endpoint", "ftp://x"], "AWS_ENDPOINT_URL"),
        (["--endpoint", "http://x:99999"], "AWS_ENDPOINT_URL"),
        (["--endpoint", "https://["], "AWS_ENDPOINT_URL"),
        (["--cluster", "a b"], "--cluster"),
        (["--cpu", "-1"], "--cpu and --memory"),
        (["--attribute", "=x"], "--attribute"),
        (["--awsvpc-cidr", "10.0.0.1/20"], "--awsvpc-cidr"),
        (["--reserved-ports", "22,x"], "--reserved-ports"),
        (["--gpu", "all"], "--gpu"),
        (["--gpu", "a", "--gpu", "none"], "--gpu"),
        (["--gpu", "a,b"], "--gpu"),
        (["--resource", "licence"], "--resource"),
        (["--resource", "licence=-1"], "--resource"),
        (["--resource", "licence=1.5"], "--resource"),
        (["--resource", "two words=1"], "--resource"),
        (["--resource", "MEMORY=1"], "--resource: MEMORY"),
        (["--resource", "licence=1", "--resource", "licence=2"], "--resource: licence is given twice"),
        (["--reserved-ports", "70000"], "--reserved-ports"),
    ],
)
def test_bad_settings_are_named(tmp_path: Path, options: list[str], complaint: str) -> None:
    with pytest.raises(BadSettings, match=complaint):
        settings(tmp_path, *options)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"absent\.pem holds no certificates: No such file"):
        settings(tmp_path, environment={**ENVIRONMENT, "AWS_CA_BUNDLE": str(tmp_path / "absent.pem")})
    (tmp_path / "words").write_text("no certificates")
    with pytest.raises(BadSettings, match="words holds no certificates"):
        settings(tmp_path, environment={**ENVIRONMENT, "AWS_CA_BUNDLE": str(tmp_path / "words")})
    with pytest.raises(BadSettings, match=r"words/credentials\.json: Not a directory"):
        settings(tmp_path / "words")


def test_without_credentials_the_process_ends_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    assert main(["--endpoint", "http://127.0.0.1:1", "--data", str(tmp_path)]) == 2
    assert "AWS_ACCESS_KEY_ID" in capsys.readouterr().err


def test_a_data_directory_is_worked_on_by_one_agent(tmp_path: Path) -> None:
    lock = DataLock(tmp_path)
    with pytest.raises(AlreadyRunning, match=str(tmp_path)):
        DataLock(tmp_path)
    lock.release()
    DataLock(tmp_path).release()


def test_what_a_killed_agent_had_not_written_to_its_end_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (tmp_path, tmp_path / "tasks", tmp_path / "logs"):
        folder.mkdir(exist_ok=True)
        (folder / "kept.json").write_text("kept")
        (folder / ".hidden").write_text("somebody's")
        with monkeypatch.context() as patched:
            # Killed before the file is put in its place: nobody tidies up.
            patched.setattr(Path, "replace", killed)
            patched.setattr(Path, "unlink", killed)
            with pytest.raises(KeyboardInterrupt):
                write_private(folder / "kept.json", "secret")
        assert len(list(folder.glob(".*"))) == 2
    DataLock(tmp_path).release()
    for folder in (tmp_path, tmp_path / "tasks", tmp_path / "logs"):
        assert [path.name for path in folder.glob(".*")] == [".hidden"]
        assert (folder / "kept.json").read_text() == "kept"


def killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_an_identity_is_kept_and_belongs_to_one_cluster(tmp_path: Path) -> None:
    file = IdentityFile(tmp_path)
    identity = file.load("default")
    assert file.load("default") == identity
    assert (tmp_path / "agent.json").stat().st_mode & 0o777 == 0o600
    with pytest.raises(OtherCluster, match="belongs to an agent of cluster default"):
        file.load("other")
    (tmp_path / "agent.json").write_text("{")
    with pytest.raises(OtherCluster, match="cannot be read"):
        file.load("default")


def registered(body: Any) -> dict[str, Any]:
    return {"containerInstance": {"containerInstanceArn": body.get("containerInstanceArn", INSTANCE)}}


def test_registering_says_what_the_host_offers(tmp_path: Path) -> None:
    body = render_registration(Identity(id="a", cluster="c", token="tok"), OFFER, ENGINE)
    assert body["clientToken"] == "tok"
    assert {"name": "berth.registration", "value": "tok"} in body["attributes"]
    resources = {resource["name"]: resource for resource in body["totalResources"]}
    assert resources["CPU"]["integerValue"] == 2048
    assert resources["PORTS"]["stringSetValue"] == ["22"]
    attributes = {a["name"]: a.get("value") for a in body["attributes"]}
    assert attributes["ecs.os-type"] == "linux"
    assert attributes["ecs.cpu-architecture"] == "arm64"
    assert attributes["zone"] == "a"
    assert "ecs.capability.task-eni" in attributes
    assert "containerInstanceArn" not in body


def test_devices_and_resources_are_offered_as_they_were_named(tmp_path: Path) -> None:
    assert settings(tmp_path).gpus is None
    assert settings(tmp_path, "--gpu", "none").gpus == ()
    read = settings(tmp_path, "--gpu", "b", "--gpu", "a", "--resource", "licence=3", "--resource", f"scratch={2**40}")
    offer = Offer(cpu=1, memory=1, gpus=read.gpus or (), resources=read.resources)
    body = render_registration(Identity(id="a", cluster="c", token="tok"), offer, ENGINE)
    assert body["totalResources"][4:] == [
        {"name": "GPU", "type": "STRINGSET", "stringSetValue": ["b", "a"]},
        {"name": "licence", "type": "INTEGER", "integerValue": 3},
        {"name": "scratch", "type": "LONG", "longValue": 2**40},
    ]
    plain = render_registration(Identity(id="a", cluster="c", token="tok"), OFFER, ENGINE)
    assert "GPU" not in {resource["name"] for resource in plain["totalResources"]}


def test_the_arn_is_kept_and_given_again(tmp_path: Path) -> None:
    calls, file = FakeCalls(), IdentityFile(tmp_path)
    calls.answers["RegisterContainerInstance"] = registered
    first = register(calls, file.load("default"), file, OFFER, ENGINE)
    assert first.container_instance == INSTANCE
    register(calls, file.load("default"), file, OFFER, ENGINE)
    assert calls.bodies("RegisterContainerInstance")[1]["containerInstanceArn"] == INSTANCE


def test_a_missing_default_cluster_is_made(tmp_path: Path) -> None:
    calls, file = FakeCalls(), IdentityFile(tmp_path)
    calls.answers["RegisterContainerInstance"] = registered
    calls.refuse("RegisterContainerInstance", "ClusterNotFoundException")
    register(calls, file.load("default"), file, OFFER, ENGINE)
    assert calls.bodies("CreateCluster") == [{"clusterName": "default"}]
    calls.refuse("RegisterContainerInstance", "ClusterNotFoundException")
    with pytest.raises(NoCluster, match=r"cluster other is not found .*aws ecs create-cluster --cluster-name other"):
        register(calls, Identity(id="a", cluster="other", token="t"), file, OFFER, ENGINE)
    assert len(calls.bodies("CreateCluster")) == 1, "only the default one is made"


def test_an_agent_of_a_cluster_that_is_not_there_ends_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("agent.app.DockerRuntime", lambda *, clock, host: SimulatedRuntime(clock=clock))
    monkeypatch.setattr("agent.main.signal.signal", lambda *_: None)
    with FakeControlPlane() as plane:
        plane.refuse_next("RegisterContainerInstance", "ClusterNotFoundException")
        code = main(["--endpoint", plane.endpoint, "--data", str(tmp_path), "--cluster", "nope"])
    assert code == 4
    assert "agent: cluster nope is not found (ClusterNotFoundException)" in capsys.readouterr().err
    DataLock(tmp_path).release()


def test_an_arn_the_control_plane_has_forgotten_is_let_go(tmp_path: Path) -> None:
    calls, file = FakeCalls(), IdentityFile(tmp_path)
    calls.answers["RegisterContainerInstance"] = registered
    old = file.registered(file.load("default"), "arn:old")
    message = "The referenced container instance was not found."
    calls.refuse("RegisterContainerInstance", "InvalidParameterException", message)
    new = register(calls, old, file, OFFER, ENGINE)
    [body] = calls.bodies("RegisterContainerInstance")
    assert "containerInstanceArn" not in body
    assert body["clientToken"] != old.token
    assert (new.id, new.container_instance) == (old.id, INSTANCE)


def test_a_refused_size_makes_no_second_instance(tmp_path: Path) -> None:
    calls, file = FakeCalls(), IdentityFile(tmp_path)
    old = file.registered(file.load("default"), "arn:old")
    calls.refuse("RegisterContainerInstance", "ClientException", "has tasks that need more than it registers")
    with pytest.raises(ApiError):
        register(calls, old, file, OFFER, ENGINE)
    assert file.load("default") == old


def test_the_clusters_arn_follows_from_the_instances() -> None:
    assert cluster_arn(Identity(id="a", cluster="default", token="t", container_instance=INSTANCE)) == CLUSTER
    assert cluster_arn(Identity(id="a", cluster="default", token="t")) == "default"
