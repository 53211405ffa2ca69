"""A host of the official agent, as far as its engine goes: pulls, creates, starts and stops what payloads ask for.

What a payload says of a container goes to the engine as the agent hands it on: the two documents as they stand, and
around them what the agent adds of its own. So the engine itself judges whether a payload makes sense.
"""

import base64
import json
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import websockets
from docker import APIClient

from tests.support.official_agent import ECR_TARGET, OfficialAgent, Socket

MIB = 1024 * 1024


class OfficialHost:
    """Runs the tasks of one agent on one engine, until the control plane hangs up."""

    def __init__(self, agent: OfficialAgent, engine: APIClient) -> None:
        self._agent, self._engine = agent, engine
        self._containers: dict[str, list[tuple[Mapping[str, Any], str]]] = {}
        self._threads: list[threading.Thread] = []
        self.failures: list[Exception] = []

    def start(self) -> None:
        """Connect and serve on a thread of its own."""
        self._begin(self._serve)

    def join(self) -> None:
        """Wait for everything that was begun."""
        for thread in self._threads:
            thread.join(timeout=60)

    def _begin(self, work: Any, *given: Any) -> None:
        def run() -> None:
            try:
                work(*given)
            except websockets.ConnectionClosed:
                return
            except Exception as error:
                self.failures.append(error)

        thread = threading.Thread(target=run)
        self._threads.append(thread)
        thread.start()

    def _serve(self) -> None:
        with self._agent.acs() as line:
            while True:
                kind, message = line.hear()
                if kind == "HeartbeatMessage":
                    line.say("HeartbeatAckRequest", {"messageId": message["messageId"]})
                elif kind == "PayloadMessage":
                    self._take(line, message)

    def _take(self, line: Socket, payload: Mapping[str, Any]) -> None:
        for task in payload["tasks"]:
            if task["desiredStatus"] == "STOPPED":
                for container, runtime_id in self._containers.get(task["arn"], ()):
                    self._begin(self._engine.stop, runtime_id, container.get("stopTimeout", 30))
            elif task["arn"] not in self._containers:
                self._containers[task["arn"]] = []
                self._begin(self._run, task)
        line.acknowledge(payload)

    def _run(self, task: Mapping[str, Any]) -> None:
        began = _now()
        for container in task["containers"]:
            self._pull(container)
        pulled = {"pullStartedAt": began, "pullStoppedAt": _now()}
        started = [(container, self._start(task, container)) for container in task["containers"]]
        self._containers[task["arn"]] = started
        states = [self._state(container, runtime_id) for container, runtime_id in started]
        self._report(task, "RUNNING", states, **pulled)
        codes = [self._engine.wait(runtime_id)["StatusCode"] for _, runtime_id in started]
        ended = [{**state, "status": "STOPPED", "exitCode": code} for state, code in zip(states, codes, strict=True)]
        self._report(task, "STOPPED", ended, **pulled, executionStoppedAt=_now())

    def _pull(self, container: Mapping[str, Any]) -> None:
        data = container["registryAuthentication"]["ecrAuthData"]
        image, path = container["image"], data["endpointOverride"].removeprefix(self._agent.endpoint) + "/"
        request = {"registryIds": [data["registryId"]]}
        found = self._agent.call("GetAuthorizationToken", request, target=ECR_TARGET, path=path)
        token = found["authorizationData"][0]
        # Otherwise the agent calls the authorization data malformed.
        assert f"https://{image}".startswith(token["proxyEndpoint"])
        user, _, password = base64.b64decode(token["authorizationToken"]).decode().partition(":")
        login = {"username": user, "password": password, "serveraddress": token["proxyEndpoint"]}
        name, _, tag = image.rpartition(":")
        for line in self._engine.pull(name, tag=tag, auth_config=login, stream=True, decode=True):
            assert "error" not in line, line

    def _start(self, task: Mapping[str, Any], container: Mapping[str, Any]) -> str:
        docker = container["dockerConfig"]
        ports = {f"{one['containerPort']}/{one['protocol']}": one for one in container.get("portMappings", ())}
        host = {
            **json.loads(docker["hostConfig"]),
            "Memory": container.get("memory", 0) * MIB,
            "CpuShares": max(container.get("cpu", 0), 2),
            "NetworkMode": task["networkMode"],
            "PortBindings": {port: [{"HostPort": str(one.get("hostPort", 0))}] for port, one in ports.items()},
        }
        config = {
            **json.loads(docker["config"]),
            "Image": container["image"],
            "Cmd": container.get("command"),
            "Entrypoint": container.get("entryPoint"),
            "Env": [f"{name}={value}" for name, value in container.get("environment", {}).items()],
            "ExposedPorts": {port: {} for port in ports},
            "HostConfig": host,
        }
        made: dict[str, str] = self._engine.create_container_from_config(config)
        self._engine.start(made["Id"])
        return made["Id"]

    def _state(self, container: Mapping[str, Any], runtime_id: str) -> dict[str, Any]:
        published = self._engine.inspect_container(runtime_id)["NetworkSettings"]["Ports"] or {}
        bindings = [
            {
                "bindIP": place["HostIp"],
                "containerPort": int(port.partition("/")[0]),
                "hostPort": int(place["HostPort"]),
                "protocol": port.partition("/")[2],
            }
            for port, places in published.items()
            for place in places or ()
        ]
        state = {"containerName": container["name"], "runtimeId": runtime_id, "status": "RUNNING"}
        return {**state, "networkBindings": bindings}

    def _report(self, task: Mapping[str, Any], status: str, containers: list[dict[str, Any]], **times: float) -> None:
        change = {"cluster": self._agent.cluster, "task": task["arn"], "status": status, "reason": "", **times}
        self._agent.call("SubmitTaskStateChange", {**change, "containers": containers})


def _now() -> float:
    return datetime.now(UTC).timestamp()
