"""Join tokens: access keys that let one host join, once, within their time.

Who used one is kept as well, so that an agent whose answer was lost may ask again with the same key.
"""

from sqlalchemy import ForeignKey, String, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from state.access_keys import AccessKey
from state.base import Base


class JoinToken(Base):
    """What makes an access key good for one host only. It goes with its key."""

    __tablename__ = "join_tokens"

    key_id: Mapped[str] = mapped_column(ForeignKey(AccessKey.id, ondelete="CASCADE"), primary_key=True)
    # Written by the agents' door when the token is used: what the agent calls itself, and the key that it got.
    nonce: Mapped[str | None] = mapped_column(String(64))
    host_key_id: Mapped[str | None] = mapped_column(String(128))


def hold_join_token(session: Session, key_id: str) -> JoinToken | None:
    """The token whose key this is, held for this transaction; None for a key with which any number may join."""
    return session.get(JoinToken, key_id, with_for_update=True)


def end_join_token(session: Session, key_id: str) -> bool:
    """End a token before its time; False when there is none."""
    token = select(JoinToken.key_id).where(JoinToken.key_id == key_id)
    ended = session.execute(delete(AccessKey).where(AccessKey.id.in_(token)).returning(AccessKey.id))
    return ended.first() is not None
