"""What a container uses, read from the kernel's files and counted as the engine counts it.

That is: memory without the page cache that can be given back, bytes of the interfaces that the engine made.
"""

from contextlib import suppress

from agent.runtime import Usage
from agent.runtime.cgroup_files import Place, content

# What the engine calls the interfaces that it puts into containers; the agent's own cable has another name.
INTERFACE = b"eth"
IO_V2 = {
    "io_service_bytes": (("Read", b"rbytes"), ("Write", b"wbytes")),
    "io_serviced": (("Read", b"rios"), ("Write", b"wios")),
}
IO_V1 = ("blkio.throttle.{}_recursive", "blkio.throttle.{}")


def usage_of(place: Place) -> Usage:
    """Raises OSError, LookupError and ValueError where the files are not what they should be."""
    networks = networks_of(place).values()
    io = [(op, value) for _, op, value in io_of(place, "io_service_bytes")]
    memory = place.content("memory", "memory.stat")
    in_use = int(place.content("memory", "memory.current" if place.unified else "memory.usage_in_bytes"))
    return Usage(
        cpu_ns=cpu_ns_of(place),
        memory_bytes=max(0, in_use - (_field(memory, b"total_inactive_file") or _field(memory, b"inactive_file"))),
        rx_bytes=sum(numbers[0] for numbers in networks),
        tx_bytes=sum(numbers[8] for numbers in networks),
        read_bytes=sum(value for op, value in io if op == "Read"),
        write_bytes=sum(value for op, value in io if op == "Write"),
    )


def cpu_ns_of(place: Place) -> int:
    """Processor time in nanoseconds."""
    if place.unified:
        return _field(place.content("", "cpu.stat"), b"usage_usec") * 1000
    return int(place.content("cpuacct", "cpuacct.usage"))


def networks_of(place: Place) -> dict[str, list[int]]:
    """The numbers of ``/proc/net/dev`` by interface: eight of what was received, eight of what was sent."""
    found = {}
    for line in content(place.network).splitlines() if place.network else ():
        name, colon, numbers = line.strip().partition(b":")
        if colon and name.startswith(INTERFACE):
            found[name.decode()] = [int(number) for number in numbers.split()]
    return found


def io_of(place: Place, kind: str) -> list[tuple[str, str, int]]:
    """Of each device (``8:0``), and of each kind of operation in version 1's words, the bytes or the number of them.

    ``kind`` is ``io_service_bytes`` or ``io_serviced``. Nothing where the kernel does not count them.
    """
    found: list[tuple[str, str, int]] = []
    if place.unified:
        with suppress(OSError):
            for line in place.content("", "io.stat").splitlines():
                device, *pairs = line.split()
                values = dict(pair.split(b"=", 1) for pair in pairs)
                found += [(device.decode(), op, int(values.get(word, 0))) for op, word in IO_V2[kind]]
        return found
    for name in IO_V1:
        with suppress(OSError):
            lines = [line.decode().split() for line in place.content("blkio", name.format(kind)).splitlines()]
            # The last line is the sum of all devices.
            return [(words[0], words[1], int(words[2])) for words in lines if len(words) == 3]
    return found


def _field(text: bytes, name: bytes) -> int:
    """A number behind its name at the start of a line; 0 where there is none."""
    for line_start in (b"\n" + name + b" ", name + b" "):
        at = text.find(line_start)
        if at == 0 or (at > 0 and line_start.startswith(b"\n")):
            begin = at + len(line_start)
            end = text.find(b"\n", begin)
            return int(text[begin : end if end > 0 else None])
    return 0
