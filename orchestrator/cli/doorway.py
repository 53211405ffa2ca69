"""The doorway to WebSockets: so many handshakes are seen to at once, and nothing is made for those that wait.

When all agents of a large cluster dial on a machine that has little time for us, most give up before it is their turn.
What is made for a socket that is opened costs several times what it takes to accept its connection, so that nothing
was left to let anybody in. Who came last goes first: it will be there for longest.
"""

import asyncio
from collections.abc import Callable

# A round of them that is seen to, and the next one: see ``orchestrator.agents.rounds``.
MOST = 200


class Doorway:
    """For one event loop. Whoever has entered leaves once it is through, or gone."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._inside = 0
        self._waiting: dict[object, Callable[[], None]] = {}

    def come(self, who: object, enter: Callable[[], None]) -> None:
        """Have ``enter`` called, at once or when there is room."""
        if self._inside < self._most:
            self._inside += 1
            enter()
        else:
            self._waiting[who] = enter

    def is_waiting(self, who: object) -> bool:
        return who in self._waiting

    def give_up(self, who: object) -> None:
        """Who waits has gone; for anyone else this does nothing."""
        self._waiting.pop(who, None)

    def leave(self) -> None:
        """One is through. The next enters in a turn of its own, so that its trouble is not this one's."""
        self._inside -= 1
        if self._waiting:
            _, enter = self._waiting.popitem()
            self._inside += 1
            asyncio.get_running_loop().call_soon(enter)
