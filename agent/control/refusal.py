"""Refusal: a control plane that does not know this host's key any more, because it was revoked or has ended.

It is said once, and asked again ever more slowly: the key will hardly come back, but a store that was restored may know
it again. What runs goes on running meanwhile, and what there is to tell is kept.
"""

from datetime import datetime, timedelta

from agent.log import facts
from kit.clock import Clock, backoff

NOT_KNOWN = ("UnrecognizedClientException", "InvalidClientTokenId")
# Short at first, for a store that has just fallen back on a copy and catches up.
PAUSE_FIRST = timedelta(milliseconds=250)
PAUSE_MOST = timedelta(minutes=10)

log = facts(__name__)


class Refusal:
    """Whether the key is refused, and how long nobody needs to ask again. Safe on any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._times = 0
        self._at: datetime | None = None

    def happened(self, because: str) -> None:
        """The control plane has said so."""
        self._times += 1
        self._at = self._clock.now()
        if self._times == 1:
            log.error(
                "host key refused",
                because=because,
                meaning="it was revoked or has ended; containers run on; a new token lets the host join again "
                "(berth agent token)",
            )

    def over(self) -> None:
        """The control plane has taken the key, or there is another."""
        if self._times:
            log.info("host key taken again", after=self._times)
        self._times, self._at = 0, None

    @property
    def rest(self) -> timedelta:
        """How long to wait before anybody asks again."""
        at, now = self._at, self._clock.now()
        # Somebody may have put the machine's clock back.
        if at is None or now < at:
            return timedelta(0)
        return max(timedelta(0), at + backoff(self._times, first=PAUSE_FIRST, most=PAUSE_MOST) - now)
