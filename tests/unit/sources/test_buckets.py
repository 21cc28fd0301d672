import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanpool.sources.buckets import (
    Bucket,
    day_bucket,
    minute_bucket,
    plausible_limit,
    whole_number,
)


@pytest.mark.parametrize(
    "text", ["-1", "0", "9223372036854775807", "9.2e18", "1000000000001", "", "unlimited", "1_000"]
)
def test_a_limit_that_nobody_sells_is_rejected(text: str) -> None:
    assert plausible_limit(text) is None


@given(st.text(max_size=40))
def test_a_limit_is_plausible_or_unknown(text: str) -> None:
    limit = plausible_limit(text)
    assert limit is None or 0 < limit <= 10**12


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (" 12 ", 12), ("0", 0), (12, 12), (12.0, 12), (0, 0),
        ("1.5", None), (1.5, None), (-1, None), (True, None), (None, None), ([], None),
        (float("nan"), None), (float("inf"), None), ("\u0663", None), ("9" * 21, None),
    ],
)  # fmt: skip
def test_a_whole_number_of_a_header_or_of_json(value: object, number: int | None) -> None:
    assert whole_number(value) == number


@pytest.mark.parametrize(
    ("limit", "remaining", "reset", "bucket"),
    [
        ("1000", "900", 6.0, Bucket(1000, 900)),
        ("1000", None, 6.0, Bucket(1000, None)),
        ("1000", "900", None, Bucket(1000, 900)),
        ("1000", "-1", 6.0, Bucket(1000, None)),
        ("1000", "1001", 0.0, Bucket(1000, None)),
        ("1000", "0", 60.0, Bucket(1000, 0)),
        ("1000", "0", 61.5, None),
        ("1000", None, 61.5, None),
        ("1000", "999", 42.0, Bucket(1000, 999)),
        ("1000", "999", 86.4, None),
        ("10000", "9995", 43.2, None),
        ("0", "0", 0.0, None),
        (None, "900", 6.0, None),
    ],
)
def test_a_bucket_of_a_minute(
    limit: str | None, remaining: str | None, reset: float | None, bucket: Bucket | None
) -> None:
    assert minute_bucket(limit, remaining, reset) == (bucket or Bucket())


def test_a_rounded_reset_is_compared_with_as_much_room() -> None:
    # 43.2 s until a day's bucket is full, told as 41; and a minute's, told as 63.
    assert minute_bucket("10000", "9995", 41.0) != Bucket()
    assert minute_bucket("10000", "9995", 41.0, rounding=3.0) == Bucket()
    assert minute_bucket("10000", "0", 63.0, rounding=3.0) != Bucket()


@pytest.mark.parametrize(
    ("limit", "remaining", "reset", "bucket"),
    [
        # Refilled all the time: what is missing is back after its share of a day.
        ("200", "199", 432.0, Bucket(200, 199)),
        ("14400", "14370", 179.56, Bucket(14_400, 14_370)),
        ("200", "0", 86_400.0, Bucket(200, 0)),
        # Counted from midnight to midnight.
        ("1000", "3", 36_000.0, Bucket(1000, 3)),
        ("1000", "0", 3_700.0, Bucket(1000, 0)),
        ("1000", None, 36_000.0, Bucket(1000, None)),
        # A minute's, an hour's, a week's, and who knows.
        ("1000", "0", 60.0, None),
        ("1000", "999", 42.0, None),
        ("1000", "500", 1800.0, None),
        ("1000", "0", 604_800.0, None),
        ("1000", "0", None, None),
        ("-1", "0", 36_000.0, None),
    ],
)
def test_a_bucket_of_a_day(
    limit: str, remaining: str | None, reset: float | None, bucket: Bucket | None
) -> None:
    assert day_bucket(limit, remaining, reset) == (bucket or Bucket())


@given(st.integers(1, 10**9), st.integers(0, 10**9), st.floats(0, 10**7))
def test_no_bucket_is_of_a_minute_and_of_a_day(limit: int, remaining: int, reset: float) -> None:
    told = (str(limit), str(remaining), reset)
    assert Bucket() in (minute_bucket(*told), day_bucket(*told))
