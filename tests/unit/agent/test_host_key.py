"""The host's own key: got once, kept across every death of the agent, and missed only where it was taken away."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.control.aws import ApiError, Unreachable
from agent.control.joining import CannotJoin, HostKey
from agent.keys import Keys
from kit.aws.joining import derive_secret

TOKEN = Keys(access_key="AKIATOKEN", secret_key="given")


class Control:
    """A control plane's door: one key for each nonce, and an answer that is lost or refused where a test says so."""

    def __init__(self) -> None:
        self.used: Keys | None = None
        self.given: dict[str, str] = {}
        self.trouble: Exception | None = None
        self.lost = False

    def post(self, path: str, body: Mapping[str, Any], *, keys: Keys) -> Any:
        assert (path, keys) == ("/join", TOKEN)
        if self.trouble is not None:
            raise self.trouble
        key = self.given.setdefault(str(body["nonce"]), f"AKIAHOST{len(self.given)}")
        if self.lost:
            raise Unreachable("the answer was lost")
        return {"accessKeyId": key}

    def use(self, keys: Keys) -> None:
        self.used = keys


def refusal(code: str) -> ApiError:
    return ApiError(code, f"the words of {code}", 403)


def test_the_key_is_kept_and_the_token_needed_once(tmp_path: Path) -> None:
    control = Control()
    HostKey(tmp_path, TOKEN).take_up(control)
    [(nonce, key_id)] = control.given.items()
    own = Keys(access_key=key_id, secret_key=derive_secret("given", nonce=nonce, key_id=key_id))
    assert control.used == own
    assert (tmp_path / "host-key.json").stat().st_mode & 0o777 == 0o600

    again = Control()
    again.trouble = AssertionError("nobody asks for what is there")
    HostKey(tmp_path, None).take_up(again)
    assert again.used == own


def test_a_join_whose_answer_was_lost_is_the_same_join_after_a_restart(tmp_path: Path) -> None:
    control = Control()
    control.lost = True
    for _ in range(2):
        with pytest.raises(Unreachable):
            HostKey(tmp_path, TOKEN).take_up(control)
    control.lost = False
    HostKey(tmp_path, TOKEN).take_up(control)
    assert len(control.given) == 1 and control.used is not None


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("JoinTokenUsed", "the words of JoinTokenUsed"),
        ("ExpiredTokenException", "berth agent token"),
        ("UnrecognizedClientException", "berth agent token"),
    ],
)
def test_a_token_that_lets_nobody_in_any_more_ends_the_agent_with_words(tmp_path: Path, code: str, words: str) -> None:
    control = Control()
    control.trouble = refusal(code)
    with pytest.raises(CannotJoin, match=words):
        HostKey(tmp_path, TOKEN).take_up(control)


@pytest.mark.parametrize("code", ["ServiceUnavailable", "InvalidSignatureException"])
def test_a_trouble_that_passes_is_tried_again(tmp_path: Path, code: str) -> None:
    control = Control()
    control.trouble = refusal(code)
    with pytest.raises(ApiError):
        HostKey(tmp_path, TOKEN).take_up(control)
    control.trouble = None
    HostKey(tmp_path, TOKEN).take_up(control)
    assert control.used is not None


def test_where_nobody_gives_keys_the_given_one_is_used(tmp_path: Path) -> None:
    control = Control()
    control.trouble = refusal("UnknownOperationException")
    HostKey(tmp_path, TOKEN).take_up(control)
    assert control.used is None


def test_a_key_that_was_revoked_is_followed_by_a_new_one_only_with_a_token(tmp_path: Path) -> None:
    control = Control()
    key = HostKey(tmp_path, TOKEN)
    key.take_up(control)
    assert not key.lost(refusal("AccessDeniedException"))
    with pytest.raises(CannotJoin, match="new join token"):
        HostKey(tmp_path, None).lost(refusal("UnrecognizedClientException"))
    assert key.lost(refusal("UnrecognizedClientException"))
    key.take_up(control)
    assert len(control.given) == 2


@pytest.mark.parametrize("kept", ["", "{", "[]", '{"nonce": "n", "more": 1}'])
def test_a_file_that_is_none_is_named(tmp_path: Path, kept: str) -> None:
    (tmp_path / "host-key.json").write_text(kept)
    with pytest.raises(CannotJoin, match=r"host-key\.json"):
        HostKey(tmp_path, TOKEN).take_up(Control())
