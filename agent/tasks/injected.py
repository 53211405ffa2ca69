"""What is put into a container beyond its payload, fetched anew for each launch and kept nowhere."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.runtime import RegistryLogin


@dataclass(frozen=True, slots=True, kw_only=True)
class Injected:
    """``defaults`` give way to the payload's environment, ``environment`` goes before it.

    ``files`` are tars by the directory in the container that they are unpacked in before it starts.
    """

    defaults: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    log_driver: str = ""
    log_options: Mapping[str, str] = field(default_factory=dict)
    binds: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    login: RegistryLogin | None = None

    def with_more(self, other: "Injected") -> "Injected":
        """This and ``other``, which goes before it where both say something."""
        return Injected(
            defaults={**self.defaults, **other.defaults},
            environment={**self.environment, **other.environment},
            log_driver=other.log_driver or self.log_driver,
            log_options={**self.log_options, **other.log_options},
            binds=self.binds + other.binds,
            volumes=self.volumes + other.volumes,
            files={**self.files, **other.files},
            login=other.login or self.login,
        )

    def __repr__(self) -> str:
        """Names alone: values are secrets."""
        return f"Injected({sorted([*self.defaults, *self.environment, *self.log_options])})"


NOTHING = Injected()
