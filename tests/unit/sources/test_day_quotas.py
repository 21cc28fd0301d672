from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanpool.sources.day_quotas import googles_next_day, in_refusal


def at(year: int, month: int, day: int, hour: int, minute: int = 0) -> float:
    return datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("now", "end"),
    [
        (at(2026, 1, 15, 12), at(2026, 1, 16, 8)),
        (at(2026, 1, 15, 7, 59), at(2026, 1, 15, 8)),
        (at(2026, 1, 15, 8), at(2026, 1, 16, 8)),
        (at(2026, 7, 15, 12), at(2026, 7, 16, 7)),
        # The clock is put forward on 8 March, and back on 1 November.
        (at(2026, 3, 8, 9), at(2026, 3, 9, 7)),
        (at(2026, 11, 1, 8), at(2026, 11, 2, 8)),
    ],
)
def test_the_day_of_google_ends_at_midnight_in_california(now: float, end: float) -> None:
    assert googles_next_day(now) == end


@given(st.floats(at(2020, 1, 1, 0), at(2100, 1, 1, 0)))
def test_the_next_day_is_ahead_and_no_more_than_25_hours(now: float) -> None:
    assert 0 < googles_next_day(now) - now <= 25 * 3600


@given(st.text() | st.from_regex(r"'quotaId': '\w+PerDay\w*', 'quotaValue': '\d+'"))
def test_no_text_breaks_it(text: str) -> None:
    state = in_refusal(text)
    assert state.requests_per_day is None or state.requests_per_day > 0
