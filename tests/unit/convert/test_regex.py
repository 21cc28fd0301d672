"""Regular expressions for queues: the names that they mean."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanpool.convert.regex import EndlessError, alternatives, matching


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("^orders$", ("orders",)),
        (r"^scan\.vision$", ("scan.vision",)),
        (r"^scan\.(vision|answer)$", ("scan.vision", "scan.answer")),
        ("^(?:a|b)-(c|d)$", ("a-c", "a-d", "b-c", "b-d")),
        ("^(a(b|c)|d)$", ("ab", "ac", "d")),
        ("^(a|)b$", ("ab", "b")),
    ],
)
def test_few_names_are_written_down(expression: str, names: tuple[str, ...]) -> None:
    assert alternatives(expression) == names


@pytest.mark.parametrize(
    "expression",
    ["orders", "^orders", "orders$", "^a|b$", "^a.b$", "^a*$", "^[ab]$", r"^\w$", "^a{2}$", "^(a$",
     "^a)$", "^a\\$", "^(?i)a$"],
)  # fmt: skip
def test_more_names_than_can_be_written_down(expression: str) -> None:
    with pytest.raises(EndlessError):
        alternatives(expression)


@given(st.lists(st.from_regex(r"[a-z.\-]{1,6}", fullmatch=True), min_size=1, max_size=4))
def test_every_alternative_is_matched_by_its_expression(names: list[str]) -> None:
    expression = f"^({'|'.join(map(re.escape, names))})$"
    found = alternatives(expression)
    assert set(found) == set(names)
    assert matching(expression, found) == found
