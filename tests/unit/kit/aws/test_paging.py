"""Pages: every item once, whatever comes and goes in between, and tokens that fit only the question they are from."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.aws.errors import ClientException, InvalidParameterException
from kit.aws.paging import decode_token, encode_token, page, scope_of

SCOPE = scope_of("ListTasks", cluster="default", family=None)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@settings(deadline=None, derandomize=True)
@given(values)
def test_a_token_gives_back_what_was_put_in(value: Any) -> None:
    token = encode_token(value, scope=SCOPE)
    assert token.replace("-", "").replace("_", "").isalnum()
    assert decode_token(token, scope=SCOPE) == value


def test_a_token_fits_no_other_question_and_no_alteration() -> None:
    token = encode_token({"after": "task/7"}, scope=SCOPE)
    for other in (scope_of("ListTasks", cluster="other", family=None), scope_of("ListServices", cluster="default")):
        with pytest.raises(InvalidParameterException):
            decode_token(token, scope=other)
    altered = [token[:i] + ("A" if token[i] != "A" else "B") + token[i + 1 :] for i in range(len(token) - 1)]
    for wrong in (*altered, token[:-4], token + "AAAA", "", "é", "x" * 10_000, "====", "not a token"):
        with pytest.raises(ClientException):
            decode_token(wrong, scope=SCOPE, error=ClientException)


def test_pages_hold_every_item_once() -> None:
    items = [f"{i:03}" for i in range(25)]
    seen: list[str] = []
    token: str | None = None
    sizes = []
    while True:
        given_out, token = page(items, key=lambda item: item, limit=10, token=token, scope=SCOPE)
        seen += given_out
        sizes.append(len(given_out))
        if token is None:
            break
    assert (seen, sizes) == (items, [10, 10, 5])


def test_no_token_when_the_last_page_is_full_and_none_for_nothing() -> None:
    assert page(["a", "b"], key=str, limit=2, token=None, scope=SCOPE) == (["a", "b"], None)
    assert page([], key=str, limit=2, token=None, scope=SCOPE) == ([], None)
    assert page(["a"], key=str, limit=2, token="", scope=SCOPE) == (["a"], None)


def test_items_that_come_and_go_move_no_others_across_a_page() -> None:
    first, token = page(["b", "d", "f", "h"], key=str, limit=2, token=None, scope=SCOPE)
    second, token = page(["a", "c", "e", "f", "h"], key=str, limit=2, token=token, scope=SCOPE)
    assert (first, second) == (["b", "d"], ["e", "f"])


def test_keys_may_be_tuples() -> None:
    items = [(1, "a"), (1, "b"), (2, "a")]
    _, token = page(items, key=lambda item: item, limit=2, token=None, scope=SCOPE)
    assert page(items, key=lambda item: item, limit=2, token=token, scope=SCOPE) == ([(2, "a")], None)
    with pytest.raises(InvalidParameterException):
        page(["a"], key=str, limit=2, token=encode_token(7, scope=SCOPE), scope=SCOPE)
