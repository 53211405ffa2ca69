"""Account settings of ECS: what a principal, or the account as a whole, has chosen over the defaults."""

from collections.abc import Mapping

from sqlalchemy import String, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from state.base import Base


class AccountSetting(Base):
    """One choice. Written by the API; the account's own choices stand under its root principal."""

    __tablename__ = "account_settings"

    principal_arn: Mapped[str] = mapped_column(String(400), primary_key=True)
    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    value: Mapped[str] = mapped_column(String(80))


def account_settings_of(session: Session, principal_arn: str) -> Mapping[str, str]:
    """What the principal itself has chosen, by name."""
    rows = select(AccountSetting.name, AccountSetting.value).where(AccountSetting.principal_arn == principal_arn)
    return dict(session.execute(rows).all())


def put_account_setting(session: Session, principal_arn: str, name: str, value: str) -> None:
    session.merge(AccountSetting(principal_arn=principal_arn, name=name, value=value))


def forget_account_setting(session: Session, principal_arn: str, name: str) -> None:
    session.execute(
        delete(AccountSetting).where(AccountSetting.principal_arn == principal_arn, AccountSetting.name == name)
    )
