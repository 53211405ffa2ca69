"""Identifiers and ARNs: how Berth names things, in AWS's own shapes."""

import uuid
from dataclasses import dataclass


def new_id() -> str:
    """32 hexadecimal digits, as in ECS task ids and ``runtimeId``."""
    return uuid.uuid4().hex


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
