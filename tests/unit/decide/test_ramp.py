"""How fast a key's use may grow, where a pool asks for a limit on that."""

from math import inf

import pytest

from builders import (
    API_KEY,
    NOW,
    WHOLE_KEY,
    decided,
    llm,
    observe,
    pool,
    rates,
    seen,
    settled,
    think,
)
from scanpool.decide import Memory, ramp
from scanpool.decide.decision import Decision
from scanpool.decide.ramp import Uses
from scanpool.models.conditions import LimitedBy
from scanpool.models.llm import Ramp
from scanpool.models.observation import KeyUsage

RAMP = Ramp()


def used(*samples: tuple[float, float], every: int = 10) -> Uses:
    """Return what is remembered of a key whose use changed to an amount at each of some times."""
    uses, changes = Uses(), dict(samples)
    last, tokens = max(changes), 0.0
    for second in range(0, int(last) + 1, every):
        tokens = changes.get(second, tokens)
        uses = ramp.step(uses, RAMP, tokens, NOW + second)
    return uses


@pytest.mark.parametrize(
    ("tokens", "most"),
    [(0, 1_000_000), (600_000, 1_000_000), (700_000, 1_050_000), (2_000_000, 3_000_000)],
)
def test_use_may_grow_by_half_above_a_million_and_freely_below(tokens: float, most: float) -> None:
    assert ramp.most(used((0, tokens)), RAMP) == most


def test_growth_counts_from_the_use_at_the_begin_of_the_period() -> None:
    """Two millions since the start and three from 300 s on: 900 s later three is what counts."""
    for second, most in (
        (600, 3_000_000),
        (900, 3_000_000),
        (1_190, 3_000_000),
        (1_260, 4_500_000),
    ):
        assert ramp.most(used((0, 2e6), (300, 3e6), (second, 3e6)), RAMP) == most


def test_a_use_that_fell_lowers_what_it_may_grow_to_only_after_the_period() -> None:
    assert ramp.most(used((0, 4e6), (300, 2e6), (1_190, 2e6)), RAMP) == 6_000_000
    assert ramp.most(used((0, 4e6), (300, 2e6), (1_260, 2e6)), RAMP) == 3_000_000
    assert ramp.most(used((0, 4e6), (300, 0), (1_260, 0)), RAMP) == 1_000_000


def test_a_day_of_ticks_is_remembered_in_a_sample_a_minute() -> None:
    uses = used((0, 2e6), (86_400, 2e6))

    assert len(uses) <= RAMP.period_seconds / ramp.SAMPLE_SECONDS + 1
    assert uses[0].at <= NOW + 86_400 - RAMP.period_seconds
    assert uses[1].at > NOW + 86_400 - RAMP.period_seconds


def test_an_unknown_use_is_no_sample() -> None:
    uses = used((0, 2e6))

    assert ramp.step(uses, RAMP, None, NOW + 60) == uses
    assert ramp.step((), RAMP, None, NOW) == ()


def test_after_an_outage_longer_than_the_period_the_last_use_before_it_counts() -> None:
    uses = ramp.step(used((0, 2e6)), RAMP, 3e6, NOW + 3_600)

    assert ramp.most(uses, RAMP) == 3_000_000


def test_a_pool_without_a_ramp_remembers_nothing_for_it_and_may_grow_freely() -> None:
    uses = used((0, 2e6))

    assert ramp.step(uses, None, 2e6, NOW + 60) == ()
    assert ramp.most(uses, None) == inf


# --- In a decision ---


def ramped(replicas: int, use: float, memory: Memory | None = None, **changes: int) -> Decision:
    """Decide for a pool whose replicas use `use` TPM, under a limit of 40 M."""
    spec = pool(
        max_replicas=30,
        llm=llm(tokens_per_minute=40_000_000, usage=WHOLE_KEY, ramp=Ramp(**changes)),
    )
    observation = observe(
        replicas,
        300,
        rates=seen((rates(use / 60 / 3_000),)),
        usage=seen(KeyUsage(use, own_tokens_per_minute=use)),
    )
    return decided(spec, observation, memory or settled(replicas))


def test_a_pool_grows_freely_to_a_million_and_by_half_from_there() -> None:
    assert (ramped(0, 0).desired, ramped(0, 0).limited_by) == (2, LimitedBy.TOKENS)
    assert ramped(4, 2e6).desired == 6
    assert ramped(4, 2e6, percent=100).desired == 8
    assert ramped(0, 0, above_tokens_per_minute=2_000_000).desired == 4


@pytest.mark.parametrize("use", [0, 1e6, 4e6])
def test_a_ramp_takes_no_replica_away(use: float) -> None:
    assert ramped(8, use).desired >= 8


def test_after_a_restart_growth_counts_from_what_is_known_then() -> None:
    """Without a memory of use, six replicas at three millions are where it starts from."""
    spec = pool(
        max_replicas=30,
        llm=llm(tokens_per_minute=40_000_000, api_key_secret_ref=API_KEY, ramp=RAMP),
    )
    memory, desired = Memory(), []
    for second in (0, 10, 20):
        observation = observe(6, 300, rates=seen((rates(3e6 / 60 / 3_000),)))
        _, memory, decision = think(spec, observation, memory, NOW + second)
        desired.append(decision.desired)

    assert desired == [6, 9, 9]
    (first,) = memory.llm.uses
    assert first.at == NOW
    assert first.tokens == pytest.approx(3e6)
