"""FireLens on a real Docker Engine: a small router reads what the engine's log driver and a program send it."""

from typing import Any

import pytest

from tests.support.agent_bench import Bench
from tests.support.agent_process import awslogs, stopped

# A router in a few lines: it prints its configuration, and every printable run of bytes that it receives.
ROUTER = """
import re, selectors, socket, sys
print(open("/fluent-bit/etc/fluent-bit.conf").read(), flush=True)
waiting = selectors.DefaultSelector()
driver = socket.socket(socket.AF_UNIX); driver.bind("/var/run/fluent.sock")
program = socket.socket(); program.bind(("0.0.0.0", 24224))
for server in (driver, program):
    server.listen(); waiting.register(server, selectors.EVENT_READ, True)
while True:
    for key, _ in waiting.select():
        if key.data:
            waiting.register(key.fileobj.accept()[0], selectors.EVENT_READ, False)
        elif found := key.fileobj.recv(65536):
            print(*re.findall(rb"[ -~]{4,}", found), flush=True)
        else:
            waiting.unregister(key.fileobj)
"""
MACHINE = ("usr", "lib", "lib64")


def router(bench: Bench, **members: Any) -> dict[str, Any]:
    mounts = [{"sourceVolume": name, "containerPath": f"/{name}", "readOnly": True} for name in MACHINE]
    log = awslogs(group="/g", create_group="true", stream_prefix="p")
    host_config = {**log, "ReadonlyRootfs": True}
    config = {"type": "fluentbit", "options": {"enable-ecs-log-metadata": "true"}}
    return bench.container(
        "router",
        *("/usr/bin/python3", "-c", ROUTER),
        mountPoints=mounts,
        hostConfig=host_config,
        firelensConfiguration=config,
        **members,
    )


@pytest.mark.parametrize("user", ["", "65534:65534"])
def test_lines_reach_the_router_by_socket_and_port(bench: Bench, user: str) -> None:
    log = {"LogConfig": {"Type": "awsfirelens", "Config": {"Name": "stdout"}}}
    script = "echo by the driver; echo by the program | nc $FLUENT_HOST $FLUENT_PORT; exec sleep 600"
    volumes = [{"name": name, "type": "host", "host": {"sourcePath": f"/{name}"}} for name in MACHINE]
    task_id, payload = bench.run(
        bench.container("app", "sh", "-c", f"sleep 1; {script}", hostConfig=log),
        router(bench, config={"User": user}),
        volumes=volumes,
    )
    bench.plane.wait_for_report(task_id, "RUNNING")

    def routed() -> str:
        return "\n".join(bench.plane.events.get(f"p/router/{task_id}", []))

    bench.plane.wait_for(lambda: "by the driver" in routed() and "by the program" in routed())
    assert f"app-firelens-{task_id}" in routed()
    assert "Match app-firelens*" in routed()
    bench.plane.send_payload(stopped(payload), seq=3)
    bench.plane.wait_for_report(task_id, "STOPPED")
    bench.plane.wait_for(lambda: not bench.containers())
    bench.plane.wait_for(lambda: not [v for v in bench.engine.client.volumes.list() if task_id in v.name])
