"""What a provider's limits come to in replicas, where nobody shares them."""

from dataclasses import replace

import pytest

from builders import (
    API_KEY,
    NOW,
    WHOLE_KEY,
    decided,
    llm,
    llm_signals,
    memory,
    observe,
    pool,
    seen,
    settled,
    signals,
    think,
)
from builders import token_ceiling as ceiling
from scanpool.decide import Peers
from scanpool.decide.ceilings import Ceilings, measure
from scanpool.decide.decision import Ceiling
from scanpool.decide.limits import PROBE, TOKEN_UNITS, KnownLimit, KnownLimits
from scanpool.decide.llm_signals import Flow, Use
from scanpool.decide.provider_ceiling import smallest
from scanpool.decide.ramp import UseSample
from scanpool.models.claims import Claim, Need, Unit
from scanpool.models.conditions import LimitedBy
from scanpool.models.llm import ONLY, Ramp
from scanpool.models.observation import KeyUsage


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

# Two replicas of half a million tokens a minute, a fifth of them output, in 250 requests each.
WORKING = Flow(1_000_000, 500, 200_000)
NOBODY = Flow(0, 0, 0)


def measured(limits: dict[Unit, int], own: Flow = WORKING, others: Flow = NOBODY) -> Ceilings:
    """Return the ceilings of two replicas under limits that only the probe tells."""
    told = {unit: KnownLimit(value, PROBE, NOW) for unit, value in limits.items()}
    return measure(
        pool(llm=llm(tokens_per_minute=None, api_key_secret_ref=API_KEY)),
        signals(llm=llm_signals(use=Use(own, own, others, "test", NOW, NOW))),
        memory(limits=KnownLimits(told)),
        Peers(),
        10,
    )


def allowed(
    limits: dict[Unit, int], by: LimitedBy, own: Flow = WORKING, others: Flow = NOBODY
) -> int | None:
    return measured(limits, own, others).by_limit[by].replicas


@pytest.mark.parametrize(
    ("limits", "tokens", "binding"),
    [
        # 85% of 2 M over 500,000, over 400,000 of input, and of 400,000 over 100,000 of output
        ({Unit.TOKENS: 2_000_000}, 3, Unit.TOKENS),
        ({Unit.INPUT_TOKENS: 2_000_000}, 4, Unit.INPUT_TOKENS),
        ({Unit.OUTPUT_TOKENS: 700_000}, 5, Unit.OUTPUT_TOKENS),
        ({Unit.INPUT_TOKENS: 2_000_000, Unit.OUTPUT_TOKENS: 700_000}, 4, Unit.INPUT_TOKENS),
        ({Unit.INPUT_TOKENS: 2_000_000, Unit.OUTPUT_TOKENS: 300_000}, 2, Unit.OUTPUT_TOKENS),
        (
            {
                Unit.TOKENS: 2_000_000,
                Unit.INPUT_TOKENS: 2_000_000,
                Unit.OUTPUT_TOKENS: 700_000,
            },
            3,
            Unit.TOKENS,
        ),
    ],
)
def test_of_the_limits_on_tokens_the_one_that_allows_least_binds(
    limits: dict[Unit, int], tokens: int, binding: Unit
) -> None:
    found = measured(limits)

    assert found.by_limit[LimitedBy.TOKENS].replicas == tokens
    assert f" {binding}" in found.by_limit[LimitedBy.TOKENS].reason
    assert found.llms[ONLY].binding is binding


@pytest.mark.parametrize("side", [Unit.INPUT_TOKENS, Unit.OUTPUT_TOKENS])
def test_what_is_not_told_apart_counts_as_all_input_and_all_output(side: Unit) -> None:
    """85% of 2 M over 500,000 of either, where a fifth would have been output."""
    together = replace(WORKING, output_tokens=None)

    assert allowed({side: 2_000_000}, LimitedBy.TOKENS, together) == 3


@pytest.mark.parametrize(
    ("limits", "tokens"),
    [
        ({Unit.OUTPUT_TOKENS: 1_000_000}, 5),  # (0.85 M - 0.3 M) / 0.1 M
        ({Unit.INPUT_TOKENS: 2_000_000}, 3),  # (1.7 M - 0.2 M) / 0.4 M
    ],
)
def test_others_use_of_each_side_is_taken_from_its_limit(
    limits: dict[Unit, int], tokens: int
) -> None:
    """0.3 M of the others' 0.5 M are output."""
    assert allowed(limits, LimitedBy.TOKENS, others=Flow(500_000, 0, 300_000)) == tokens


def test_requests_have_a_ceiling_of_their_own() -> None:
    both = {Unit.TOKENS: 2_000_000, Unit.REQUESTS: 1_000}

    assert allowed(both, LimitedBy.TOKENS) == 3
    assert allowed(both, LimitedBy.REQUESTS) == 3  # 850 / 250
    assert LimitedBy.REQUESTS not in measured({Unit.TOKENS: 2_000_000}).by_limit


def test_an_unknown_ceiling_binds_before_any_that_is_known() -> None:
    found = {
        Unit.TOKENS: Ceiling(3, 3, "known"),
        Unit.INPUT_TOKENS: Ceiling(None, None, "unknown"),
        Unit.REQUESTS: Ceiling(1, 1, "not asked about"),
    }

    assert smallest(found, TOKEN_UNITS) is Unit.INPUT_TOKENS
    assert smallest(found, (Unit.OUTPUT_TOKENS,)) is None


def test_a_ramp_that_binds_is_named() -> None:
    grown = settled(2, uses=(UseSample(NOW - 900, 900_000),))
    observation = observe(2, 300, usage=seen(KeyUsage(1_000_000, None, 0.0, 1_000_000)))

    ramped = decided(pool(llm=llm(ramp=Ramp(), usage=WHOLE_KEY)), observation, grown)
    assert ramped.desired == 2
    binding = ramped.ceilings[LimitedBy.TOKENS]
    assert "by llm.ramp no more than 1,350,000 now" in binding.reason
    free = decided(pool(llm=llm(usage=WHOLE_KEY)), observation, grown)
    assert free.desired == 3
    assert "llm.ramp" not in free.reason


def test_a_ramp_takes_nothing_away_whoever_shares_the_key() -> None:
    spec = pool(llm=llm(tokens_per_minute=8_000_000, ramp=Ramp(), usage=WHOLE_KEY))
    waiting = Claim(
        "scan/other", 1, 0, 10, 0, {Unit.TOKENS: Need(500_000, 0.0, 6_800_000, 7_400_000)}
    )
    observation = observe(6, 300, usage=seen(KeyUsage(3_000_000, None, 0.0, 3_000_000)))

    assert think(spec, observation, settled(6), NOW, (waiting,)).decision.desired == 6
