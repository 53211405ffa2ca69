"""Identifiers and ARNs: how Berth names things, in AWS's own shapes."""

import uuid
from dataclasses import dataclass


def new_id() -> str:
    """32 hexadecimal digits, as in ECS task ids and ``runtimeId``."""
    return uuid.uuid4().hex


def new_uuid() -> str:
    """A UUID with dashes, as in request ids and Batch job ids."""
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class Arns:
    """Writes and reads ARNs of one account and region."""

    account: str = "123456789012"
    region: str = "us-east-1"

    def of(self, service: str, resource: str) -> str:
        """``Arns().of("ecs", "cluster/default")`` is ``arn:aws:ecs:us-east-1:123456789012:cluster/default``."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"


def resource_of(arn_or_name: str) -> str:
    """The part of an ARN after the account, or the text itself when it is no ARN."""
    if arn_or_name.startswith("arn:"):
        return arn_or_name.split(":", 5)[-1]
    return arn_or_name


def last_part(arn_or_name: str) -> str:
    """What follows the last slash: the id of ``arn:…:task/cluster/id``, or the text itself."""
    return arn_or_name.rsplit("/", 1)[-1]
