"""Credentials for other registries: kept sealed, and opened when another registry is asked for something.

AWS keeps them in Secrets Manager, as ``{"username", "accessToken"}``. There is none here, so an operator hands them to
this store (``berth registry credentials``), under the ARN that such a secret would have.
"""

import json
import re
from datetime import datetime

from sqlalchemy.orm import Session

from kit.ids import Arns
from kit.secrets import SecretBox, Undecipherable
from registry.upstream import Login
from state.upstream_credentials import UpstreamCredential, get_credential

_NAME = re.compile(r"[a-zA-Z0-9/_+=.@-]{1,480}")
_LONGEST = 65536


class NoCredentials(Exception):
    """There are no credentials under this ARN."""


class SealedElsewhere(Exception):
    """The credentials under this ARN cannot be opened with this installation's master key."""


def credential_arn(arns: Arns, name: str) -> str:
    """The ARN of the credentials called ``name``; raises ValueError where that cannot be in one."""
    if not _NAME.fullmatch(name):
        raise ValueError("a name has letters, digits and /_+=.@- alone, 480 at most")
    return arns.of("secretsmanager", f"secret:ecr-pullthroughcache/{name}")


def keep_login(session: Session, secrets: SecretBox, arn: str, login: Login, *, now: datetime) -> None:
    """Keep the credentials, in place of those that were there; raises ValueError for what cannot be a login."""
    if not login.username or not login.password or ":" in login.username:
        raise ValueError("a user name without a colon, and a password, are needed")
    text = json.dumps({"username": login.username, "accessToken": login.password})
    if len(text) > _LONGEST:
        raise ValueError("the credentials are too long")
    session.merge(UpstreamCredential(arn=arn, sealed=secrets.encrypt(text), updated_at=now))


def open_login(session: Session, secrets: SecretBox, arn: str) -> Login:
    """The credentials under an ARN; raises NoCredentials, SealedElsewhere."""
    kept = get_credential(session, arn)
    if kept is None:
        raise NoCredentials(arn)
    try:
        said = json.loads(secrets.decrypt(kept.sealed))
    except Undecipherable:
        raise SealedElsewhere(arn) from None
    return Login(username=said["username"], password=said["accessToken"])
