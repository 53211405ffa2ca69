"""The pages made from code say what the code says."""

import pytest

from docs.generate import HERE, pages


@pytest.mark.parametrize("name", sorted(pages()))
def test_a_made_page_is_what_make_docs_would_write(name: str) -> None:
    assert (HERE / name).read_text() == pages()[name], "run: make docs"
