"""Identifiers and ARNs: how Berth names things, in AWS's own shapes.

Ids begin with the time, so that rows are appended to their table in the order of their keys. Ids of one minute look
alike at the beginning: whoever shortens one, or derives a name from one, takes its last digits.
"""

import os
import struct
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass


class Ids:
    """Gives out ids in ascending order, in the layout of a UUID of version 7 (RFC 9562): milliseconds since the
    epoch, twelve bits of their fraction, and 62 random bits.

    ``now`` answers nanoseconds since the epoch, ``entropy`` that many random bytes. A clock that stands or goes back
    does not matter: an id is always above the one before.
    """

    def __init__(self, now: Callable[[], int] = time.time_ns, entropy: Callable[[int], bytes] = os.urandom) -> None:
        self._now = now
        self._entropy = entropy
        self._lock = threading.Lock()
        self._last = 0

    def take(self, count: int) -> Sequence[str]:
        """``count`` new ids, ascending."""
        millisecond, rest = divmod(self._now(), 1_000_000)
        stamp = millisecond << 12 | (rest << 12) // 1_000_000
        with self._lock:
            first = max(stamp, self._last + 1)
            self._last = first + count - 1
        chance = enumerate(struct.unpack(f">{count}Q", self._entropy(8 * count)), first)
        return [f"{stamp >> 12:012x}7{stamp & 0xFFF:03x}{1 << 63 | low >> 2:016x}" for stamp, low in chance]


_ids = Ids()


def new_id() -> str:
    """32 hexadecimal digits, as in ECS task ids and ``runtimeId``; above every id this process has given out."""
    return _ids.take(1)[0]


def new_ids(count: int) -> Sequence[str]:
    """``count`` new ids, ascending."""
    return _ids.take(count)


def new_uuid() -> str:
    """A UUID with dashes, as in request ids and Batch job ids."""
    return str(uuid.uuid4())


def new_deployment_id() -> str:
    """As ECS names a service's deployments: ``ecs-svc/`` and nineteen digits."""
    return f"ecs-svc/{uuid.uuid4().int % 10**19:019d}"


@dataclass(frozen=True, slots=True)
class Arns:
    """Writes and reads ARNs of one account and region."""

    account: str = "123456789012"
    region: str = "us-east-1"

    def of(self, service: str, resource: str) -> str:
        """``Arns().of("ecs", "cluster/default")`` is ``arn:aws:ecs:us-east-1:123456789012:cluster/default``."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"

    def cluster(self, name: str) -> str:
        return self.of("ecs", f"cluster/{name}")

    def task(self, cluster: str, task_id: str) -> str:
        return self.of("ecs", f"task/{cluster}/{task_id}")

    def container(self, cluster: str, task_id: str, container_id: str) -> str:
        return self.of("ecs", f"container/{cluster}/{task_id}/{container_id}")

    def task_definition(self, family: str, revision: int) -> str:
        return self.of("ecs", f"task-definition/{family}:{revision}")

    def service(self, cluster: str, name: str) -> str:
        return self.of("ecs", f"service/{cluster}/{name}")

    def container_instance(self, cluster: str, instance_id: str) -> str:
        return self.of("ecs", f"container-instance/{cluster}/{instance_id}")

    def own(self, service: str, arn: str) -> str | None:
        """The resource part of an ARN of this account, region and service; None for any other text."""
        prefix = self.of(service, "")
        return arn[len(prefix) :] if arn.startswith(prefix) and len(arn) > len(prefix) else None


def resource_of(arn_or_name: str) -> str:
    """The part of an ARN after the account, or the text itself when it is no ARN."""
    if arn_or_name.startswith("arn:"):
        return arn_or_name.split(":", 5)[-1]
    return arn_or_name


def last_part(arn_or_name: str) -> str:
    """What follows the last slash: the id of ``arn:…:task/cluster/id``, or the text itself."""
    return arn_or_name.rsplit("/", 1)[-1]
