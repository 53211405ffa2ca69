"""The few words of rtnetlink that the agent needs: links, addresses and routes, without an external program.

Every call works in the network namespace of the calling thread and raises OSError with the kernel's reason.
Source: rtnetlink(7), netlink(7) and the kernel's ``linux/rtnetlink.h``, ``if_link.h``, ``veth.h``.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address

NEW_LINK, DELETE_LINK, SET_LINK, NEW_ADDRESS, NEW_ROUTE = 16, 17, 19, 20, 24
REQUEST, ACKNOWLEDGE, REPLACE, CREATE, EXCLUSIVE = 0x1, 0x4, 0x100, 0x400, 0x200
ERROR = 2
# Attributes of links, of addresses and of routes.
LINK_NAME, LINK_INFO, LINK_FAMILIES, LINK_NAMESPACE = 3, 18, 26, 28
INET_CONF, CONF_FORWARDING = 1, 1
INFO_KIND, INFO_DATA, VETH_PEER = 1, 2, 1
ADDRESS_WHOLE, ADDRESS_LOCAL = 1, 2
ROUTE_TO, ROUTE_OUT, ROUTE_VIA, ROUTE_FROM = 1, 4, 5, 7
UP = 0x1
MAIN_TABLE, BY_BOOT, UNICAST = 254, 3, 1
WHOLE_WORLD, THIS_LINK = 0, 253
ON_LINK = 4
_HEADER = struct.Struct("=IHHII")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBi")
_ROUTE = struct.Struct("=BBBBBBBBI")


def add_veth(name: str, peer: str, namespace: int) -> None:
    """Make a pair of virtual interfaces: ``name`` here, ``peer`` in the namespace of that file descriptor."""
    other = _attribute(LINK_NAME, _text(peer)) + _attribute(LINK_NAMESPACE, struct.pack("=I", namespace))
    data = _attribute(VETH_PEER, _LINK.pack(0, 0, 0, 0, 0) + other)
    info = _attribute(INFO_KIND, b"veth") + _attribute(INFO_DATA, data)
    body = _LINK.pack(0, 0, 0, 0, 0) + _attribute(LINK_NAME, _text(name)) + _attribute(LINK_INFO, info)
    _ask(NEW_LINK, CREATE | EXCLUSIVE, body)


def delete_link(name: str) -> None:
    """Remove an interface, and with it its peer."""
    _ask(DELETE_LINK, 0, _LINK.pack(0, 0, _index(name), 0, 0))


def set_up(name: str) -> None:
    _ask(NEW_LINK, 0, _LINK.pack(0, 0, _index(name), UP, UP))


def forbid_forwarding(name: str) -> None:
    """Let nothing that comes in by the interface go on to another."""
    setting = _attribute(INET_CONF, _attribute(CONF_FORWARDING, struct.pack("=I", 0)))
    body = _LINK.pack(0, 0, _index(name), 0, 0)
    _ask(SET_LINK, 0, body + _attribute(LINK_FAMILIES, _attribute(socket.AF_INET, setting)))


def add_address(name: str, address: str) -> None:
    """Give the interface this one address; one that it has already is fine."""
    packed = IPv4Address(address).packed
    body = _ADDRESS.pack(socket.AF_INET, 32, 0, WHOLE_WORLD, _index(name))
    body += _attribute(ADDRESS_LOCAL, packed) + _attribute(ADDRESS_WHOLE, packed)
    _ask(NEW_ADDRESS, CREATE | REPLACE, body)


def add_route(to: str, out: str, *, source: str = "") -> None:
    """Reach one address directly through an interface."""
    body = _ROUTE.pack(socket.AF_INET, 32, 0, 0, MAIN_TABLE, BY_BOOT, THIS_LINK, UNICAST, 0)
    body += _attribute(ROUTE_TO, IPv4Address(to).packed)
    body += _attribute(ROUTE_OUT, struct.pack("=i", _index(out)))
    if source:
        body += _attribute(ROUTE_FROM, IPv4Address(source).packed)
    _ask(NEW_ROUTE, CREATE | REPLACE, body)


def add_default_route(via: str, out: str) -> None:
    """Reach everything else through a neighbour on that interface."""
    body = _ROUTE.pack(socket.AF_INET, 0, 0, 0, MAIN_TABLE, BY_BOOT, WHOLE_WORLD, UNICAST, ON_LINK)
    body += _attribute(ROUTE_VIA, IPv4Address(via).packed)
    body += _attribute(ROUTE_OUT, struct.pack("=i", _index(out)))
    _ask(NEW_ROUTE, CREATE | REPLACE, body)


def _index(name: str) -> int:
    try:
        return socket.if_nametoindex(name)
    except OSError as error:
        raise OSError(errno.ENODEV, f"no interface {name}") from error


def _ask(kind: int, flags: int, body: bytes) -> None:
    """Send one request and wait for the kernel's word on it."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as link:
        link.settimeout(10)
        link.bind((0, 0))
        link.send(_HEADER.pack(_HEADER.size + len(body), kind, REQUEST | ACKNOWLEDGE | flags, 1, 0) + body)
        for answer, payload in _messages(link.recv(65536)):
            if answer == ERROR:
                code = -struct.unpack_from("=i", payload)[0]
                if code:
                    raise OSError(code, os.strerror(code))
                return
    raise OSError("the kernel gave no answer")


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _HEADER.size:
        length, kind, *_ = _HEADER.unpack_from(data)
        yield kind, data[_HEADER.size : length]
        data = data[(length + 3) & ~3 :] if length else b""


def _attribute(kind: int, value: bytes) -> bytes:
    length = 4 + len(value)
    return struct.pack("=HH", length, kind) + value + bytes(-length % 4)


def _text(name: str) -> bytes:
    return name.encode() + b"\0"
