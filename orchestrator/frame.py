"""The frame around every operation: answer repeats, open the transaction, run, commit, log.

Authentication, authorisation, decoding, validation and encoding are the gateway's (``kit.aws``); this is what it calls
for one decoded call. A request that carries a client token is answered once: its answer is kept in the same
transaction as what it did, so a repeat, also after a crash, gets that answer and does nothing.
"""

import hashlib
import json
import logging
import secrets as randomness
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from kit.aws.errors import AwsError, ServiceUnavailable
from kit.aws.gateway import Invocation
from kit.clock import monotonic
from kit.ids import Arns
from orchestrator.call import Call
from orchestrator.errand import Errand, Tools
from scheduler.fleets import Fleets
from state.client_tokens import ClientToken, get_client_token
from state.store import Session, Store, StoreBusy, StoreUnavailable

log = logging.getLogger(__name__)
TOKEN_LIFE = timedelta(hours=24)
LONGEST_TOKEN = 128


class ConflictException(AwsError):
    """The provided clientToken is already in use with a different request."""


def make_execute(store: Store, tools: Tools, *, fleets: Fleets | None = None) -> Callable[[Invocation], dict[str, Any]]:
    """The function that the gateway calls for each decoded call."""
    settings = tools.settings
    arns = Arns(settings.account, settings.region)
    fleets = fleets or Fleets()

    def execute(invocation: Invocation) -> dict[str, Any]:
        started = monotonic()
        name = f"{invocation.service.name}:{invocation.operation}"
        seed = randomness.randbits(32)

        def enter(session: Session) -> Call:
            return Call(
                session=session,
                caller=invocation.caller,
                now=invocation.at,
                request_id=invocation.request_id,
                seed=seed,
                arns=arns,
                settings=settings,
                secrets=tools.secrets,
                fleets=fleets,
                source_ip=invocation.source_ip,
                secure=invocation.secure,
                path=invocation.path,
            )

        def admit(session: Session) -> Call:
            call = enter(session)
            if invocation.service.authorize is not None:
                invocation.service.authorize(call, invocation.operation, invocation.params)
            return call

        def work(session: Session) -> dict[str, Any]:
            return answer_once(admit(session), invocation, name)

        try:
            if invocation.outside:
                store.read(admit)
                errand = Errand(store=store, caller=invocation.caller, tools=tools, enter=enter)
                answer = invocation.handler(errand, invocation.params) or {}
            else:
                answer = store.read(work) if invocation.readonly else store.transact(work)
        except (StoreBusy, StoreUnavailable) as trouble:
            raise ServiceUnavailable(str(trouble)) from trouble
        log.debug(
            "operation answered",
            extra={"operation": name, "request": invocation.request_id, "ms": (monotonic() - started) * 1000},
        )
        return answer

    return execute


def answer_once(call: Call, invocation: Invocation, name: str) -> dict[str, Any]:
    """Run the handler; with a client token, only if that token has not been answered before."""
    token = invocation.client_token
    if token is None or invocation.readonly:
        return invocation.handler(call, invocation.params) or {}
    if len(token) > LONGEST_TOKEN:
        # Longer than the column; some operations' models set no bound.
        token = hashlib.sha256(token.encode()).hexdigest()
    kept = get_client_token(call.session, name, token, now=call.now)
    if kept is not None:
        if kept.fingerprint != invocation.fingerprint:
            raise ConflictException
        return _thaw(kept.answer)
    answer = invocation.handler(call, invocation.params) or {}
    call.session.merge(
        ClientToken(
            operation=name,
            token=token,
            fingerprint=invocation.fingerprint,
            answer=_freeze(answer),
            expires_at=call.now + TOKEN_LIFE,
        )
    )
    return answer


def _freeze(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer as plain JSON, instants marked."""

    def mark(value: Any) -> Any:
        if isinstance(value, datetime):
            return {"$at": value.isoformat()}
        raise TypeError(f"an answer cannot hold {type(value).__name__}")

    frozen: dict[str, Any] = json.loads(json.dumps(answer, default=mark))
    return frozen


def _thaw(answer: dict[str, Any]) -> dict[str, Any]:
    def unmark(value: dict[str, Any]) -> Any:
        return datetime.fromisoformat(value["$at"]) if value.keys() == {"$at"} else value

    thawed: dict[str, Any] = json.loads(json.dumps(answer), object_hook=unmark)
    return thawed
