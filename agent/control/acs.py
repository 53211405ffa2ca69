"""The payload socket: payloads in, acknowledgements out; heartbeats, manifests, credentials.

A payload is acknowledged once its tasks are on the disk. A frame that makes no sense is logged and passed over.
"""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agent import version
from agent.identity import Identity
from agent.log import facts
from agent.tasks import messages as m
from agent.tasks.model import NOT_PREPARED
from agent.tasks.payload import names_of, read_task
from agent.tasks.reading import BadPayload
from agent.tasks.roles import read_role
from agent.tasks.spec import ContainerSpec, Desired, TaskSpec

PROTOCOL_VERSION = "2"
ROLE = "roleCredentials"

log = facts(__name__)

Send = Callable[[str, Mapping[str, Any]], bool]


class Acs:
    """Understands the frames of the payload socket, and answers through ``send``."""

    def __init__(
        self,
        *,
        identity: Callable[[], Identity],
        cluster_arn: Callable[[], str],
        docker_version: Callable[[], str],
        post: Callable[[m.Message], None],
        send: Send,
        on_open: Callable[[], None] = lambda: None,
        summoned: Callable[[Mapping[str, Any]], None] = lambda message: None,
    ) -> None:
        self._identity = identity
        self._cluster_arn = cluster_arn
        self._docker_version = docker_version
        self._post = post
        self._send = send
        self._on_open = on_open
        self._opened = 0
        self._handlers: dict[str, Callable[[Mapping[str, Any]], bool | None]] = {
            "PayloadMessage": self._payload,
            "HeartbeatMessage": self._heartbeat,
            "TaskManifestMessage": self._manifest,
            "TaskStopVerificationAck": self._verified,
            "IAMRoleCredentialsMessage": self._credentials,
            "CloseMessage": self._close,
            "ErrorMessage": self._error,
            "BerthExecMessage": summoned,
        }

    def query(self) -> Mapping[str, str]:
        identity = self._identity()
        return {
            "agentHash": version.AGENT_HASH,
            "agentVersion": version.AGENT_VERSION,
            "clusterArn": self._cluster_arn(),
            "containerInstanceArn": identity.container_instance,
            "dockerVersion": f"DockerVersion: {self._docker_version()}",
            "protocolVersion": PROTOCOL_VERSION,
            "seqNum": "1",
            "sendCredentials": "true" if self._opened == 0 else "false",
        }

    def opened(self) -> None:
        self._opened += 1
        self._on_open()

    def received(self, kind: str, message: Mapping[str, Any]) -> bool:
        """Take one frame; False when the control plane asked to be dialled anew."""
        handler = self._handlers.get(kind)
        if handler is None:
            log.warning("frame of an unknown kind", kind=kind)
            return True
        return handler(message) is not False

    def _payload(self, message: Mapping[str, Any]) -> None:
        message_id = str(message.get("messageId", ""))
        tasks = message.get("tasks")
        if not isinstance(tasks, list):
            self._answer("NackRequest", message_id, reason="tasks: expected a list")
            return
        seq = message.get("seqNum")
        seq = seq if isinstance(seq, int) and not isinstance(seq, bool) else 0
        cluster = str(message.get("clusterArn") or self._cluster_arn())
        arrived, refused = [], []
        for raw in tasks:
            try:
                arrived.append((read_task(raw, seq=seq, cluster=cluster), raw))
            except BadPayload as error:
                refused.append(str(error))
                self._refuse(raw, cluster, str(error))
        if not arrived and refused:
            self._answer("NackRequest", message_id, reason="; ".join(refused)[:1000])
            return
        kept = _Countdown(len(arrived), lambda: self._answer("AckRequest", message_id))
        for spec, raw in arrived:
            self._post(m.Arrived(spec=spec, raw=raw, kept=kept.one_less))
        if not arrived:
            self._answer("AckRequest", message_id)

    def _refuse(self, raw: Any, cluster: str, reason: str) -> None:
        arn = raw.get("arn") if isinstance(raw, Mapping) else None
        if not isinstance(arn, str) or not arn:
            log.warning("payload without a task", because=reason)
            return
        stated = raw.get("taskClusterArn")
        spec = TaskSpec(
            arn=arn,
            cluster=stated if isinstance(stated, str) and stated else cluster,
            desired=Desired.STOPPED,
            containers=tuple(ContainerSpec(name=name, image="unknown") for name in names_of(raw)),
        )
        self._post(m.Unrunnable(spec=spec, reason=f"{NOT_PREPARED}: {reason}"))

    def _heartbeat(self, message: Mapping[str, Any]) -> None:
        self._send("HeartbeatAckRequest", {"messageId": message.get("messageId", "")})

    def _manifest(self, message: Mapping[str, Any]) -> None:
        message_id = str(message.get("messageId", ""))
        tasks = message.get("tasks")
        if not isinstance(tasks, list):
            self._answer("NackRequest", message_id, reason="tasks: expected a list")
            return
        running = frozenset(
            str(task.get("taskArn"))
            for task in tasks
            if isinstance(task, Mapping) and task.get("desiredStatus", "RUNNING") == Desired.RUNNING
        )
        self._answer("AckRequest", message_id)
        self._post(m.Manifest(running=running, answer=lambda arns: self._ask(message_id, arns)))

    def _ask(self, message_id: str, arns: Sequence[str]) -> None:
        """Before anything is stopped, the control plane is asked whether it is sure."""
        if not arns:
            return
        cluster = self._cluster_arn()
        candidates = [
            {"taskArn": arn, "taskClusterArn": cluster, "desiredStatus": Desired.STOPPED.value} for arn in arns
        ]
        self._send("TaskStopVerificationMessage", {"messageId": message_id, "stopCandidates": candidates})

    def _verified(self, message: Mapping[str, Any]) -> None:
        tasks = message.get("stopTasks")
        if isinstance(tasks, list):
            arns = tuple(str(t.get("taskArn")) for t in tasks if isinstance(t, Mapping))
            self._post(m.StopThese(tasks=arns))

    def _credentials(self, message: Mapping[str, Any]) -> None:
        credentials = message.get(ROLE)
        credentials = credentials if isinstance(credentials, Mapping) else {}
        acknowledgement = {
            "messageId": message.get("messageId", ""),
            "expiration": credentials.get("expiration", ""),
            "credentialsId": credentials.get("credentialsId", ""),
        }

        def acknowledge() -> None:
            self._send("IAMRoleCredentialsAckRequest", acknowledgement)

        task = str(message.get("taskArn", ""))
        try:
            role = read_role(credentials, ROLE)
            if role and message.get("roleType") == "TaskApplication":
                self._post(m.Renewed(task=task, role=role, raw=credentials, kept=acknowledge))
                return
            if role and message.get("roleType") == "TaskExecution":
                self._post(m.Keyed(task=task, role=role))
        except BadPayload as error:
            log.warning("role credentials make no sense", because=str(error))
        acknowledge()

    def _close(self, message: Mapping[str, Any]) -> bool:
        log.info("control plane closes the socket", because=message.get("message"))
        return False

    def _error(self, message: Mapping[str, Any]) -> None:
        text = json.dumps(message, default=str)[:500]
        log.warning("control plane reported an error", message=text)

    def _answer(self, kind: str, message_id: str, **more: str) -> None:
        identity = self._identity()
        self._send(
            kind,
            {
                "cluster": self._cluster_arn(),
                "containerInstance": identity.container_instance,
                "messageId": message_id,
                **more,
            },
        )


class _Countdown:
    """Calls ``done`` when ``one_less`` was called as often as there are things to wait for."""

    def __init__(self, count: int, done: Callable[[], Any]) -> None:
        self._left = count
        self._done = done
        self._lock = threading.Lock()

    def one_less(self) -> None:
        with self._lock:
            self._left -= 1
            left = self._left
        if left == 0:
            self._done()
