"""What the table shows of a pool, and how its figures went."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import pool
from scanpool.models.conditions import LimitedBy
from scanpool.top.rows import BLOCKS, HISTORY_LENGTH, Row, Sample, remember, row, sparkline

SPEC = pool().model_dump(mode="json", by_alias=True, exclude_none=True)


def body(**status: Any) -> dict[str, Any]:
    metadata = {"namespace": "scan", "name": "worker", "uid": "u"}
    return {"metadata": metadata, "spec": SPEC, "status": status}


def ready(status: str = "True", reason: str = "Reconciled") -> dict[str, Any]:
    moment = "2026-11-25T00:00:00Z"
    return {
        "type": "Ready", "status": status, "reason": reason, "message": "m",
        "lastTransitionTime": moment, "observedGeneration": 1,
    }  # fmt: skip


def test_a_row_has_the_figures_of_the_status() -> None:
    llm = {
        "usedTokensPerMinute": 1_500_000, "limitTokensPerMinute": 2_000_000,
        "headroomTokensPerMinute": 500_000,
    }  # fmt: skip
    found = row(
        body(
            replicas=3, readyReplicas=2, desiredReplicas=4, limitedBy="Tokens", backlog=80,
            llm=llm, conditions=[ready()],
        )
    )  # fmt: skip
    assert found == Row(
        "scan", "worker", Sample(1_500_000, 80, 3), ready=2, desired=4,
        limited_by=LimitedBy.TOKENS, limit=2_000_000, headroom=500_000,
    )  # fmt: skip


def test_a_row_names_which_of_several_limits_binds() -> None:
    assert row(body(bindingLlm="gpt", conditions=[ready()])).binding == "gpt"
    assert row(body(conditions=[ready()])).binding is None


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        ({}, "no status yet"),
        ({"conditions": "many"}, "status of another version"),
        ({"limitedBy": "Luck", "conditions": [ready()]}, "status of another version"),
        ({"conditions": [ready("False", "BrokerUnreachable")]}, "BrokerUnreachable"),
        ({"conditions": [ready()]}, ""),
    ],
)
def test_trouble_is_named(status: dict[str, Any], trouble: str) -> None:
    found = row(body(**status))
    assert found.trouble == trouble
    assert found.sample == Sample(), "unknown is not zero"


@pytest.mark.parametrize(
    ("values", "full", "line"),
    [
        ([], None, ""),
        ([0, 0], None, "▁▁"),
        ([0, 4, 8], None, "▁▅█"),
        ([None, 8], None, " █"),
        ([1, 1_000_000], None, "▂█"),
        ([5, 10], 10, "▅█"),
        ([20], 10, "█"),
        ([0], 10, "▁"),
    ],
)
def test_a_sparkline(values: list[int | None], full: int | None, line: str) -> None:
    assert sparkline(values, full) == line


@given(st.lists(st.integers(0, 10**12) | st.none()), st.none() | st.integers(1, 10**12))
def test_a_sparkline_has_a_column_for_each_value_and_never_hides_one(
    values: list[int | None], full: int | None
) -> None:
    line = sparkline(values, full)
    assert len(line) == len(values)
    for value, block in zip(values, line, strict=True):
        assert (block == " ") == (value is None)
        assert value is None or (block == BLOCKS[0]) == (value == 0)


@given(st.lists(st.sets(st.integers(0, 5)), max_size=80))
def test_the_history_is_bounded_and_of_pools_that_are_there(looks: list[set[int]]) -> None:
    history: Any = {}
    for number, names in enumerate(looks):
        rows = [Row("n", str(name), Sample(replicas=number)) for name in names]
        history = remember(history, rows)
        assert {name for _, name in history} == {str(name) for name in names}
        for samples in history.values():
            assert 1 <= len(samples) <= HISTORY_LENGTH
            assert samples[-1].replicas == number
