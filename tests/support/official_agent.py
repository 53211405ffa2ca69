"""The official ECS agent's side of the wire, as its public sources write it: its calls, sockets and signatures.

Signed by botocore, which shares no code with Berth. Like Go's ``url.Values``, the sockets' URLs spell a blank as a
plus, which is signed as ``%20``; and every frame of telemetry is preceded by the headers of a signature of its own.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import requests
import websockets
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from websockets.sync.client import ClientConnection, connect

from kit.aws.sigv4 import Key
from tests.support.official_model import ACS, TCS, understand

VERSION, HASH, DOCKER = "1.99.0", "*b1a2c3d4", "20.10.24"
TARGET = "AmazonEC2ContainerServiceV20141113"
ECR_TARGET = "AmazonEC2ContainerRegistry_V20150921"
CAPABILITIES = (
    "com.amazonaws.ecs.capability.privileged-container",
    "com.amazonaws.ecs.capability.docker-remote-api.1.17",
    "com.amazonaws.ecs.capability.docker-remote-api.1.18",
    "com.amazonaws.ecs.capability.docker-remote-api.1.41",
    "com.amazonaws.ecs.capability.logging-driver.json-file",
    "com.amazonaws.ecs.capability.logging-driver.awslogs",
    "com.amazonaws.ecs.capability.ecr-auth",
    "ecs.capability.execution-role-ecr-pull",
    "ecs.capability.execution-role-awslogs",
    "ecs.capability.container-health-check",
    "ecs.capability.container-ordering",
    "ecs.capability.container-restart-policy",
    "ecs.capability.ecr-endpoint",
    "ecs.capability.full-sync",
    "ecs.capability.network.container-port-range",
    "ecs.capability.task-cpu-mem-limit",
)


class Refused(Exception):
    """An error answer: the text is its code."""


class OfficialAgent:
    """One agent of a cluster. ``instance`` is its ARN once it has registered."""

    def __init__(self, endpoint: str, key: Key, *, cluster: str = "default", region: str = "us-east-1") -> None:
        self.endpoint, self.cluster, self.region = endpoint, cluster, region
        self._credentials = Credentials(key.access_key_id, key.secret, key.session_token)
        self._http = requests.Session()
        self._http.trust_env = False
        self.instance = ""
        self.attributes: list[dict[str, str]] = []
        self.doors: dict[str, str] = {}

    def register(self, token: str = "b5a9c1e0-4d0f-4c0e-9d4e-7f3f6f0a1b2c", *, document: str = "") -> str:
        """Register as its ECS client does: no versionInfo, an identity document or an empty one, ports in use."""
        ports = {"PORTS": ["22", "2375", "2376", "51678", "51679"], "PORTS_UDP": []}
        request: dict[str, Any] = {
            "cluster": self.cluster,
            "attributes": [*({"name": name} for name in CAPABILITIES), {"name": "ecs.os-type", "value": "linux"}],
            "clientToken": token,
            "instanceIdentityDocument": document,
            "instanceIdentityDocumentSignature": "",
            "totalResources": [
                {"name": "CPU", "type": "INTEGER", "integerValue": 2048},
                {"name": "MEMORY", "type": "INTEGER", "integerValue": 3827},
                *({"name": name, "type": "STRINGSET", "stringSetValue": taken} for name, taken in ports.items()),
            ],
        }
        if self.instance:
            request["containerInstanceArn"] = self.instance
        found = self.call("RegisterContainerInstance", request)["containerInstance"]
        self.attributes = found["attributes"]
        answered = {one["name"]: one.get("value", "") for one in self.attributes}
        # It ends itself when an attribute that it sent does not come back.
        assert all(answered.get(one["name"]) == one.get("value", "") for one in request["attributes"])
        self.instance = found["containerInstanceArn"]
        request = {"containerInstance": self.instance, "cluster": self.cluster}
        self.doors = self.call("DiscoverPollEndpoint", request)
        return self.instance

    def call(self, operation: str, request: Mapping[str, Any], *, target: str = TARGET, path: str = "/") -> Any:
        """Call the API; raises Refused."""
        service = "ecs" if target == TARGET else "ecr"
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"{target}.{operation}"}
        signed = AWSRequest("POST", self.endpoint + path, headers=headers, data=json.dumps(request).encode())
        SigV4Auth(self._credentials, service, self.region).add_auth(signed)
        answer = self._http.post(self.endpoint + path, data=signed.body, headers=dict(signed.headers), timeout=60)
        if answer.status_code != 200:
            raise Refused(answer.json()["__type"].rpartition("#")[2])
        return answer.json()

    @contextmanager
    def acs(self, *, first: bool = True) -> Iterator["Socket"]:
        """The payload socket; ``first`` is the connection after a start, which asks for credentials."""
        query = {
            "clusterArn": self.cluster,
            "containerInstanceArn": self.instance,
            "agentHash": HASH,
            "agentVersion": VERSION,
            "dockerVersion": f"DockerVersion: {DOCKER}",
            "protocolVersion": "2",
            "sendCredentials": str(first).lower(),
            "seqNum": "1",
        }
        with self._dial(self.doors["endpoint"], query) as socket:
            yield Socket(socket, ACS, self, signs=False)

    @contextmanager
    def tcs(self) -> Iterator["Socket"]:
        """The telemetry socket."""
        query = {
            "cluster": self.cluster,
            "containerInstance": self.instance,
            "agentHash": HASH,
            "agentVersion": VERSION,
            "dockerVersion": DOCKER,
        }
        with self._dial(self.doors["telemetryEndpoint"], query) as socket:
            yield Socket(socket, TCS, self, signs=True)

    def _dial(self, door: str, query: Mapping[str, str]) -> ClientConnection:
        url = f"{door}/ws?{urlencode(sorted(query.items()))}"
        return connect(
            url.replace("http", "ws", 1),
            additional_headers={name: value for name, value in self.signature(url).items() if name != "Host"},
            compression=None,
            ping_interval=None,
            proxy=None,
            open_timeout=30,
        )

    def signature(self, url: str, body: bytes = b"") -> dict[str, str]:
        """The headers of a signed GET."""
        request = AWSRequest("GET", url.replace("+", "%20"), data=body)
        SigV4Auth(self._credentials, "ecs", self.region).add_auth(request)
        return {**dict(request.headers), "Host": url.split("/")[2]}


class Socket:
    """One open socket. What comes must be understood by the agent's models."""

    def __init__(
        self, socket: ClientConnection, models: Mapping[str, Mapping[str, Any]], agent: OfficialAgent, *, signs: bool
    ) -> None:
        self._socket, self._models, self._agent, self._signs = socket, models, agent, signs

    def hear(self, *kinds: str) -> tuple[str, dict[str, Any]]:
        """The next frame, of one of these kinds if any are given; others are passed over."""
        while True:
            kind, message = understand(str(self._socket.recv(timeout=60)), self._models)
            if not kinds or kind in kinds:
                return kind, message

    def closing(self) -> int:
        """Wait for the server to close the socket; its code."""
        try:
            while True:
                self._socket.recv(timeout=60)
        except websockets.ConnectionClosed:
            return self._socket.close_code or 0

    def say(self, kind: str, message: Mapping[str, Any]) -> None:
        text = json.dumps({"type": kind, "message": message}, separators=(",", ":"))
        if self._signs:
            headers = self._agent.signature(f"{self._agent.endpoint}/tcs/ws", text.encode())
            text = "".join(f"{name}: {value}\r\n" for name, value in sorted(headers.items())) + "\r\n" + text
        self._socket.send(text)

    def acknowledge(self, message: Mapping[str, Any]) -> None:
        self.say(
            "AckRequest",
            {
                "cluster": message["clusterArn"],
                "containerInstance": message["containerInstanceArn"],
                "messageId": message["messageId"],
            },
        )
