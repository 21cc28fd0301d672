import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanpool.models.observation import ProviderState
from scanpool.sources.openai_headers import (
    empty_day_reset,
    limit_in_message,
    limits_in_headers,
    parse_duration,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("9ms", 0.009),
        ("1s", 1),
        ("6m0s", 360),
        ("4m12.172s", 252.172),
        ("23h18m29.144s", 83_909.144),
        ("0s", 0),
        ("250µs", 0.00025),
        (" 1.5s ", 1.5),
        ("60", 60),
        ("0.25", 0.25),
    ],
)
def test_durations_as_go_writes_them_and_plain_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "s", "-1s", "1x", "1s!", "1s 2s", "1m-2s", "nan", "inf", "1e3", "٣s", "9" * 99]
)
def test_anything_else_is_no_duration(text: str) -> None:
    assert parse_duration(text) is None


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_a_duration_is_the_sum_of_its_parts(h: int, m: int, s: int, ms: int) -> None:
    assert parse_duration(f"{h}h{m}m{s}.{ms:03}s") == pytest.approx(
        h * 3600 + m * 60 + s + ms / 1e3
    )


@given(st.text(max_size=60))
def test_no_text_breaks_the_duration_parser(text: str) -> None:
    seconds = parse_duration(text)
    assert seconds is None or seconds >= 0


def headers(limit: object, remaining: object, reset: str, bucket: str = "tokens") -> dict[str, str]:
    return {
        f"x-ratelimit-limit-{bucket}": str(limit),
        f"x-ratelimit-remaining-{bucket}": str(remaining),
        f"x-ratelimit-reset-{bucket}": reset,
    }


@pytest.mark.parametrize(
    ("given", "limit"),
    [
        (headers(2_000_000, 1_999_800, "6ms"), 2_000_000),
        (headers(10_000, 0, "1m0s"), 10_000),
        # A gateway that counts in fixed minutes.
        (headers(1_000, 999, "42s"), 1_000),
        # Buckets of a day, nearly empty and nearly full.
        (headers(200_000, 5_774, "23h18m29.144s"), None),
        (headers(200_000, 199_900, "43.2s"), None),
        # Of an hour, and of who knows what.
        (headers(200_000, 100_000, "30m0s"), None),
        (headers(200_000, "?", "5m0s"), None),
        ({"x-ratelimit-limit-tokens": "30000"}, 30_000),
        (headers(30_000, "?", "soon"), 30_000),
        (headers(-1, -1, "0s"), None),
        (headers(0, 0, "0s"), None),
        ({}, None),
        (
            headers(2_000_000, 2_000_000, "0s") | headers(500_000, 1, "59s", "project-tokens"),
            500_000,
        ),
        (headers(400_000, 1, "59s") | headers(500_000, 1, "59s", "project-tokens"), 400_000),
        (headers(-1, 0, "0s") | headers(500_000, 1, "59s", "project-tokens"), 500_000),
    ],
)
def test_the_token_limit_is_the_smaller_one_of_a_minute(
    given: dict[str, str], limit: int | None
) -> None:
    assert limits_in_headers(given).tokens_per_minute == limit


@pytest.mark.parametrize(
    ("headers", "level"),
    [
        ({"limit-tokens": "2000000", "remaining-tokens": "1500000"}, 1_500_000),
        ({"limit-tokens": "2000000", "remaining-tokens": "0"}, 0),
        (
            {
                "limit-tokens": "2000000",
                "remaining-tokens": "1500000",
                "limit-project-tokens": "1000000",
                "remaining-project-tokens": "900000",
            },
            900_000,
        ),
        ({"remaining-tokens": "1500000"}, None),
        ({"limit-tokens": "2000000", "remaining-tokens": "-1"}, None),
        ({"limit-tokens": "2000000", "remaining-tokens": "2000001"}, None),
        (
            {"limit-tokens": "2000000", "remaining-tokens": "9", "reset-tokens": "23h18m29.144s"},
            None,
        ),
    ],
)
def test_the_level_is_that_of_the_emptiest_minutes_bucket(
    headers: dict[str, str], level: int | None
) -> None:
    named = {f"x-ratelimit-{name}": text for name, text in headers.items()}
    assert limits_in_headers(named).tokens_remaining == level


def test_ten_thousand_requests_a_day_are_not_a_limit_per_minute() -> None:
    daily = headers(10_000, 9_999, "8.64s", "requests")
    assert limits_in_headers(daily).requests_per_minute is None
    assert limits_in_headers(daily).requests_per_day == 10_000
    usual = headers(10_000, 9_999, "6ms", "requests")
    assert limits_in_headers(usual).requests_per_minute == 10_000
    assert limits_in_headers(usual).requests_per_day is None


@pytest.mark.parametrize(
    ("told", "per_day", "reset"),
    [
        (headers(200, 0, "7h12m0s", "requests"), 200, 25_920),
        (headers(200, 5, "7h12m0s", "requests"), 200, None),
        (headers(200, 0, "1m0s", "requests"), None, None),
        (headers(14_400, 0, "9h0m0s", "requests-day"), 14_400, 32_400),
        ({"x-ratelimit-limit-requests-day": "14400"}, 14_400, None),
        (headers(100, 0, "10m0s", "requests") | {"x-ratelimit-renewalperiod-requests": "86400"},
         100, 600),
        # Tokens of a day are used up, too, and whichever comes back last counts.
        (headers(1_000_000, 0, "20h0m0s") | headers(200, 0, "7h12m0s", "requests"), 200, 72_000),
        ({}, None, None),
    ],
)  # fmt: skip
def test_a_days_requests_and_when_an_empty_day_ends(
    told: dict[str, str], per_day: int | None, reset: float | None
) -> None:
    assert limits_in_headers(told).requests_per_day == per_day
    assert empty_day_reset(told) == reset


@given(st.integers(1, 40_000_000), st.data())
def test_a_minutes_bucket_is_never_taken_for_a_days(limit: int, data: st.DataObject) -> None:
    remaining = data.draw(st.integers(0, limit))
    reset = 60 * (limit - remaining) / limit
    told = headers(limit, remaining, f"{reset:.3f}s")
    assert limits_in_headers(told).tokens_per_minute == limit


@given(st.integers(1_000, 40_000_000), st.data())
def test_a_days_bucket_is_never_taken_for_a_minutes(limit: int, data: st.DataObject) -> None:
    remaining = data.draw(st.integers(0, limit - 1))
    reset = 86_400 * (limit - remaining) / limit
    if reset > 2:  # below, slack and rounding hide the period
        told = headers(limit, remaining, f"{reset:.3f}s")
        assert limits_in_headers(told).tokens_per_minute is None


ON = "Rate limit reached for gpt-5.2 in organization org-x on"


@pytest.mark.parametrize(
    ("message", "limit"),
    [
        (
            f"{ON} tokens per min (TPM): Limit 2000000, Used 2000000, Requested 1482.",
            ProviderState(2_000_000),
        ),
        (
            f"{ON} requests per min (RPM): Limit 500, Used 500, Requested 1. Please try again.",
            ProviderState(requests_per_minute=500),
        ),
        (f"{ON} tokens per min. Limit: 10000 / min.", ProviderState(10_000)),
        (f"{ON} tokens per day (TPD): Limit 2000000, Used 2000000, Requested 1.", ProviderState()),
        (f"{ON} requests per day (RPD): Limit 200, Used 200, Requested 1.", ProviderState()),
        (f"{ON} tokens per min (TPM): Limit 0, Used 0, Requested 1482.", ProviderState()),
        ("Too many requests", ProviderState()),
        ("", ProviderState()),
    ],
)
def test_the_limit_in_a_message(message: str, limit: ProviderState) -> None:
    assert limit_in_message(message) == limit
