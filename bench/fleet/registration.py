"""Registration of simulated hosts through the control plane's own handlers.

Each goes through the frame: handler, transaction, commit. Left out are the signature and the JSON around it.
"""

from collections.abc import Callable, Sequence
from typing import Any

from agent.control.registration import Offer, render_registration
from agent.identity import Identity
from agent.runtime import EngineInfo
from kit.aws.gateway import Invocation
from kit.aws.sigv4 import Caller
from kit.ids import Arns, last_part, new_id, new_uuid
from orchestrator.api.ecs.wire import ecs
from orchestrator.app import Parts
from orchestrator.frame import make_execute

Host = tuple[str, str, str]


def register_hosts(
    parts: Parts, *, cluster: str, count: int, cpu: int, memory: int, zones: Sequence[str], attributes: dict[str, str]
) -> list[Host]:
    """Register ``count`` hosts, zones in turn; answers id, ARN and cluster ARN of each."""
    call = make_call(parts)
    call("CreateCluster", {"clusterName": cluster})
    cluster_arn = Arns(parts.settings.account, parts.settings.region).cluster(cluster)
    hosts = []
    for number in range(count):
        offered = {"berth.host": f"host-{number:05d}", "ecs.availability-zone": zones[number % len(zones)]}
        request = render_registration(
            Identity(id=new_id(), cluster=cluster, token=new_id()),
            Offer(cpu=cpu, memory=memory, attributes={**offered, **attributes}),
            EngineInfo(version="simulated", architecture="x86_64", cpus=max(cpu // 1024, 1), memory_mib=memory),
        )
        arn = call("RegisterContainerInstance", request)["containerInstance"]["containerInstanceArn"]
        hosts.append((last_part(arn), arn, cluster_arn))
    return hosts


def make_call(parts: Parts) -> Callable[[str, dict[str, Any]], dict[str, Any]]:
    """A function that calls ECS operations through the frame, as an agent or a user would."""
    execute = make_execute(parts.store, parts.tools)
    arn = f"arn:aws:iam::{parts.settings.account}:user/fleet"
    caller = Caller(access_key_id="AKIASIMULATEDFLEET00", principal_arn=arn, account=parts.settings.account)

    def call(operation: str, params: dict[str, Any]) -> dict[str, Any]:
        bound = ecs.operations[operation]
        return execute(
            Invocation(
                service=ecs,
                operation=operation,
                handler=bound.handler,
                readonly=bound.readonly,
                params=params,
                caller=caller,
                request_id=new_uuid(),
                at=parts.clock.now(),
                client_token=None,
            )
        )

    return call
