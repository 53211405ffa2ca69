"""The client's side of a session: Session Manager's data channel in front, plain bytes to the agent behind.

To the agent, a binary frame is input and a text frame is the terminal's size; from the agent, a binary frame is output
and a text frame says how the command ended.
"""

import asyncio
import json
from contextlib import suppress
from typing import Any
from uuid import uuid4

from starlette.websockets import WebSocket, WebSocketDisconnect

from kit.aws import ssm_channel as ssm
from kit.clock import Clock, epoch_millis

HANDSHAKE_SECONDS = 15.0
LARGEST_SIDE = 10_000
TERMINATE = 2
# What does not read is not waited for.
GOODBYE_SECONDS = 5.0


class DataChannel:
    """One client. Frames are numbered and acknowledged as the protocol has it; the socket itself loses none."""

    def __init__(self, socket: WebSocket, session_id: str, clock: Clock, *, idle_seconds: float) -> None:
        self.received = 0
        self.sent = 0
        self._socket = socket
        self._session_id = session_id
        self._clock = clock
        self._idle_seconds = idle_seconds
        self._next_out = 0
        self._next_in = 0
        self._said = asyncio.Event()

    async def relay(self, agent: WebSocket) -> str:
        """Carry bytes both ways until one side ends; answers which, in words. Raises WebSocketDisconnect."""
        await self._shake_hands()
        pumps = [
            asyncio.create_task(self._from_agent(agent)),
            asyncio.create_task(self._from_client(agent)),
            asyncio.create_task(self._until_idle()),
        ]
        try:
            done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
        # How the command ended counts for more than that somebody left then.
        because = next(pump.result() for pump in pumps if pump in done)
        await self.end("" if because.startswith("exit") else f"Session ended: {because}.", because)
        return because

    async def end(self, text: str, because: str = "") -> None:
        """Tell the client that it is over, if it reads."""
        code = because.removeprefix("exit code ")
        payload = ssm.write_json(
            MessageId=str(uuid4()),
            CreatedDate=self._clock.now().isoformat(),
            DestinationId="",
            SessionId=self._session_id,
            MessageType=ssm.CLOSED,
            SchemaVersion=ssm.SCHEMA_VERSION,
            Output=text,
            **({"ExitCode": int(code)} if code.lstrip("-").isdigit() else {}),
        )
        with suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self._send(ssm.CLOSED, payload=payload)

    async def _shake_hands(self) -> None:
        action = {
            "ActionType": "SessionType",
            "ActionParameters": {"SessionType": "Standard_Stream", "Properties": None},
        }
        request = ssm.write_json(AgentVersion="3.3.0.0", RequestedClientActions=[action])
        await self._send(ssm.OUTPUT, ssm.Kind.HANDSHAKE_REQUEST, request)
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            while (await self._next()).kind != ssm.Kind.HANDSHAKE_RESPONSE:
                pass
        complete = ssm.write_json(HandshakeTimeToComplete=1, CustomerMessage="")
        await self._send(ssm.OUTPUT, ssm.Kind.HANDSHAKE_COMPLETE, complete)

    async def _from_client(self, agent: WebSocket) -> str:
        try:
            while True:
                frame = await self._next()
                self._said.set()
                match frame.kind:
                    case ssm.Kind.OUTPUT:
                        self.received += len(frame.payload)
                        await agent.send_bytes(frame.payload)
                    case ssm.Kind.SIZE:
                        await agent.send_text(_size(frame.payload))
                    case ssm.Kind.FLAG if int.from_bytes(frame.payload[:4]) == TERMINATE:
                        return "the client ended it"
        except WebSocketDisconnect:
            return "the client went away"
        except ssm.BadFrame as error:
            return f"the client sent nonsense: {error}"
        except RuntimeError:
            return "the agent went away"

    async def _from_agent(self, agent: WebSocket) -> str:
        while True:
            try:
                message = await agent.receive()
            except RuntimeError:
                return "the agent went away"
            if message["type"] == "websocket.disconnect":
                return "the agent went away"
            self._said.set()
            if message.get("text") is not None:
                return _how(message["text"])
            output = message.get("bytes") or b""
            for start in range(0, len(output), ssm.LARGEST_PAYLOAD):
                self.sent += len(output[start : start + ssm.LARGEST_PAYLOAD])
                await self._send(ssm.OUTPUT, ssm.Kind.OUTPUT, output[start : start + ssm.LARGEST_PAYLOAD])

    async def _until_idle(self) -> str:
        while True:
            self._said.clear()
            try:
                async with asyncio.timeout(self._idle_seconds):
                    await self._said.wait()
            except TimeoutError:
                return "nothing was said for too long"

    async def _next(self) -> ssm.Frame:
        """The next frame of input that is new, acknowledged. Raises BadFrame, WebSocketDisconnect."""
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1006))
            frame = ssm.decode(message.get("bytes") or b"")
            if frame.type != ssm.INPUT:
                continue
            if frame.number > self._next_in:
                raise ssm.BadFrame(f"frame {frame.number} came before frame {self._next_in}")
            await self._send(ssm.ACKNOWLEDGE, payload=ssm.acknowledgement(frame), number=0)
            if frame.number == self._next_in:
                self._next_in += 1
                return frame

    async def _send(self, type_: str, kind: int = 0, payload: bytes = b"", *, number: int | None = None) -> None:
        if number is None:
            number, self._next_out = self._next_out, self._next_out + 1
        frame = ssm.Frame(
            type=type_,
            number=number,
            message_id=uuid4(),
            created_at=epoch_millis(self._clock.now()),
            flags=ssm.SYN if number == 0 and type_ == ssm.OUTPUT else 0,
            kind=kind,
            payload=payload,
        )
        await self._socket.send_bytes(ssm.encode(frame))


def _size(payload: bytes) -> str:
    """The terminal's size as the agent takes it. Raises BadFrame."""
    asked = ssm.read_json(payload)
    sides: dict[str, Any] = {side: asked.get(side) for side in ("cols", "rows")}
    if not all(isinstance(value, int) and 0 < value <= LARGEST_SIDE for value in sides.values()):
        raise ssm.BadFrame("a size has cols and rows")
    return json.dumps(sides)


def _how(text: str) -> str:
    """How the agent says that it ended."""
    try:
        ended = ssm.read_json(text)
    except ssm.BadFrame:
        return "the agent sent nonsense"
    code = ended.get("exitCode")
    if isinstance(code, int):
        return f"exit code {int(code)}"
    said = str(ended.get("error") or "the command ended")[:500]
    # It goes into the event log, which keeps no NUL and no half of a surrogate pair.
    return "".join(letter if letter.isprintable() else " " for letter in said)
