"""This host as a member of its cluster: how it registers there, as whom, and where its sockets are."""

from agent.control.aws import ApiError, Aws, KeyRefused, Unreachable
from agent.control.joining import HostKey
from agent.control.registration import Doors, Offer, discover, register
from agent.identity import Identity, IdentityFile, cluster_arn
from agent.log import facts
from agent.runtime import EngineInfo

# What a control plane that is away, busy or not yet itself brings about; asking again is the answer to it.
PASSING = (ApiError, Unreachable, LookupError, TypeError)

log = facts(__name__)


class Membership:
    """``identity`` is who this host is: its id from the first on, its container instance once it has joined."""

    def __init__(self, *, aws: Aws, identity: Identity, file: IdentityFile, key: HostKey) -> None:
        self.identity = identity
        self._aws = aws
        self._file = file
        self._key = key
        self._doors: Doors | None = None

    @property
    def cluster_arn(self) -> str:
        """The cluster's ARN; its name before this host has joined."""
        return cluster_arn(self.identity)

    def join(self, offer: Offer, engine: EngineInfo) -> None:
        """Register with a key of its own, and find the sockets. Raises NoCluster, CannotJoin, and what is PASSING."""
        self._key.take_up(self._aws)
        try:
            self._register(offer, engine)
        except ApiError as error:
            if not self._key.lost(error):
                raise
            self._key.take_up(self._aws)
            self._register(offer, engine)

    def doors(self) -> Doors:
        """Where the sockets are: asked for again before every dial, since they may have moved. Raises KeyRefused."""
        try:
            self._doors = discover(self._aws, self.identity)
        except KeyRefused:
            raise
        except PASSING as error:
            log.warning("sockets not discovered", because=str(error))
        assert self._doors, "nobody dials before this host has joined"
        return self._doors

    def _register(self, offer: Offer, engine: EngineInfo) -> None:
        self.identity = register(self._aws, self.identity, self._file, offer, engine)
        self._doors = discover(self._aws, self.identity)
