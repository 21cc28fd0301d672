"""Pools as YAML: what is read back, and where comments stand."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from scanpool.convert.notes import Effect, Note
from scanpool.convert.text import WIDTH, render

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
SCALARS = TEXT | st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.dictionaries(TEXT, inner, max_size=4)
        | st.lists(st.dictionaries(TEXT, inner, min_size=1, max_size=3), max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(TEXT, VALUES, max_size=5), st.lists(TEXT, max_size=3))
def test_what_is_written_is_read_back(value: dict[str, object], words: list[str]) -> None:
    notes = [Note((word,), Effect.NONE, "said") for word in words]
    assert (yaml.safe_load(render(value, notes)) or {}) == value


@pytest.mark.parametrize(
    "word",
    ["true", "No", "null", "1e3", "0x1", "~", "2026-01-01", "a: b", "- a", "#", "", "é", "\n"],
)
def test_text_stays_text(word: str) -> None:
    assert yaml.safe_load(render({"a": word}, [])) == {"a": word}


def test_a_comment_stands_before_what_it_is_about() -> None:
    pool = {"spec": {"min": 1, "queues": [{"name": "a", "count": 1}, {"name": "b", "count": 2}]}}
    notes = [
        Note(("spec", "min"), Effect.CHANGED, "one"),
        Note(("spec", "queues", "b"), Effect.NONE, "two"),
        Note(("spec", "queues", "b", "count"), Effect.NONE, "three"),
        Note(("spec", "fallback", "replicas"), Effect.TO_DO, "four"),
        Note(("status",), Effect.NONE, "five"),
    ]
    assert render(pool, notes) == (
        "spec:\n"
        "  # CHANGED: one\n"
        "  min: 1\n"
        "  queues:\n"
        "  - name: a\n"
        "    count: 1\n"
        "  # two\n"
        "  - name: b\n"
        "    # three\n"
        "    count: 2\n"
        "  # TO DO: four\n"
        "# five\n"
    )


def test_a_long_comment_is_folded() -> None:
    text = render({"a": {"b": 1}}, [Note(("a", "b"), Effect.NONE, "word " * 60)])
    comments = [line for line in text.splitlines() if "#" in line]
    assert len(comments) > 1
    assert all(line.startswith("  # ") and len(line) <= WIDTH for line in comments)
