"""Parameters: names in hierarchies with values in versions, each sealed with the installation's master key."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, String, Text, and_, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from state.base import Base
from state.log_groups import starts_with

PARAMETER_NAME = String(1011)


class Parameter(Base):
    """One parameter. Its writer is the API."""

    __tablename__ = "parameters"

    name: Mapped[str] = mapped_column(PARAMETER_NAME, primary_key=True)
    latest: Mapped[int]
    tags: Mapped[list[dict[str, Any]]]
    version: Mapped[int] = mapped_column(default=1)

    __mapper_args__ = {"version_id_col": version}


class ParameterVersion(Base):
    """One value of a parameter and what was said of it; only its labels change."""

    __tablename__ = "parameter_versions"

    name: Mapped[str] = mapped_column(ForeignKey("parameters.name", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    # String, StringList or SecureString; all three are sealed.
    type: Mapped[str] = mapped_column(String(12))
    # Read only where a value is asked for: versions are many, and values long.
    sealed: Mapped[str] = mapped_column(Text, deferred=True)
    tier: Mapped[str] = mapped_column(String(24))
    data_type: Mapped[str] = mapped_column(String(128))
    description: Mapped[str | None] = mapped_column(String(1024))
    allowed_pattern: Mapped[str | None] = mapped_column(String(1024))
    labels: Mapped[list[str]]
    modified_at: Mapped[datetime]
    modified_by: Mapped[str] = mapped_column(String(400))


def get_parameter(session: Session, name: str, *, hold: bool = False) -> Parameter | None:
    """The parameter of that name. ``hold`` makes other writers of it wait."""
    query = select(Parameter).where(Parameter.name == name)
    return session.scalars(query.with_for_update() if hold else query).one_or_none()


def list_parameter_versions(session: Session, name: str) -> Sequence[ParameterVersion]:
    """All versions of the parameter, the oldest first."""
    query = select(ParameterVersion).where(ParameterVersion.name == name)
    return session.scalars(query.order_by(ParameterVersion.number)).all()


def list_latest(
    session: Session, *, prefix: str, after: str, limit: int
) -> Sequence[tuple[Parameter, ParameterVersion]]:
    """Parameters whose names begin with ``prefix``, each with its latest version, by name, those after ``after``."""
    query = (
        select(Parameter, ParameterVersion)
        .join(
            ParameterVersion,
            and_(ParameterVersion.name == Parameter.name, ParameterVersion.number == Parameter.latest),
        )
        .where(Parameter.name > after)
    )
    if prefix:
        query = query.where(starts_with(Parameter.name, prefix))
    rows = session.execute(query.order_by(Parameter.name).limit(limit)).all()
    return [(parameter, version) for parameter, version in rows]


def discard_parameter(session: Session, parameter: Parameter) -> None:
    """Delete the parameter and all its values."""
    session.execute(delete(ParameterVersion).where(ParameterVersion.name == parameter.name))
    session.delete(parameter)
