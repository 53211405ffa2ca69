"""The engine's create request: every member of the payload ends up where the engine looks for it."""

from typing import Any

from agent.tasks.payload import read_task
from agent.tasks.render import Host, ranges_to_pick, render_container
from agent.tasks.spec import TaskSpec
from tests.support.agent_process import awslogs, container, task
from tests.support.fake_control_plane import CLUSTER, task_arn

HOST = Host(agent_id="a1")


def spec_of(*containers: dict[str, Any], **members: Any) -> TaskSpec:
    return read_task(task("t1", *containers, **members), seq=1, cluster=CLUSTER)


def rendered(*containers: dict[str, Any], host: Host = HOST, index: int = 0, **members: Any) -> dict[str, Any]:
    spec = spec_of(*containers, **members)
    return render_container(spec, spec.containers[index], "resolved:1", host)


def test_the_process_is_the_one_asked_for() -> None:
    body = rendered(
        container(
            "web",
            "image",
            "serve",
            entryPoint=["/entry"],
            environment={"A": "1"},
            config={"User": "nobody", "WorkingDir": "/srv", "Labels": {"own": "yes"}, "Env": ["B=2"]},
        )
    )
    assert (body["Image"], body["Cmd"], body["Entrypoint"]) == ("resolved:1", ["serve"], ["/entry"])
    assert (body["User"], body["WorkingDir"]) == ("nobody", "/srv")
    assert sorted(body["Env"]) == ["A=1", "AWS_EXECUTION_ENV=AWS_ECS_EC2", "B=2"]
    assert body["Labels"] == {
        "own": "yes",
        "com.amazonaws.ecs.task-arn": task_arn("t1"),
        "com.amazonaws.ecs.container-name": "web",
        "com.amazonaws.ecs.cluster": CLUSTER,
        "com.amazonaws.ecs.task-definition-family": "family",
        "com.amazonaws.ecs.task-definition-version": "7",
        "berth.agent": "a1",
    }


def test_the_limits_of_the_container_win_over_those_of_the_task() -> None:
    host = rendered(container("web", "i", cpu=256, memory=100), cpu=0.5, memory=512)["HostConfig"]
    assert (host["CpuShares"], host["Memory"]) == (256, 100 << 20)
    assert (host["CpuPeriod"], host["CpuQuota"]) == (100_000, 50_000)
    assert rendered(container("web", "i"), memory=512)["HostConfig"]["Memory"] == 512 << 20
    assert "Memory" not in rendered(container("web", "i"))["HostConfig"]
    assert rendered(container("web", "i"))["HostConfig"]["CpuShares"] == 2


def test_a_bounded_capacity_bounds_all_containers_together() -> None:
    bounded = Host(agent_id="a1", cgroup_parent="/berth/c1")
    host = rendered(container("web", "i"), cpu=0.25, memory=512, host=bounded)["HostConfig"]
    assert host["CgroupParent"] == "/berth/c1"
    assert "Memory" not in host
    assert "CpuQuota" not in host


def test_ports_are_published_in_bridge_mode_alone() -> None:
    web = container(
        "web", "i", portMappings=[{"containerPort": 80, "hostPort": 0}, {"containerPort": 81, "hostPort": 9}]
    )
    body = rendered(web)
    assert body["HostConfig"]["PortBindings"] == {"80/tcp": [{"HostPort": ""}], "81/tcp": [{"HostPort": "9"}]}
    assert body["ExposedPorts"] == {"80/tcp": {}, "81/tcp": {}}
    assert "PortBindings" not in rendered(web, networkMode="host")["HostConfig"]


def test_a_range_is_bound_to_as_many_ports_of_the_host_in_a_row() -> None:
    ports = [{"containerPortRange": "80-82", "protocol": "udp"}, {"containerPort": 90, "hostPort": 9}]
    spec = spec_of(container("web", "i", portMappings=ports))
    [web] = spec.containers
    [wanted] = ranges_to_pick(spec, web)
    body = render_container(spec, web, "i", HOST, {wanted: 50000})
    assert body["HostConfig"]["PortBindings"] == {
        "80/udp": [{"HostPort": "50000"}],
        "81/udp": [{"HostPort": "50001"}],
        "82/udp": [{"HostPort": "50002"}],
        "90/tcp": [{"HostPort": "9"}],
    }
    assert body["ExposedPorts"].keys() == body["HostConfig"]["PortBindings"].keys()
    assert ranges_to_pick(spec_of(container("web", "i", portMappings=ports), networkMode="host"), web) == ()


def test_gpus_are_asked_of_nvidias_driver_and_named_to_the_process() -> None:
    web = container("web", "i", environment={"NVIDIA_VISIBLE_DEVICES": "all"})
    associations = [{"type": "gpu", "name": name, "containers": ["web"]} for name in ("GPU-b", "GPU-a")]
    body = rendered(web, associations=associations)
    assert body["HostConfig"]["DeviceRequests"] == [
        {"Driver": "nvidia", "DeviceIDs": ["GPU-b", "GPU-a"], "Capabilities": [["gpu"]]}
    ]
    assert "NVIDIA_VISIBLE_DEVICES=GPU-b,GPU-a" in body["Env"]
    assert "DeviceRequests" not in rendered(container("web", "i"))["HostConfig"]


def test_in_awsvpc_mode_the_pause_container_owns_what_belongs_to_the_network() -> None:
    eni = {"ipv4Addresses": [{"primary": True, "privateAddress": "10.233.0.9"}], "macAddress": "02:00:00:00:00:09"}
    web = container("web", "i", config={"Hostname": "web"}, hostConfig={"Dns": ["10.0.0.2"], "ExtraHosts": ["a:1"]})
    members = {"networkMode": "awsvpc", "elasticNetworkInterfaces": [eni]}
    pause = rendered(web, **members)
    assert pause["NetworkingConfig"]["EndpointsConfig"] == {
        "berth-awsvpc": {"IPAMConfig": {"IPv4Address": "10.233.0.9"}}
    }
    assert (pause["Hostname"], pause["MacAddress"]) == ("web", "02:00:00:00:00:09")
    assert pause["HostConfig"]["Dns"] == ["10.0.0.2"]
    body = rendered(web, index=1, **members)
    assert body["HostConfig"]["NetworkMode"] == "container:ecs-t1-internalecspause"
    assert not {"Dns", "ExtraHosts"} & body["HostConfig"].keys()
    assert "Hostname" not in body


def test_an_awsvpc_task_is_called_what_its_address_is_called() -> None:
    eni = {"ipv4Addresses": [{"privateAddress": "10.233.0.9"}], "privateDnsName": "ip-10-233-0-9.berth.internal"}
    members = {"networkMode": "awsvpc", "elasticNetworkInterfaces": [eni]}
    assert rendered(container("web", "i"), **members)["Hostname"] == "ip-10-233-0-9.berth.internal"


def test_awslogs_becomes_a_bounded_buffer_and_other_drivers_pass() -> None:
    shipped = rendered(container("web", "i", hostConfig=awslogs(group="g")))["HostConfig"]["LogConfig"]
    assert shipped["Type"] == "json-file"
    assert set(shipped["Config"]) == {"max-size", "max-file"}
    syslog = {"LogConfig": {"Type": "syslog", "Config": {"syslog-address": "udp://1.2.3.4:1"}}}
    assert rendered(container("web", "i", hostConfig=syslog))["HostConfig"]["LogConfig"] == syslog["LogConfig"]


def test_mounts_links_and_shared_volumes_name_this_tasks_containers() -> None:
    app = container(
        "app",
        "i",
        mountPoints=[
            {"sourceVolume": "own", "containerPath": "/own"},
            {"sourceVolume": "host", "containerPath": "/h", "readOnly": True},
            {"sourceVolume": "shared", "containerPath": "/s"},
        ],
        links=["db:database"],
        volumesFrom=[{"sourceContainer": "db", "readOnly": True}],
    )
    volumes = [
        {"name": "own", "type": "host", "host": {}},
        {"name": "host", "type": "host", "host": {"sourcePath": "/srv"}},
        {"name": "shared", "type": "docker", "dockerVolumeConfiguration": {"scope": "shared"}},
    ]
    host = rendered(app, container("db", "i"), volumes=volumes)["HostConfig"]
    assert host["Binds"] == ["ecs-t1-own:/own", "/srv:/h:ro", "shared:/s"]
    assert host["Links"] == ["ecs-t1-db:database"]
    assert host["VolumesFrom"] == ["ecs-t1-db:ro"]
