"""Images made of what the machine has, where no registry can be reached: a busybox, and a Debian for Berth itself."""

import io
import tarfile
from pathlib import Path

import pytest

from tests.support.engine import LABEL, Engine

BUSYBOX = Path("/bin/busybox")

# One image for all: enough shell to be a task, a job, a web server and its health check.
# fmt: off
APPLETS = (
    "cat", "chmod", "chown", "cut", "date", "dd", "echo", "env", "expr", "false", "grep", "head",
    "hostname", "httpd", "id", "ifconfig", "ip", "kill", "ls", "mkdir", "mkfifo", "mv", "nc", "nslookup",
    "ping", "printenv", "printf", "ps", "pwd", "rm", "sed", "seq", "sh", "sleep", "sort", "stat", "sync",
    "tail", "tee", "test", "timeout", "top", "touch", "tr", "true", "uname", "uniq", "wc", "wget", "which",
    "whoami", "xargs", "yes",
)
# fmt: on


def make_busybox_image(engine: Engine, tag: str, *, changes: tuple[str, ...] = ()) -> str:
    """Import a busybox image as ``tag`` (``name:tag``), about 2 MB, and return ``tag``.

    ``changes`` are Dockerfile lines: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME, WORKDIR.
    The image carries the run's label, and is removed with it.
    """
    name, _, version = tag.rpartition(":")
    engine.client.api.import_image_from_data(
        busybox_tree(),
        repository=name,
        tag=version,
        changes=["ENV PATH=/bin", f"LABEL {LABEL}={engine.run}", 'CMD ["sh"]', *changes],
    )
    return tag


@pytest.fixture(scope="session")
def busybox_image(docker_engine: Engine) -> str:
    """The name of a tiny image on the machine's engine: busybox with ``sh``, ``httpd``, ``wget``, ``sleep``…"""
    return make_busybox_image(docker_engine, f"berth-test/busybox:{docker_engine.run}")


def busybox_tree() -> bytes:
    if not BUSYBOX.exists():
        pytest.fail("the tiny image is made of a static busybox; run: make setup", pytrace=False)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for directory in ("bin", "etc", "proc", "sys", "dev", "tmp", "var", "www"):
            tar.addfile(_entry(directory, type=tarfile.DIRTYPE, mode=0o1777 if directory == "tmp" else 0o755))
        _add_file(tar, "bin/busybox", BUSYBOX.read_bytes(), mode=0o755)
        for applet in APPLETS:
            tar.addfile(_entry(f"bin/{applet}", type=tarfile.SYMTYPE, linkname="busybox"))
        _add_file(tar, "etc/passwd", b"root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
        _add_file(tar, "etc/group", b"root:x:0:\nnogroup:x:65534:\n")
        _add_file(tar, "www/index.html", b"hello from berth\n")
    return packed.getvalue()


def _entry(name: str, **fields: object) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(entry, field, value)
    return entry


def _add_file(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    tar.addfile(_entry(name, size=len(content), mode=mode), io.BytesIO(content))
