"""The pause image, made offline: one static program of a few bytes that sleeps until it is told to end.

The program is assembled here for x86-64 and 64-bit ARM: it calls ``pause`` for ever. As process 1 of its
namespace it would ignore SIGTERM without a handler, so it installs one that exits; and children it inherits
from containers that share the namespace end without a trace, since it says that it ignores SIGCHLD.
"""

import io
import struct
import tarfile

from agent.log import facts
from agent.runtime import Runtime
from agent.tasks.pausing import PAUSE_IMAGE

BASE = 0x400000
HEADERS = 64 + 56
MACHINES = {"x86_64": 62, "amd64": 62, "aarch64": 183, "arm64": 183}
SIGTERM = 15
SIGINT = 2
SIGCHLD = 17
IGNORE = struct.pack("<QQQQ", 1, 0, 0, 0)
SA_RESTORER = 0x04000000

log = facts(__name__)


class UnknownMachine(Exception):
    """There is no pause program for this architecture."""


def ensure_pause_image(runtime: Runtime, architecture: str) -> None:
    """Import the pause image unless the engine has it. Raises RuntimeTrouble and UnknownMachine."""
    if not runtime.has_image(PAUSE_IMAGE):
        runtime.import_image(PAUSE_IMAGE, pause_tar(architecture), ('ENTRYPOINT ["/pause"]',))
        log.info("pause image made", image=PAUSE_IMAGE, architecture=architecture)


def pause_tar(architecture: str) -> bytes:
    """A file system of one program, with an instant of 0 so that it is always the same."""
    program = pause_program(architecture)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo("pause")
        entry.size = len(program)
        entry.mode = 0o755
        tar.addfile(entry, io.BytesIO(program))
    return buffer.getvalue()


def pause_program(architecture: str) -> bytes:
    """A static ELF executable."""
    machine = MACHINES.get(architecture)
    if machine is None:
        raise UnknownMachine(f"no pause program for {architecture}; awsvpc tasks cannot run on this host")
    code = _x86_64() if machine == 62 else _aarch64()
    size = HEADERS + len(code)
    header = b"\x7fELF" + bytes([2, 1, 1, 0]) + bytes(8)
    header += struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, BASE + HEADERS, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    # One segment, readable and executable, that is the whole file.
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, BASE, BASE, size, size, 0x1000)
    return header + segment + code


def _x86_64() -> bytes:
    """rt_sigaction(SIGTERM and SIGINT → exit(0), SIGCHLD → ignored), then pause() for ever.

    The kernel's ``sigaction`` is {handler, flags, restorer, mask}, eight bytes each, at the end of the code.
    """

    def on(number: int, action: int) -> bytes:
        return (
            b"\xb8\x0d\x00\x00\x00"  # mov eax, 13 (rt_sigaction)
            + b"\xbf"  # mov edi, signal
            + struct.pack("<I", number)
            + b"\xbe"  # mov esi, &action
            + struct.pack("<I", action)
            + b"\x31\xd2"  # xor edx, edx
            + b"\x41\xba\x08\x00\x00\x00"  # mov r10d, 8
            + b"\x0f\x05"  # syscall
        )

    loop = b"\xb8\x22\x00\x00\x00\x0f\x05\xeb\xf7"  # mov eax, 34 (pause); syscall; jmp back
    leave = b"\x31\xff\xb8\x3c\x00\x00\x00\x0f\x05"  # xor edi, edi; mov eax, 60 (exit); syscall
    handler = BASE + HEADERS + 3 * len(on(SIGTERM, 0)) + len(loop)
    action_at = handler + len(leave)
    action = struct.pack("<QQQQ", handler, SA_RESTORER, handler, 0)
    signals = on(SIGTERM, action_at) + on(SIGINT, action_at) + on(SIGCHLD, action_at + len(action))
    return signals + loop + leave + action + IGNORE


def _aarch64() -> bytes:
    """The same for 64-bit ARM, which has ppoll instead of pause: ppoll(NULL, 0, NULL, NULL)."""
    words: list[int] = []

    def mov(register: int, value: int) -> int:
        return 0xD2800000 | (value & 0xFFFF) << 5 | register  # movz xN, #value

    svc = 0xD4000001
    setup = 3 * 6  # three signals, six instructions each
    loop = [mov(0, 0), mov(1, 0), mov(2, 0), mov(3, 0), mov(8, 73), svc]
    back = 0x14000000 | (-len(loop) & 0x3FFFFFF)  # b to the loop's begin
    leave = [mov(0, 0), mov(8, 93), svc]
    handler_at = setup + len(loop) + 1
    action_at = handler_at + len(leave)
    action_at += action_at % 2
    # An action is 32 bytes, eight words.
    for number, at in ((SIGTERM, action_at), (SIGINT, action_at), (SIGCHLD, action_at + 8)):
        words.append(mov(0, number))
        distance = 4 * (at - len(words))
        words.append(0x10000000 | (distance & 3) << 29 | (distance >> 2) << 5 | 1)  # adr x1, action
        words += [mov(2, 0), mov(3, 8), mov(8, 134), svc]
    words += [*loop, back, *leave]
    code = struct.pack(f"<{len(words)}I", *words)
    code += bytes(4 * action_at - len(code))
    return code + struct.pack("<QQQQ", BASE + HEADERS + 4 * handler_at, 0, 0, 0) + IGNORE
