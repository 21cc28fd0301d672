"""What a provider's limits come to in replicas, where nobody shares them."""

from dataclasses import replace

import pytest

from builders import API_KEY, NOW, WHOLE_KEY, llm, observe, pool, rates, seen, settled
from builders import token_ceiling as ceiling
from scanpool.decide import decide
from scanpool.decide.ceilings import Ceilings, measure
from scanpool.decide.tokens import smallest
from scanpool.models.budget import Claim, Need, Unit
from scanpool.models.decision import Ceiling
from scanpool.models.llm import Ramp
from scanpool.models.memory import Memory, UseSample
from scanpool.models.observation import KeyUsage, ProviderState


@pytest.mark.parametrize(
    ("limit", "others", "per_replica", "percent", "factor", "fits", "keeps"),
    [
        # floor(0.85 x 2M / 0.5M) = floor(3.4), and floor(0.925 x 2M / 0.5M) = floor(3.7)
        (2_000_000, 0, 500_000, 85, 1.0, 3, 3),
        (4_000_000, 0, 500_000, 85, 1.0, 6, 7),
        (2_000_000, 300_000, 500_000, 85, 1.0, 2, 3),
        (2_000_000, 700_000, 500_000, 85, 1.0, 2, 2),
        (2_000_000, 1_700_001, 500_000, 85, 1.0, 0, 0),
        (2_000_000, 2_500_000, 500_000, 85, 1.0, 0, 0),
        (2_000_000, 0, 250_000, 85, 1.0, 6, 7),
        (2_000_000, 0, 500_000, 100, 1.0, 4, 4),
        (2_000_000, 0, 500_000, 50, 1.0, 2, 3),
        # 0.7 x (1.7M - 0.3M) = 0.98M, and 0.7 x (1.85M - 0.3M) = 1.085M
        (2_000_000, 300_000, 500_000, 85, 0.7, 1, 2),
        # What fits exactly fits: 36% of 1M, and 68% of it as the lowering edge.
        (1_000_000, 0, 360_000, 36, 1.0, 1, 1),
        (1_000_000, 0, 340_000, 36, 1.0, 1, 2),
        # One replica that costs more than the target is better than none; none where none is left.
        (500_000, 0, 500_000, 85, 1.0, 1, 1),
        (500_000, 424_999, 500_000, 85, 1.0, 1, 1),
        (500_000, 425_000, 500_000, 85, 1.0, 0, 0),
        # A replica that costs next to nothing allows as many as a pool may have at all.
        (2_000_000, 0, 0.001, 85, 1.0, 10_000, 10_000),
        (2_000_000, 0, 5e-324, 85, 1.0, 10_000, 10_000),
    ],
)
def test_the_ceiling_is_the_floor_of_factor_times_target_less_others_over_cost(
    limit: int,
    others: float,
    per_replica: float,
    percent: int,
    factor: float,
    fits: int,
    keeps: int,
) -> None:
    found = ceiling(limit, others, per_replica, percent, factor)

    assert (found.replicas, found.keeps) == (fits, keeps)


@pytest.mark.parametrize(("current", "allowed"), [(0, 6), (5, 6), (6, 6), (7, 7), (8, 6), (30, 6)])
def test_growth_goes_to_the_raising_edge_and_replicas_go_only_above_the_lowering_edge(
    current: int, allowed: int
) -> None:
    assert ceiling(4_000_000).allows(current) == allowed


@pytest.mark.parametrize("current", [0, 1, 7])
@pytest.mark.parametrize("found", [ceiling(None), ceiling(2_000_000, others=None)])
def test_an_unknown_limit_or_an_unknown_use_by_others_allows_what_is_there(
    found: Ceiling, current: int
) -> None:
    assert (found.replicas, found.keeps) == (None, None)
    assert found.allows(current) == current


@pytest.mark.parametrize(("current", "allowed"), [(0, 1), (1, 1), (7, 7)])
@pytest.mark.parametrize("per_replica", [None, 0.0])
def test_a_cost_that_is_not_learned_yet_allows_what_is_there_or_one_to_learn_it(
    current: int, allowed: int, per_replica: float | None
) -> None:
    assert ceiling(2_000_000, per_replica=per_replica, current=current).allows(current) == allowed


def test_the_reason_has_every_number_of_the_formula() -> None:
    assert ceiling(2_000_000, 300_000).reason == (
        "85% of 2,000,000 TPM less 300,000 used by others, at 500,000 TPM per replica"
    )
    assert "times 0.70 after 429s" in ceiling(2_000_000, factor=0.7).reason


# --- Limits on input and output apart, and on requests ---

# Replicas of half a million tokens a minute, a fifth of them output, in 250 requests.
WORKING = KeyUsage(
    1_000_000,
    500,
    own_tokens_per_minute=1_000_000,
    own_requests_per_minute=500,
    output_tokens_per_minute=200_000,
    own_output_tokens_per_minute=200_000,
)


def measured(usage: KeyUsage = WORKING, **limits: int) -> Ceilings:
    """Return the ceilings of two replicas under limits that only the probe tells."""
    spec = pool(llm=llm(tokens_per_minute=None, api_key_secret_ref=API_KEY, usage=WHOLE_KEY))
    observation = observe(
        2, 300, provider=seen(ProviderState(**limits)), usage=seen(usage), rates=seen((rates(0),))
    )
    _, memory = decide(spec, observation, settled(2), NOW)
    return measure(spec, observation, memory, 10, NOW)


@pytest.mark.parametrize(
    ("limits", "tokens", "unit"),
    [
        # 85% of 2 M over 500,000, over 400,000 of input, and of 400,000 over 100,000 of output
        ({"tokens_per_minute": 2_000_000}, 3, "TPM"),
        ({"input_tokens_per_minute": 2_000_000}, 4, "input TPM"),
        ({"output_tokens_per_minute": 700_000}, 5, "output TPM"),
        ({"input_tokens_per_minute": 2_000_000, "output_tokens_per_minute": 700_000}, 4, "input"),
        ({"input_tokens_per_minute": 2_000_000, "output_tokens_per_minute": 300_000}, 2, "output"),
        (
            {
                "tokens_per_minute": 2_000_000,
                "input_tokens_per_minute": 2_000_000,
                "output_tokens_per_minute": 700_000,
            },
            3,
            "TPM",
        ),
    ],
)
def test_of_the_limits_on_tokens_the_one_that_allows_least_binds(
    limits: dict[str, int], tokens: int, unit: str
) -> None:
    found = measured(**limits).tokens

    assert found is not None
    assert found.replicas == tokens
    assert f" {unit}" in found.reason


def test_what_is_not_told_apart_counts_as_all_input_and_all_output() -> None:
    """85% of 2 M over 500,000 of either, where a fifth would have been output."""
    together = replace(WORKING, output_tokens_per_minute=None, own_output_tokens_per_minute=None)

    for side in ("input_tokens_per_minute", "output_tokens_per_minute"):
        found = measured(together, **{side: 2_000_000}).tokens
        assert found is not None
        assert found.replicas == 3


def test_others_use_of_each_side_is_taken_from_its_limit() -> None:
    """0.3 M of the others' 0.5 M are output: 85% of 2 M less that, over 100,000."""
    shared = replace(WORKING, tokens_per_minute=1_500_000, output_tokens_per_minute=500_000)

    output = measured(shared, output_tokens_per_minute=1_000_000).tokens
    assert output is not None
    assert output.replicas == 5  # (0.85 M - 0.3 M) / 0.1 M
    both = measured(shared, input_tokens_per_minute=2_000_000).tokens
    assert both is not None
    assert both.replicas == 3  # (1.7 M - 0.2 M) / 0.4 M


def test_requests_have_a_ceiling_of_their_own() -> None:
    found = measured(tokens_per_minute=2_000_000, requests_per_minute=1_000)

    assert found.requests is not None
    assert found.tokens is not None
    assert (found.requests.replicas, found.tokens.replicas) == (3, 3)  # 850 / 250
    assert measured(tokens_per_minute=2_000_000).requests is None


def test_an_unknown_ceiling_binds_before_any_that_is_known() -> None:
    found = {
        Unit.TOKENS: Ceiling(3, 3, "known"),
        Unit.INPUT_TOKENS: Ceiling(None, None, "unknown"),
        Unit.REQUESTS: Ceiling(1, 1, "not asked about"),
    }

    unknown = smallest(found, (Unit.TOKENS, Unit.INPUT_TOKENS, Unit.OUTPUT_TOKENS))
    assert unknown == Ceiling(None, None, "unknown")
    assert smallest(found, (Unit.OUTPUT_TOKENS,)) is None


def test_a_ramp_that_binds_is_named() -> None:
    spec = pool(llm=llm(ramp=Ramp(), usage=WHOLE_KEY))
    grown = Memory(
        uses=(UseSample(NOW - 900, 900_000),), recommendations=settled(2).recommendations
    )
    observation = observe(2, 300, usage=seen(KeyUsage(1_000_000, None, 0.0, 1_000_000)))

    decision, _ = decide(spec, observation, grown, NOW)

    assert decision.desired == 2
    assert "by llm.ramp no more than 1,350,000 now" in decision.token_ceiling.reason  # type: ignore[union-attr]
    free, _ = decide(pool(llm=llm(usage=WHOLE_KEY)), observation, grown, NOW)
    assert free.desired == 3
    assert "llm.ramp" not in free.reason


def test_a_ramp_takes_nothing_away_whoever_shares_the_key() -> None:
    spec = pool(llm=llm(tokens_per_minute=8_000_000, ramp=Ramp(), usage=WHOLE_KEY))
    waiting = Claim(
        "team/other", 1, 0, 10, 0, {Unit.TOKENS: Need(500_000, 0.0, 6_800_000, 7_400_000)}
    )
    usage = seen(KeyUsage(3_000_000, None, 0.0, 3_000_000))
    observation = replace(observe(6, 300, usage=usage), peers=(waiting,), pool="team/this")

    assert decide(spec, observation, settled(6), NOW)[0].desired == 6
