"""Sessions: what the control plane summons the agent to is run in the container, with a terminal.

A thread or two for each session while it lasts, and none while there is none. Nothing is kept on the disk: a session
ends with its agent, or, where that was killed, when the next one starts.
"""

import json
import re
import shlex
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import websockets
from websockets.sync.client import ClientConnection

from agent.identity import Identity
from agent.log import facts
from agent.runtime import ExecStream, Runtime, RuntimeTrouble
from agent.tasks.model import Phase, Task
from kit.clock import Clock

MOST_SESSIONS = 32
# With several replicas behind one door, the client may be at another than the one that answers.
DIALS = 40
BETWEEN_DIALS = timedelta(milliseconds=150)
SHELL_WORDS = re.compile(r"[|&;<>()$`*?\[\]#~{}!\n]")
LARGEST_SIDE = 10_000

log = facts(__name__)
Dial = Callable[[str], ClientConnection]


class ExecSessions:
    """The sessions of one agent. ``dial`` opens a signed socket to a URL."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        identity: Callable[[], Identity],
        tasks: Callable[[], Sequence[Task]],
        dial: Dial,
        clock: Clock,
    ) -> None:
        self._runtime = runtime
        self._identity = identity
        self._tasks = tasks
        self._dial = dial
        self._clock = clock
        self._known: set[str] = set()
        self._open: dict[str, ClientConnection] = {}
        self._lock = threading.Lock()
        self._ending_left = threading.Lock()
        self._stopped = threading.Event()

    def end_left(self, containers: Sequence[str]) -> None:
        """End what an agent before this one has left running in these containers."""
        with self._ending_left:
            for container in containers:
                # It may have stopped meanwhile, and what cannot be ended now is no reason not to work.
                with suppress(RuntimeTrouble):
                    self._runtime.end_executed(container)

    def summoned(self, message: Mapping[str, Any]) -> None:
        """Begin the sessions of a ``BerthExecMessage`` that are not begun yet."""
        endpoint, sessions = message.get("endpoint"), message.get("sessions")
        for asked in sessions if isinstance(sessions, list) and isinstance(endpoint, str) else ():
            texts = [asked.get(name) for name in ("sessionId", "taskId", "containerName", "command")]
            if not all(isinstance(text, str) and text for text in texts):
                log.warning("session not understood")
                continue
            with self._lock:
                if texts[0] in self._known or len(self._known) >= MOST_SESSIONS or self._stopped.is_set():
                    continue
                threading.Thread(target=self._run, args=(endpoint, *texts), name="session", daemon=True).start()
                self._known.add(texts[0])

    def stop(self) -> None:
        """End all sessions."""
        self._stopped.set()
        with self._lock:
            sockets = list(self._open.values())
        for socket in sockets:
            socket.close()

    def _run(self, endpoint: str, session_id: str, task_id: str, container: str, command: str) -> None:
        try:
            socket = self._reach(endpoint, session_id)
            if socket is not None:
                with self._lock:
                    self._open[session_id] = socket
                with socket:
                    self._serve(socket, session_id, task_id, container, command)
        except Exception:
            log.surprise("session failed", session=session_id)
        finally:
            with self._lock:
                self._known.discard(session_id)
                self._open.pop(session_id, None)

    def _reach(self, endpoint: str, session_id: str) -> ClientConnection | None:
        query = {"containerInstanceArn": self._identity().container_instance, "session": session_id}
        because = ""
        for _ in range(DIALS):
            try:
                return self._dial(f"{endpoint}/agent?{urlencode(query)}")
            except (websockets.WebSocketException, OSError) as error:
                because = str(error)
            if self._clock.wait(self._stopped, BETWEEN_DIALS):
                break
        log.warning("session not reached", session=session_id, because=because)
        return None

    def _serve(self, socket: ClientConnection, session_id: str, task_id: str, container: str, command: str) -> None:
        runtime_id = self._find(task_id, container)
        if not runtime_id:
            socket.send(json.dumps({"error": f"container {container} does not run on this host"}))
            return
        log.info("session begins", session=session_id, task=task_id, container=container, command=command)
        try:
            # What begins now is not left by anybody.
            with self._ending_left:
                stream = self._runtime.execute(runtime_id, argv_of(command))
        except RuntimeTrouble as error:
            socket.send(json.dumps({"error": f"the command could not be run: {error}"}))
            return
        typing = threading.Thread(target=_type, args=(socket, stream), name="session-input", daemon=True)
        typing.start()
        ended: dict[str, Any] = {}
        try:
            while output := stream.read():
                socket.send(output)
            ended = {"exitCode": stream.exit_code()}
            socket.send(json.dumps(ended))
        except (websockets.ConnectionClosed, RuntimeTrouble) as error:
            ended = {"error": str(error)}
        finally:
            stream.close()
        log.info("session ends", session=session_id, **ended)

    def _find(self, task_id: str, container: str) -> str:
        for task in self._tasks():
            if task.spec.id == task_id and container in task.containers:
                found = task.containers[container]
                return found.runtime_id if found.phase is Phase.RUNNING else ""
        return ""


def argv_of(command: str) -> tuple[str, ...]:
    """The words of a plain command; what needs a shell to be understood gets the container's."""
    if not SHELL_WORDS.search(command):
        try:
            return tuple(shlex.split(command))
        except ValueError:
            pass
    return ("/bin/sh", "-c", command)


def _type(socket: ClientConnection, stream: ExecStream) -> None:
    """Carry what is typed, and the terminal's sizes, until either side ends; then end the other."""
    try:
        for frame in socket:
            if isinstance(frame, bytes):
                stream.write(frame)
            else:
                _resize(stream, frame)
    except (websockets.ConnectionClosed, RuntimeTrouble, OSError):
        pass
    finally:
        stream.close()


def _resize(stream: ExecStream, text: str) -> None:
    try:
        size = json.loads(text)
        cols, rows = size["cols"], size["rows"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return
    if all(isinstance(side, int) and 0 < side <= LARGEST_SIDE for side in (cols, rows)):
        stream.resize(cols, rows)
