"""A client that costs next to nothing: signed JSON 1.1 over connections that are kept, as the SDKs keep theirs."""

import http.client
import json
import time
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from bench.stage import Stage
from kit.aws.sigv4 import sign
from kit.clock import SystemClock, monotonic

# A server may hang up on one that nobody has used for longer.
KEPT_S = 30
REGION = "us-east-1"
TARGET = "AmazonEC2ContainerServiceV20141113"


class Client:
    """Calls ECS. Safe in many threads: each call has a connection to itself, which serves the next one after it."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._clock = SystemClock()
        self._idle: list[tuple[float, http.client.HTTPConnection]] = []

    def call(self, operation: str, **request: Any) -> Any:
        """One signed call; raises RuntimeError for anything but 200."""
        status, body = self.send(operation, json.dumps(request).encode())
        if status != 200:
            raise RuntimeError(f"{operation}: {status} {body[:300]!r}")
        return json.loads(body)

    def send(self, operation: str, payload: bytes) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"{TARGET}.{operation}"}
        headers |= sign(
            method="POST",
            url=self._stage.endpoint + "/",
            headers=headers,
            body=payload,
            access_key=self._stage.access_key,
            secret_key=self._stage.secret_key,
            service="ecs",
            region=REGION,
            at=self._clock.now(),
        )
        return self.raw("POST", "/", payload, headers)

    def raw(self, method: str, path: str, payload: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        connection = self._connection()
        connection.request(method, path, payload, headers)
        response = connection.getresponse()
        answer = response.status, response.read()
        self._idle.append((monotonic(), connection))
        return answer

    def _connection(self) -> http.client.HTTPConnection:
        while self._idle:
            # Two threads may find the same last one; one of them then takes the one before, or makes its own.
            with suppress(IndexError):
                idle_since, connection = self._idle.pop()
                if monotonic() - idle_since < KEPT_S:
                    return connection
                connection.close()
        parts = urlsplit(self._stage.endpoint)
        return http.client.HTTPConnection(parts.hostname or "", parts.port)

    def wait_for_host(self) -> None:
        while True:
            arns = self.call("ListContainerInstances")["containerInstanceArns"]
            hosts = self.call("DescribeContainerInstances", containerInstances=arns) if arns else {}
            if any(host["agentConnected"] for host in hosts.get("containerInstances", ())):
                return
            time.sleep(0.1)

    def wait_for_tasks(self, arns: list[str], status: str) -> list[dict[str, Any]]:
        """The tasks, once all have the status. Looks ten times a second, so as not to be what is measured."""
        while True:
            tasks: list[dict[str, Any]] = self.call("DescribeTasks", tasks=arns)["tasks"]
            if all(task["lastStatus"] == status for task in tasks):
                return tasks
            time.sleep(0.1)


def connect(stage: Stage) -> Client:
    return Client(stage)
