"""What the provider's bucket adds to the token ceiling, where a pool asks to spend it."""

from dataclasses import replace
from typing import Any

import pytest

from builders import API_KEY, NOW, decided, llm, observe, pool, seen
from scanpool.decide.limit_ceiling import burst
from scanpool.decide.limits import PROBE, SPEC, Limit
from scanpool.decide.llm_signals import Probed
from scanpool.models.llm import Llm
from scanpool.models.observation import ProviderState

FULL = ProviderState(tokens_per_minute=2_000_000, tokens_remaining=1_000_000)
SEEN = Limit(2_000_000, PROBE)
ANSWERED = Probed(is_asked=True, at=NOW, remaining=1_000_000)


def spending(**changes: Any) -> Llm:
    usual = {"tokens_per_minute": None, "api_key_secret_ref": API_KEY, "burst_seconds": 120}
    return llm(**{**usual, **changes})


def test_the_level_is_spread_over_the_time_that_is_given() -> None:
    assert burst(spending(), ANSWERED, SEEN, NOW) == 500_000
    assert burst(spending(burst_seconds=240), ANSWERED, SEEN, NOW) == 250_000


@pytest.mark.parametrize(
    ("changes", "probed", "limit"),
    [
        pytest.param({"burst_seconds": None}, ANSWERED, SEEN, id="not-asked-for"),
        pytest.param({}, replace(ANSWERED, at=NOW - 121), SEEN, id="stale"),
        pytest.param({}, replace(ANSWERED, rate_limited=True), SEEN, id="after-a-429"),
        pytest.param({}, replace(ANSWERED, remaining=None), SEEN, id="not-told"),
        pytest.param({}, ANSWERED, Limit(1_000_000, SPEC), id="below-a-limit-of-ones-own"),
        pytest.param({}, ANSWERED, None, id="below-no-limit"),
        pytest.param({}, Probed(is_asked=True), SEEN, id="unavailable"),
    ],
)
def test_the_bucket_is_left_alone(
    changes: dict[str, Any], probed: Probed, limit: Limit | None
) -> None:
    assert burst(spending(**changes), probed, limit, NOW) == 0.0


def test_a_full_bucket_lets_a_pool_grow_further_and_an_empty_one_takes_it_back() -> None:
    spec = pool(llm=spending())
    grown = decided(spec, observe(3, 300, provider=seen(FULL)))
    # (85% of 2 M + 0.5 M) / 0.5 M
    assert grown.desired == 4
    assert "500,000 more from the bucket" in grown.reason
    empty = seen(replace(FULL, tokens_remaining=0))
    assert decided(spec, observe(4, 300, provider=empty)).desired == 3
