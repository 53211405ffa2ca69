"""What ``berth explain`` says of hosts that refuse, and what to do about each reason."""

from dataclasses import replace

import pytest

from orchestrator.cli.explain_answer import advise, asks_text, lacking, weigh
from scheduler.placement import Ask, Constraint, Host, RequiredAttribute

HOST = Host(
    id="a" * 24 + "00000001",
    registered_cpu=4096,
    registered_memory=8192,
    free_cpu=1024,
    free_memory=2048,
    attributes={"rack": "1"},
    free_addresses=None,
)
ASK = Ask(id="one-more", cpu=256, memory=512, group="service:web")
DISTINCT = (Constraint(type="distinctInstance"),)


@pytest.mark.parametrize(
    ("host", "ask", "why", "advice"),
    [
        ({}, {"memory": 3000}, "952 MiB short of memory", "Ask for at most 2048 MiB of memory, stop tasks on 00000001"),
        ({}, {"cpu": 2000}, "976 CPU units short", "Ask for at most 1024 CPU units"),
        ({}, {"cpu": 9000}, "7976 CPU units short", "No host is that large even when empty (the largest has 4096 CPU"),
        ({"free_cpu": 0}, {}, "256 CPU units short", "Stop tasks on 00000001"),
        (
            {"gpus": ("g",), "registered_gpus": 2},
            {"gpus": 2},
            "2 GPUs asked, 1 free",
            "Ask for at most 1 GPUs, stop what holds them on 00000001",
        ),
        ({"registered_gpus": 2}, {"gpus": 1}, "1 GPU asked, 0 free", "Stop what holds them on 00000001"),
        ({"registered_gpus": 2}, {"gpus": 3}, "3 GPUs asked, 0 free", "No host has more than 2 GPUs: ask for fewer"),
        ({}, {"gpus": 1}, "1 GPU asked, 0 free", "No host has any GPUs: join one that does: berth agent"),
        ({}, {"resources": (("fpga", 2),)}, "2 fpga asked, 0 free", "--cluster blue --resource fpga=N"),
        ({"ports": frozenset({(80, "tcp")})}, {"ports": ((80, "tcp"),)}, "host port 80/tcp is taken", "hostPort 0"),
        ({"free_addresses": 0}, {"address": True}, "1 address asked, 0 free", "another network"),
        ({}, {"attributes": (RequiredAttribute(name="gpu"),)}, "has no gpu", "--attributes name=gpu,targetId=aaaa"),
        (
            {},
            {"constraints": (Constraint(type="memberOf", expression="attribute:rack in [2]"),)},
            "not attribute:rack in [2]",
            "Join a host that the expression names",
        ),
        ({"groups": {"service:web": 1}}, {"constraints": DISTINCT}, "one of the group is there", "drop distinct"),
        ({"status": "DRAINING"}, {}, "draining", "update-container-instances-state --cluster blue --status ACTIVE"),
        ({"connected": False}, {}, "agent disconnected", "Start the agent of 00000001 again"),
        ({"status": "REGISTERING"}, {}, "not active", "Join a host: berth agent --cluster blue"),
    ],
)
def test_every_reason_says_what_is_short_and_what_to_do(host, ask, why, advice) -> None:
    answer = weigh([replace(HOST, **host)], replace(ASK, **ask))
    (row,) = answer.rows
    assert row.objection is not None
    assert why in lacking(row.objection)
    (step,) = advise(answer, "blue")
    assert advice in step


def test_the_nearest_way_is_advised_first() -> None:
    hosts = [
        replace(HOST, id="h1", status="DRAINING"),
        replace(HOST, id="h2", free_memory=1),
        replace(HOST, id="h3", status="DRAINING"),
    ]
    answer = weigh(hosts, ASK)
    first, second = advise(answer, "blue")
    assert first.startswith("Ask for at most 1 MiB")
    assert second.startswith("Let h1 take tasks again")
    assert [row.host.id for row in answer.rows] == ["h2", "h1", "h3"]


def test_hosts_that_take_it_come_first_and_nothing_is_advised() -> None:
    hosts = [replace(HOST, id="h1", connected=False), replace(HOST, id="h2"), replace(HOST, id="h3")]
    answer = weigh(hosts, ASK)
    assert answer.chosen in ("h2", "h3")
    assert answer.rows[0].host.id == answer.chosen
    assert [row.objection is None for row in answer.rows] == [True, True, False]
    assert list(advise(answer, "blue")) == []


def test_an_ask_is_told_whole() -> None:
    ask = replace(ASK, gpus=2, resources=(("fpga", 1),), ports=((53, "udp"),), address=True, constraints=DISTINCT)
    assert asks_text(ask) == (
        "256 CPU units, 512 MiB, 2 GPUs, 1 fpga, host port 53/udp, an address of its own, distinctInstance"
    )
