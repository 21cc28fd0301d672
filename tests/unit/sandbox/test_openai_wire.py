import random

import pytest

from scanpool_sandbox.limiter import Rejected
from scanpool_sandbox.openai_errors import limit_error
from scanpool_sandbox.openai_provider import Latency
from scanpool_sandbox.openai_wire import go_duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (0.0002, "0s"),
        (0.009, "9ms"),
        (0.04446, "44ms"),
        (0.11619, "116ms"),
        (0.9996, "1s"),
        (1.0, "1s"),
        (9.816, "9.816s"),
        (59.9999, "1m0s"),
        (252.172, "4m12.172s"),
        (360.0, "6m0s"),
        (83_909.144, "23h18m29.144s"),
    ],
)
def test_durations_read_as_go_prints_them(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text


def refusal(limit: int, used: int, requested: int, wait: float | None) -> Rejected:
    return Rejected("rate_limit_exceeded", "tokens", limit, used, requested, wait)


@pytest.mark.parametrize(
    ("refused", "ending", "headers"),
    [
        (
            refusal(30_000, 29_937, 385, 0.644),
            "Limit 30000, Used 29937, Requested 385. Please try again in 644ms.",
            {"retry-after": "1", "retry-after-ms": "644"},
        ),
        (
            refusal(10_000, 8_554, 3_082, 9.816),
            "Limit 10000, Used 8554, Requested 3082. Please try again in 9.816s.",
            {"retry-after": "10", "retry-after-ms": "9816"},
        ),
        (
            refusal(40_000_000, 40_000_000, 1, 0.0000015),
            "Requested 1. Please try again in 1ms.",
            {"retry-after": "1", "retry-after-ms": "1"},
        ),
        (
            refusal(1_000, 0, 1_001, None),
            "Limit 1000, Used 0, Requested 1001. Reduce the input or the output to run it.",
            {},
        ),
    ],
)
def test_a_refusal_tells_the_counts_and_the_wait(
    refused: Rejected, ending: str, headers: dict[str, str]
) -> None:
    error = limit_error(refused, "gpt-5.2", "org-sandbox")

    assert str(error).endswith(ending)
    assert error.headers() == headers


def test_latency_is_the_median_without_spread_and_repeats_with_a_seed() -> None:
    assert Latency(median_seconds=2.0).sample(random.Random(1)) == 2.0

    spread = Latency(median_seconds=2.0, sigma=0.25)
    first = [spread.sample(source := random.Random(7)), spread.sample(source)]
    again = [spread.sample(source := random.Random(7)), spread.sample(source)]
    assert first == again
    samples = sorted(spread.sample(random.Random(seed)) for seed in range(999))
    assert samples[499] == pytest.approx(2.0, rel=0.1)
