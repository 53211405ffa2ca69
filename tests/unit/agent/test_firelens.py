"""FireLens: the router's configuration, its place in the order, and what those that log through it get."""

import io
import json
import tarfile
from typing import Any

import pytest

from agent.evict import evict
from agent.firelens_config import BadOptions, Output, RouterConfig, render_config
from agent.runtime import Refused
from agent.tasks.model import Phase
from agent.tasks.payload import read_task
from agent.tasks.reading import BadPayload
from agent.tasks.routers import RouterType
from tests.support.agent_process import container, task
from tests.support.fake_control_plane import CLUSTER, task_arn
from tests.unit.agent.calls import FakeCalls
from tests.unit.agent.host import MemoryHost
from tests.unit.agent.test_secrets import PASSWORD, ROLE, answer_secret, asm

FLUENTBIT = """\
[INPUT]
    Name forward
    unix_path /var/run/fluent.sock

[INPUT]
    Name forward
    Listen 0.0.0.0
    Port 24224

[INPUT]
    Name tcp
    Tag firelens-healthcheck
    Listen 127.0.0.1
    Port 8877

[FILTER]
    Name grep
    Match app-firelens*
    Exclude log ^debug

[FILTER]
    Name record_modifier
    Match *
    Record ecs_cluster default

@INCLUDE /extra.conf

[OUTPUT]
    Name null
    Match firelens-healthcheck

[OUTPUT]
    Name stdout
    Match app-firelens*
    Format json

"""
FLUENTD = """\
<source>
  @type unix
  path /var/run/fluent.sock
</source>

<source>
  @type forward
  bind 127.0.0.1
  port 24224
</source>

<filter app-firelens**>
  @type grep
  <regexp>
    key log
    pattern error
  </regexp>
</filter>

<filter **>
  @type record_transformer
  <record>
    ecs_cluster default
  </record>
</filter>

@include /extra.conf

<match app-firelens**>
  @type file
  path /logs
</match>

"""


def output(**options: str) -> Output:
    return Output(container="app", tag="app-firelens", options={k.replace("_", "-"): v for k, v in options.items()})


def test_fluent_bits_configuration() -> None:
    config = RouterConfig(
        type=RouterType.FLUENTBIT,
        listen="0.0.0.0",
        record={"ecs_cluster": "default"},
        include="/extra.conf",
        outputs=(output(Name="stdout", Format="json", exclude_pattern="^debug", log_driver_buffer_limit="8"),),
    )
    assert render_config(config) == FLUENTBIT


def test_fluentds_configuration() -> None:
    options = {"@type": "file", "path": "/logs", "include-pattern": "error"}
    config = RouterConfig(
        type=RouterType.FLUENTD,
        listen="127.0.0.1",
        record={"ecs_cluster": "default"},
        include="/extra.conf",
        outputs=(Output(container="app", tag="app-firelens", options=options),),
    )
    assert render_config(config) == FLUENTD


@pytest.mark.parametrize("options", [{"region": "x"}, {"Name": "x", "a b": "c"}, {"Name": "x\n[SERVICE]"}])
def test_options_that_make_no_output_are_refused(options: dict[str, str]) -> None:
    outputs = (Output(container="app", tag="app-firelens", options=options),)
    with pytest.raises(BadOptions, match="app"):
        render_config(RouterConfig(type=RouterType.FLUENTBIT, outputs=outputs))


def router(**options: str) -> dict[str, Any]:
    config = {"type": "fluentbit", "options": {k.replace("_", "-"): v for k, v in options.items()}}
    return container("router", "server", firelensConfiguration=config)


def app(name: str = "app", **members: Any) -> dict[str, Any]:
    log = {"LogConfig": {"Type": "awsfirelens", "Config": {"Name": "stdout", "log-driver-buffer-limit": "99"}}}
    return container(name, "server", hostConfig=log, **members)


@pytest.fixture
def calls(host: MemoryHost) -> FakeCalls:
    calls = FakeCalls()
    calls.answers["GetSecretValue"] = answer_secret
    host.inject(calls)
    return calls


def config_of(host: MemoryHost) -> str:
    with tarfile.open(fileobj=io.BytesIO(host.runtime.files_of("ecs-t1-router")["/fluent-bit/etc"])) as tar:
        file = tar.extractfile("fluent-bit.conf")
        assert file
        return file.read().decode()


def test_the_router_starts_first_and_the_app_logs_to_its_socket(host: MemoryHost, calls: FakeCalls) -> None:
    host.run("t1", app(), router())
    assert host.running() == ["router", "app"]
    body = host.runtime.body_of("ecs-t1-app")
    assert body["HostConfig"]["LogConfig"] == {
        "Type": "fluentd",
        "Config": {
            "fluentd-address": "unix:///volumes/ecs-t1-firelens/fluent.sock",
            "fluentd-async": "true",
            "fluentd-sub-second-precision": "true",
            "fluentd-buffer-limit": "99",
            "tag": "app-firelens-t1",
        },
    }
    address = host.runtime.inspect("ecs-t1-router").address
    assert {f"FLUENT_HOST={address}", "FLUENT_PORT=24224"} <= set(body["Env"])
    made = host.runtime.body_of("ecs-t1-router")
    assert made["HostConfig"]["Binds"] == ["ecs-t1-firelens:/var/run"]
    assert made["Volumes"] == {"/fluent-bit/etc": {}}
    config = config_of(host)
    assert f"Record ecs_task_arn {task_arn('t1')}" in config
    assert "Record ecs_task_definition family:7" in config


def test_in_awsvpc_programs_find_the_router_on_loopback(host: MemoryHost, calls: FakeCalls) -> None:
    eni = {"ipv4Addresses": [{"primary": True, "privateAddress": "10.233.0.9"}]}
    host.run("t1", app(), router(enable_ecs_log_metadata="false"), networkMode="awsvpc", elasticNetworkInterfaces=[eni])
    assert "FLUENT_HOST=127.0.0.1" in host.runtime.body_of("ecs-t1-app")["Env"]
    assert "Listen 127.0.0.1\n    Port 24224" in config_of(host)
    assert "Record" not in config_of(host)


def test_secret_options_are_variables_of_the_router(host: MemoryHost, calls: FakeCalls) -> None:
    secret = asm("api-key", target="LOG_DRIVER")
    host.run("t1", app(secrets=[secret]), router(), **ROLE)
    assert "api-key ${api_key_0}" in config_of(host)
    assert f"api_key_0={PASSWORD}" in host.runtime.body_of("ecs-t1-router")["Env"]
    assert PASSWORD not in str(host.runtime.body_of("ecs-t1-app"))
    assert PASSWORD not in config_of(host)


def test_the_router_stops_last_and_its_volume_goes(host: MemoryHost, calls: FakeCalls) -> None:
    specs = app(), router()
    host.run("t1", *specs)
    assert host.runtime.has_volume("ecs-t1-firelens")
    stopped: list[str] = []
    stop = host.runtime.stop
    host.runtime.stop = lambda c, grace: (stopped.append(host.runtime.inspect(c).name), stop(c, grace))[1]  # type: ignore[method-assign,func-returns-value]
    host.stop("t1", *specs)
    assert stopped == ["ecs-t1-app", "ecs-t1-router"]
    assert host.status("t1") is Phase.STOPPED
    assert not host.runtime.has_volume("ecs-t1-firelens")


@pytest.mark.parametrize("steps", range(14))
def test_a_kill_at_any_step_starts_each_once_with_its_configuration(
    host: MemoryHost, calls: FakeCalls, steps: int
) -> None:
    host.assign("t1", app(), router())
    for _ in range(steps):
        host.engine.step()
        host.executor.step()
    host.restart()
    host.run("t1", app(), router())
    assert host.status("t1") is Phase.RUNNING
    assert [host.runtime.starts_of(f"ecs-t1-{name}") for name in ("router", "app")] == [1, 1]
    assert "Match app-firelens*" in config_of(host)


def test_a_full_disk_of_the_engine_is_the_routers_reason(host: MemoryHost, calls: FakeCalls) -> None:
    host.runtime.fail_next("put", Refused("no space left on device"))
    host.run("t1", app(), router())
    assert host.status("t1") is Phase.STOPPED
    assert host.seen("t1", "router").reason == "ResourceInitializationError: no space left on device"
    assert host.running() == []
    assert not host.runtime.has_volume("ecs-t1-firelens")


def test_what_an_agent_leaves_goes_with_the_rest(host: MemoryHost, calls: FakeCalls) -> None:
    host.run("t1", app(), router())
    host.crash()
    (host.data / "agent.json").write_text(json.dumps({"id": "agent-1"}))
    assert evict(host.data, host.runtime) == 0
    assert not host.runtime.has_volume("ecs-t1-firelens")


def test_bad_options_end_the_task_and_say_why(host: MemoryHost, calls: FakeCalls) -> None:
    log = {"LogConfig": {"Type": "awsfirelens", "Config": {"region": "us-east-1"}}}
    host.run("t1", container("app", "server", hostConfig=log), router())
    assert host.status("t1") is Phase.STOPPED
    assert "missing output key Name" in host.seen("t1", "router").reason
    assert host.running() == []


@pytest.mark.parametrize(
    ("containers", "complaint"),
    [
        ([app()], "no container has a firelensConfiguration"),
        ([router(), {**router(), "name": "r2"}], "one at most"),
        ([{**app("router"), **{"firelensConfiguration": {"type": "fluentd"}}}], "cannot log by itself"),
        ([container("r", "server", firelensConfiguration={"type": "vector"})], "neither fluentd nor fluentbit"),
        ([router(config_file_type="file")], "go together"),
        ([router(config_file_type="http", config_file_value="x")], "neither file nor s3"),
        (
            [app(), {**router(), "dependsOn": [{"containerName": "app", "condition": "START"}]}],
            "wait for each other",
        ),
    ],
)
def test_routers_that_make_no_sense_are_refused(containers: list[dict[str, Any]], complaint: str) -> None:
    with pytest.raises(BadPayload, match=complaint):
        read_task(task("t1", *containers), seq=1, cluster=CLUSTER)


@pytest.mark.parametrize("kind", list(RouterType))
@pytest.mark.parametrize("options", [{}, {"log-driver-buffer-limit": "1024", "exclude-pattern": "debug"}])
def test_without_options_of_an_output_it_is_for_the_routers_own_file_to_say(
    kind: RouterType, options: dict[str, str]
) -> None:
    output = Output(container="app", tag="app-firelens", options=options)
    text = render_config(RouterConfig(type=kind, include="/own.conf", outputs=(output,)))
    assert "/own.conf" in text
    assert "[OUTPUT]" not in text and "<match" not in text
