"""The roll of collectors at work: a file for each, which is locked while its process works.

A lock ends with its process, however that ends. So of a collector of this machine whose lock is free nothing will come
any more. Of others, and of those before the machine's last start, this cannot be known here.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kit.folders import make_folder
from kit.processes import AlreadyLocked, FolderLock, is_locked

_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Roll:
    """The roll that lies in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def entered(self, name: str) -> Iterator[None]:
        """The collector is at work. Where that cannot be written down, it is taken to be so until its time is over."""
        lock = self._enter(self._folder / name)
        try:
            yield
        finally:
            if lock is not None:
                lock.release()

    def is_dead(self, name: str) -> bool:
        """Whether the collector is known to be at work no more."""
        path = self._folder / name
        try:
            return path.read_text() == _machine() != "" and not is_locked(path)
        except OSError:
            return False

    def strike(self, keep: Collection[str]) -> None:
        """Take those off who are dead and left nothing behind."""
        with suppress(OSError):
            for path in self._folder.iterdir():
                if path.name not in keep and not is_locked(path):
                    path.unlink(missing_ok=True)

    def _enter(self, path: Path) -> FolderLock | None:
        # Written first: a file that is full and free tells of death, and there is nothing of this collector's yet.
        # Whoever strikes it off meanwhile leaves none, or an empty one, which tell nothing.
        with suppress(OSError):
            make_folder(path.parent)
            path.write_text(_machine())
            try:
                return FolderLock(path)
            except AlreadyLocked:
                path.unlink(missing_ok=True)
        return None


def _machine() -> str:
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""
