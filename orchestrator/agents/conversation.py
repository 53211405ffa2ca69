"""A conversation: the control plane's side of one agent's connection, as frames in and frames out, without a socket.

Level-triggered: it remembers only what it has sent itself. A new one begins with the manifest and sends every task of
the host again, and agents know repeats, so a lost message or a lost replica costs a reconnection and nothing else.
"""

import json
import logging
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, select

from kit.clock import Clock, epoch_millis
from kit.ids import Arns, last_part, new_uuid
from kit.settings import Settings
from orchestrator.agents.official import OWN, recipient_of
from orchestrator.agents.payload_texts import PayloadTexts
from orchestrator.agents.roles import RoleCredentials, Roles, render_role_credentials
from orchestrator.agents.told_roles import ToldRoles
from scheduler.ending import end_task
from state.container_instances import ContainerInstance
from state.store import Session, Store
from state.tasks import list_tasks
from state.told_tasks import ToldTask, list_told, wishes_on

log = logging.getLogger(__name__)
UNTOLD = "ResourceInitializationError: the task definition and its overrides make no task that an agent can run"
LARGEST_FRAME = 1024 * 1024
_HOST = select(ContainerInstance.cluster, ContainerInstance.revision).where(
    ContainerInstance.id == bindparam("host"), ContainerInstance.status != "INACTIVE"
)


class Conversation:
    """One connection of one host's agent. ``closed`` becomes true when the host may not be here any more, or when its
    agent has to dial again to be here."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        settings: Settings,
        instance_id: str,
        texts: PayloadTexts | None = None,
        roles: Roles | None = None,
    ) -> None:
        self.instance_id = instance_id
        self.closed = False
        self._store = store
        self._clock = clock
        self._arns = Arns(settings.account, settings.region)
        self._texts = texts or PayloadTexts(settings)
        self._told_roles = ToldRoles(clock, instance_id, roles)
        # Who is at the other end, looked up with the first tasks.
        self._recipient = OWN
        # Which wishes were sent: a number for each instead of its texts, since there are as many as tasks run.
        self._sent = array("q")
        # The host's mark when its tasks were last looked at: it changes with every task that comes and every wish.
        self._mark: int | None = None

    def opening(self) -> str:
        """The first frame: every task that the host should know of, and what is wished of it."""

        def read(session: Session) -> tuple[str, dict[str, str]]:
            instance = session.get_one(ContainerInstance, self.instance_id)
            return instance.cluster, wishes_on(session, self.instance_id)

        cluster, wishes = self._store.read(read)
        cluster_arn, now = self._arns.cluster(cluster), self._now()
        return frame_of(
            "TaskManifestMessage",
            clusterArn=cluster_arn,
            containerInstanceArn=self._arns.container_instance(cluster, self.instance_id),
            messageId=new_uuid(),
            generatedAt=now,
            timeline=now,
            tasks=[
                {"taskArn": self._arns.task(cluster, task_id), "taskClusterArn": cluster_arn, "desiredStatus": wish}
                for task_id, wish in wishes.items()
            ],
        )

    def news(self) -> list[str]:
        """Frames of the tasks whose wish this connection has not sent yet, and of credentials that were renewed or that
        nobody acknowledged; none when there is nothing to say."""

        if self.closed:
            return []

        def read(session: Session) -> "tuple[str, int, array[int], dict[str, str | None], list[ToldTask]] | None":
            host = session.connection().execute(_HOST, {"host": self.instance_id}).one_or_none()
            if host is None:
                return None
            cluster, mark = host
            if mark == self._mark:
                return cluster, mark, self._sent, {}, []
            if self._mark is None:
                self._recipient = recipient_of(session.get_one(ContainerInstance, self.instance_id).attributes)
            known = set(self._sent)
            wishes = wishes_on(session, self.instance_id)
            marks = _marks(wishes)
            unsent = [task_id for task_id, mark in zip(wishes, marks, strict=True) if mark not in known]
            rendered: dict[str, str | None] = {}
            with_roles = []
            for task in list_told(session, unsent):
                if task.has_roles and task.desired_status == "RUNNING":
                    with_roles.append(task)
                else:
                    rendered[task.id] = self._render(session, task)
            return cluster, mark, marks, rendered, with_roles

        seen = self._store.read(read)
        if seen is None:
            self.closed = True
            return []
        cluster, mark, marks, rendered, with_roles = seen
        if with_roles:
            # Keys are made in a transaction of their own, and sent only once they are kept.
            roles = self._told_roles.first([task.id for task in with_roles])
            rendered |= self._store.read(
                lambda session: {task.id: self._render(session, task, roles.get(task.id, ())) for task in with_roles}
            )
        self._mark, self._sent = mark, marks
        self._give_up([task_id for task_id, text in rendered.items() if text is None])
        payloads = [self._payload(cluster, texts) for texts in _fitting(text for text in rendered.values() if text)]
        return payloads + [self._credentials(cluster, task_id, one) for task_id, one in self._told_roles.again()]

    @property
    def has_credentials_to_tell(self) -> bool:
        """Whether credentials of its tasks are due to be renewed, or were not acknowledged."""
        return self._told_roles.due

    def compare(self, marks: Mapping[str, int | None]) -> bool:
        """Whether there may be news: its host is among the marks and has changed since the last look at it. A host of
        which the store does not know that it is connected has none, and the conversation is over."""
        if self.instance_id not in marks:
            return False
        mark = marks[self.instance_id]
        self.closed |= mark is None
        return mark is None or mark != self._mark

    def heartbeat(self) -> str:
        return frame_of("HeartbeatMessage", messageId=new_uuid(), healthy=True)

    def answer(self, text: str) -> str | None:
        """What to say to an agent's frame, if anything."""
        try:
            frame = json.loads(text) if len(text) <= LARGEST_FRAME else {}
            kind, message = frame["type"], dict(frame["message"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return frame_of("ErrorMessage", message='a frame is {"type": …, "message": {…}}')
        match kind:
            case "TaskStopVerificationMessage":
                return self._verify_stops(message)
            case "IAMRoleCredentialsAckRequest":
                self._told_roles.acknowledged(str(message.get("credentialsId")), str(message.get("expiration") or ""))
            case "NackRequest":
                log.warning("agent refused a message", extra={"instance": self.instance_id, "nack": message})
            case _:
                pass  # acknowledgements: what was sent is repeated until the task's state says it arrived
        return None

    def _render(self, session: Session, task: ToldTask, roles: Sequence[RoleCredentials] = ()) -> str | None:
        """The task as its agent is told it; None for one that cannot be told, so that it takes no other with it."""
        try:
            return self._texts.render(session, task, roles, self._recipient)
        except Exception:
            log.exception("task cannot be told to its agent", extra={"task": task.id})
            return None

    def _give_up(self, task_ids: Sequence[str]) -> None:
        """End tasks that can never reach their agent."""

        def write(session: Session) -> None:
            for task in list_tasks(session, task_ids):
                task.ask_to_stop(at=self._clock.now(), code="TaskFailedToStart", because=UNTOLD)
                end_task(session, task, now=self._clock.now(), because=UNTOLD)

        if task_ids:
            self._store.transact(write)

    def _payload(self, cluster: str, tasks: Sequence[str]) -> str:
        now = self._now()
        frame = frame_of(
            "PayloadMessage",
            clusterArn=self._arns.cluster(cluster),
            containerInstanceArn=self._arns.container_instance(cluster, self.instance_id),
            messageId=new_uuid(),
            seqNum=now,
            generatedAt=now,
            tasks=[],
        )
        # The tasks are texts already; their list is the frame's last member.
        return f"{frame.removesuffix(']}}')}{','.join(tasks)}]}}}}"

    def _credentials(self, cluster: str, task_id: str, credentials: RoleCredentials) -> str:
        return frame_of(
            "IAMRoleCredentialsMessage",
            messageId=new_uuid(),
            taskArn=self._arns.task(cluster, task_id),
            taskClusterArn=self._arns.cluster(cluster),
            roleType=credentials.role_type,
            roleCredentials=render_role_credentials(credentials),
        )

    def _verify_stops(self, message: dict[str, Any]) -> str:
        """Of the tasks an agent runs and was not told of, those that really should not run there."""
        asked = message.get("stopCandidates")
        candidates = {
            last_part(str(candidate.get("taskArn", ""))): candidate
            for candidate in (asked if isinstance(asked, list) else ())
            if isinstance(candidate, dict)
        }
        wishes = self._store.read(lambda session: wishes_on(session, self.instance_id))
        return frame_of(
            "TaskStopVerificationAck",
            messageId=message.get("messageId", new_uuid()),
            generatedAt=self._now(),
            stopTasks=[candidate for task_id, candidate in candidates.items() if wishes.get(task_id) != "RUNNING"],
        )

    def _now(self) -> int:
        return epoch_millis(self._clock.now())


def _marks(wishes: Mapping[str, str]) -> "array[int]":
    """A 64-bit number for each task and what is wished of it; that two of one host are alike is not to be feared."""
    return array("q", [hash(task_id + wish) for task_id, wish in wishes.items()])


def _fitting(texts: Iterable[str]) -> Iterator[list[str]]:
    """The texts in lists, each no longer than a frame should be; a longer one is alone in its own."""
    fitting: list[str] = []
    length = 0
    for text in texts:
        if fitting and length + len(text) > LARGEST_FRAME:
            yield fitting
            fitting, length = [], 0
        fitting.append(text)
        length += len(text)
    if fitting:
        yield fitting


def frame_of(kind: str, **message: Any) -> str:
    """A frame of the agents' protocol."""
    return json.dumps({"type": kind, "message": message}, separators=(",", ":"))
