"""What the account has chosen for its registry as a whole: one row, absent until the first choice."""

from dataclasses import dataclass

from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from state.base import Base
from state.repositories import Repository

_ONLY = "registry"


class RegistryAccount(Base):
    """The choices. Their writer is the API, except for ``storage``, which is the registry's."""

    __tablename__ = "registry_account"

    id: Mapped[str] = mapped_column(String(20), primary_key=True, default=_ONLY)
    # The registry policy's text, as the client gave it.
    policy: Mapped[str | None]
    # V1: the registry policy speaks of a few actions alone; V2: of all.
    policy_scope: Mapped[str] = mapped_column(String(10), default="V1")
    blob_mounting: Mapped[str] = mapped_column(String(10), default="ENABLED")
    basic_scan_type: Mapped[str] = mapped_column(String(20), default="AWS_NATIVE")
    # The identity of the storage that has the registry's blobs.
    storage: Mapped[str | None] = mapped_column(String(64))


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyTexts:
    """The policies that speak of a repository, as texts."""

    repository: str | None = None
    registry: str | None = None
    scope: str = "V1"


_BOTH = (
    select(Repository.policy, RegistryAccount.policy, RegistryAccount.policy_scope)
    .select_from(Repository)
    .join(RegistryAccount, RegistryAccount.id == _ONLY, isouter=True)
)
_REGISTRY = select(RegistryAccount.policy, RegistryAccount.policy_scope).where(RegistryAccount.id == _ONLY)


def get_policy_texts(session: Session, repository: str | None) -> PolicyTexts:
    """The policies that speak of the repository, which need not exist; with None the registry's alone."""
    if repository is not None:
        both = session.execute(_BOTH.where(Repository.name == repository)).first()
        if both is not None:
            return PolicyTexts(repository=both[0], registry=both[1], scope=both[2] or "V1")
    row = session.execute(_REGISTRY).first()
    return PolicyTexts() if row is None else PolicyTexts(registry=row[0], scope=row[1])


def get_registry_account(session: Session) -> RegistryAccount:
    """The choices, to be read: the defaults where none was made."""
    return session.get(RegistryAccount, _ONLY) or RegistryAccount(
        id=_ONLY, policy_scope="V1", blob_mounting="ENABLED", basic_scan_type="AWS_NATIVE"
    )


def lock_registry_account(session: Session) -> RegistryAccount:
    """The choices, to be changed: held against other writers until the transaction ends."""
    query = select(RegistryAccount).where(RegistryAccount.id == _ONLY).with_for_update()
    row = session.scalar(query, execution_options={"populate_existing": True})
    if row is None:
        row = get_registry_account(session)
        session.add(row)
        session.flush()
    return row
