"""What ``berth explain`` answers: which hosts would take one more, why the others would not, and what to do. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.cli.asking import short
from scheduler.placement import Ask, Host, Objection, Placed, Reason, Refused, Why, place

MOST_TRIED = 1000
"""Hosts tried one by one; in a larger cluster the rest is only counted."""

UNITS = {Why.MEMORY: "MiB", Why.CPU: "CPU units", Why.GPUS: "GPUs", Why.ADDRESSES: "addresses"}
ONE = {Why.GPUS: "GPU", Why.ADDRESSES: "address"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One host, and why it would not take the ask; None where it would."""

    host: Host
    objection: Objection | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The engine's answer on these hosts, and each tried host's own, the nearest first."""

    ask: Ask
    hosts: Mapping[str, Host]
    chosen: str | None
    refused: Refused | None
    rows: Sequence[Row]


def weigh(hosts: Sequence[Host], ask: Ask) -> Answer:
    """Ask the engine for room for one more, and of each host whether it has it."""
    by_id = {host.id: host for host in hosts}
    (result,) = place(hosts, [ask], seed=0).results
    match result:
        case Refused():
            rows = [Row(host=by_id[one.host], objection=one) for one in result.objections]
            return Answer(ask=ask, hosts=by_id, chosen=None, refused=result, rows=rows)
        case Placed(host=chosen):
            first = sorted(hosts, key=lambda host: host.id != chosen)[:MOST_TRIED]
            rows = [Row(host=host, objection=_objection(host, ask)) for host in first]
            rows.sort(key=lambda row: row.objection is not None)
            return Answer(ask=ask, hosts=by_id, chosen=chosen, refused=None, rows=rows)


def asks_text(ask: Ask) -> str:
    """``256 CPU units, 512 MiB, port 80/tcp, memberOf attribute:rack > 9``."""
    parts = [f"{ask.cpu} CPU units", f"{ask.memory} MiB"]
    if ask.gpus:
        parts.append(f"{ask.gpus} GPU{'s' if ask.gpus > 1 else ''}")
    parts += [f"{amount} {name}" for name, amount in ask.resources]
    parts += [f"host port {number}/{protocol}" for number, protocol in ask.ports]
    if ask.address:
        parts.append("an address of its own")
    parts += [f"{rule.type} {rule.expression or ''}".rstrip() for rule in ask.constraints]
    return ", ".join(parts)


def lacking(one: Objection | Reason) -> str:
    """What is short on one host: ``569 MiB short of memory``, ``host port 80/tcp is taken``."""
    if one.asked is not None and one.free is not None and one.why in (Why.MEMORY, Why.CPU):
        return f"{one.asked - one.free} {UNITS[one.why]} short{' of memory' if one.why is Why.MEMORY else ''}"
    match one.why:
        case Why.GPUS | Why.ADDRESSES:
            return f"{one.asked} {ONE[one.why] if one.asked == 1 else UNITS[one.why]} asked, {one.free} free"
        case Why.RESOURCE:
            return f"{one.asked} {one.what} asked, {one.free} free"
        case Why.PORTS:
            return f"host port {one.what} is taken"
        case Why.ATTRIBUTE:
            return f"has no {one.what}"
        case Why.MEMBER_OF:
            return f"not {one.what}"
        case Why.DISTINCT:
            return "one of the group is there (distinctInstance)"
        case _:
            return str(one.why)


def advise(answer: Answer, cluster: str) -> Iterator[str]:
    """What a person can do so that one more is placed, the nearest way first."""
    join = f"berth agent --cluster {cluster}"
    if answer.refused is None:
        return
    if not answer.hosts:
        yield f"Join a host: {join}"
        return
    nearest = [objection.why for objection in answer.refused.objections]
    for reason in sorted(answer.refused.reasons, key=lambda reason: nearest.index(reason.why)):
        yield _advice(reason, answer, cluster, join)


def _advice(reason: Reason, answer: Answer, cluster: str, join: str) -> str:
    host = short(reason.closest)
    match reason.why:
        case Why.MEMORY | Why.CPU:
            return _smaller(reason, answer, join)
        case Why.GPUS | Why.RESOURCE:
            return _fewer(reason, answer, join)
        case Why.PORTS:
            return f"Let the agent pick a port (hostPort 0), stop what has {reason.what}, or join a host: {join}"
        case Why.ADDRESSES:
            return f"Stop tasks with addresses of their own, or join a host with another network: {join}"
        case Why.ATTRIBUTE:
            return (
                f"Give a host what is missing: aws ecs put-attributes --cluster {cluster} --attributes "
                f"name={reason.what},targetId={reason.closest}; or join one that has it: "
                f"{join} --attribute {reason.what}=…"
            )
        case Why.MEMBER_OF:
            return f"Join a host that the expression names ({join} --attribute NAME=VALUE), or change the constraint"
        case Why.DISTINCT:
            return f"Each host has one of the group already: join a host ({join}), or drop distinctInstance"
        case Why.DRAINING:
            return (
                f"Let {host} take tasks again: aws ecs update-container-instances-state --cluster {cluster} "
                f"--status ACTIVE --container-instances {reason.closest}"
            )
        case Why.DISCONNECTED:
            return f"Start the agent of {host} again; its log says why it went"
        case _:
            return f"Join a host: {join}"


def _fewer(reason: Reason, answer: Answer, join: str) -> str:
    hosts = answer.hosts.values()
    if reason.why is Why.GPUS:
        what, option, largest = "GPUs", "--gpu ID", max(host.registered_gpus for host in hosts)
    else:
        what, option = reason.what, f"--resource {reason.what}=N"
        largest = max(host.registered_resources.get(reason.what, 0) for host in hosts)
    if not largest:
        return f"No host has any {what}: join one that does: {join} {option}"
    if reason.asked is not None and reason.asked > largest:
        return f"No host has more than {largest} {what}: ask for fewer, or join one that has: {join} {option}"
    return f"{_at_most(reason, what)} what holds them on {short(reason.closest)}, or join a host: {join} {option}"


def _smaller(reason: Reason, answer: Answer, join: str) -> str:
    memory = reason.why is Why.MEMORY
    unit = UNITS[reason.why] if not memory else "MiB of memory"
    largest = max(host.registered_memory if memory else host.registered_cpu for host in answer.hosts.values())
    if reason.asked is not None and reason.asked > largest:
        return (
            f"No host is that large even when empty (the largest has {largest} {unit}): ask for less, or join one "
            f"that is: {join}"
        )
    return f"{_at_most(reason, unit)} tasks on {short(reason.closest)}, or join a host: {join}"


def _at_most(reason: Reason, unit: str) -> str:
    return f"Ask for at most {reason.free} {unit}, stop" if reason.free else "Stop"


def _objection(host: Host, ask: Ask) -> Objection | None:
    (result,) = place([host], [ask], seed=0).results
    return result.closest() if isinstance(result, Refused) else None
