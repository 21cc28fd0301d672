from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanpool.models.googles_day import day_quota, next_day, used_up_until


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
    assert next_day(now) == end


@given(st.floats(at(2020, 1, 1, 0), at(2100, 1, 1, 0)))
def test_the_next_day_is_ahead_and_no_more_than_25_hours(now: float) -> None:
    assert 0 < next_day(now) - now <= 25 * 3600


@pytest.mark.parametrize(
    ("now", "end"),
    [
        # Yesterday's may still be counted an hour after midnight.
        (at(2026, 1, 15, 8), None),
        (at(2026, 1, 15, 8, 59), None),
        (at(2026, 1, 15, 9), at(2026, 1, 16, 8)),
        (at(2026, 7, 15, 7, 59), None),
        (at(2026, 7, 15, 8), at(2026, 7, 16, 7)),
        (at(2026, 7, 15, 6, 59), at(2026, 7, 15, 7)),
    ],
)
def test_what_is_used_up_just_after_midnight_may_be_yesterdays(
    now: float, end: float | None
) -> None:
    assert used_up_until(now) == end


FREE = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (FREE, FREE),
        (f"429 RESOURCE_EXHAUSTED {FREE}.", FREE),
        ("GenerateContentInputTokensPerModelPerDay", "GenerateContentInputTokensPerModelPerDay"),
        ("Gemini25ProRequestsPerDay", "Gemini25ProRequestsPerDay"),
        ("x.googleapis.com/requests_per_model_per_day", "requests_per_model_per_day"),
        (
            "limit 'Pro Requests per day per user' of service 'x.googleapis.com'",
            "Pro Requests per day per user",
        ),
        ("GenerateRequestsPerMinutePerProjectPerModel", None),
        ("RESOURCE_EXHAUSTED", None),
        ("requests per day", None),
        ("free-models-per-day", None),
        ("OncePerDayling", None),
        ("limit 'x per day' of service 'example.com'", None),
    ],
)  # fmt: skip
def test_googles_names_of_a_day(text: str, named: str | None) -> None:
    assert day_quota(text) == named
