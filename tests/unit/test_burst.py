"""What the provider's bucket adds to the token ceiling, where a pool asks to spend it."""

from dataclasses import replace
from typing import Any

import pytest

from builders import API_KEY, NOW, decided, llm, observe, pool, seen, settled, unseen
from scanpool.decide import tokens
from scanpool.decide.limits import Limit
from scanpool.models.observation import ProviderState

FULL = ProviderState(tokens_per_minute=2_000_000, tokens_remaining=1_000_000)
SEEN = Limit(2_000_000, "probe")


def spending(**changes: Any) -> Any:
    usual = {"tokens_per_minute": None, "api_key_secret_ref": API_KEY, "burst_seconds": 120}
    return llm(**{**usual, **changes})


def test_the_level_is_spread_over_the_time_that_is_given() -> None:
    observation = observe(provider=seen(FULL))
    assert tokens.burst(spending(), observation, SEEN, NOW) == 500_000
    assert tokens.burst(spending(burst_seconds=240), observation, SEEN, NOW) == 250_000


@pytest.mark.parametrize(
    ("changes", "provider", "limit"),
    [
        pytest.param({"burst_seconds": None}, seen(FULL), SEEN, id="not-asked-for"),
        pytest.param({}, seen(FULL, NOW - 121), SEEN, id="stale"),
        pytest.param({}, seen(replace(FULL, rate_limited=True)), SEEN, id="after-a-429"),
        pytest.param({}, seen(replace(FULL, tokens_remaining=None)), SEEN, id="not-told"),
        pytest.param({}, seen(FULL), Limit(1_000_000, "spec"), id="below-a-limit-of-ones-own"),
        pytest.param({}, unseen(), SEEN, id="unavailable"),
    ],
)
def test_the_bucket_is_left_alone(changes: dict[str, Any], provider: Any, limit: Limit) -> None:
    observation = observe(provider=provider)
    assert tokens.burst(spending(**changes), observation, limit, NOW) == 0.0


def test_a_full_bucket_lets_a_pool_grow_further_and_an_empty_one_takes_it_back() -> None:
    spec = pool(llm=spending())
    grown = decided(spec, observe(3, 300, provider=seen(FULL)), settled(3))
    # (85% of 2 M + 0.5 M) / 0.5 M
    assert grown.desired == 4
    assert "500,000 more from the bucket" in grown.reason
    empty = seen(replace(FULL, tokens_remaining=0))
    assert decided(spec, observe(4, 300, provider=empty), settled(4)).desired == 3
