"""What a provider's limit comes to in replicas, where nobody shares it."""

import pytest

from builders import token_ceiling as ceiling
from scanpool.models.decision import Ceiling


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
