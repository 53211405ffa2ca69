"""Roles: what the containers of tasks may ask of Berth. One that is not here may do what Berth grants by itself."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import String, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from state.base import Base


class Role(Base):
    """What a role may do, by its name, the last part of its ARN."""

    __tablename__ = "roles"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    # Globs over ``service:Operation``.
    actions: Mapped[list[str]]
    put_at: Mapped[datetime]


def get_role(session: Session, name: str) -> Role | None:
    return session.get(Role, name)


def put_role(session: Session, name: str, actions: Sequence[str], *, now: datetime) -> None:
    """Say what the role may do, in place of what was said before."""
    session.merge(Role(name=name, actions=list(actions), put_at=now))


def list_roles(session: Session) -> Sequence[Role]:
    return session.scalars(select(Role).order_by(Role.name)).all()


def delete_role(session: Session, name: str) -> bool:
    """Forget what was said of the role; False when nothing was."""
    return session.execute(delete(Role).where(Role.name == name).returning(Role.name)).first() is not None
