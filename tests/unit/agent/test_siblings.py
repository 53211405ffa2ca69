"""Where an agent looks for room when another network has the addresses it was told to use."""

from ipaddress import IPv4Network

from agent.app import siblings


def test_the_next_networks_of_the_same_size_are_tried() -> None:
    found = [IPv4Network(cidr) for cidr in siblings("10.233.0.0/20")]
    assert [str(network) for network in found[:2]] == ["10.233.16.0/20", "10.233.32.0/20"]
    assert len(found) == 15
    assert all(network.subnet_of(IPv4Network("10.233.0.0/16")) for network in found)


def test_a_large_network_has_none_and_a_small_one_not_too_many() -> None:
    assert list(siblings("10.0.0.0/8")) == []
    assert 0 < len(list(siblings("10.233.0.0/28"))) < 64
