"""How fast a key's use may grow, where a pool asks for a limit on that."""

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
)
from scanpool.decide import decide, ramp
from scanpool.models.decision import Decision, LimitedBy
from scanpool.models.llm import Ramp
from scanpool.models.memory import Memory, UseSample
from scanpool.models.observation import KeyUsage

RAMP = Ramp()


def used(*samples: tuple[float, float], every: int = 10) -> Memory:
    """Return the memory of a key whose use changed to an amount at each of some times."""
    memory, changes = Memory(), dict(samples)
    last, tokens = max(changes), 0.0
    for second in range(0, int(last) + 1, every):
        tokens = changes.get(second, tokens)
        memory = ramp.remember(RAMP, memory, tokens, NOW + second)
    return memory


@pytest.mark.parametrize(
    ("tokens", "most"),
    [(0, 1_000_000), (600_000, 1_000_000), (700_000, 1_050_000), (2_000_000, 3_000_000)],
)
def test_use_may_grow_by_half_above_a_million_and_freely_below(tokens: float, most: float) -> None:
    assert ramp.most(RAMP, used((0, tokens))) == most


def test_growth_counts_from_the_use_at_the_begin_of_the_period() -> None:
    """Two millions since the start and three from 300 s on: 900 s later three is what counts."""
    for second, most in (
        (600, 3_000_000),
        (900, 3_000_000),
        (1_190, 3_000_000),
        (1_260, 4_500_000),
    ):
        assert ramp.most(RAMP, used((0, 2e6), (300, 3e6), (second, 3e6))) == most


def test_a_use_that_fell_lowers_what_it_may_grow_to_only_after_the_period() -> None:
    assert ramp.most(RAMP, used((0, 4e6), (300, 2e6), (1_190, 2e6))) == 6_000_000
    assert ramp.most(RAMP, used((0, 4e6), (300, 2e6), (1_260, 2e6))) == 3_000_000
    assert ramp.most(RAMP, used((0, 4e6), (300, 0), (1_260, 0))) == 1_000_000


def test_a_day_of_ticks_is_remembered_in_a_sample_a_minute() -> None:
    memory = used((0, 2e6), (86_400, 2e6))

    assert len(memory.uses) <= RAMP.period_seconds / ramp.SAMPLE_SECONDS + 1
    assert memory.uses[0].at <= NOW + 86_400 - RAMP.period_seconds
    assert memory.uses[1].at > NOW + 86_400 - RAMP.period_seconds


def test_an_unknown_use_is_no_sample() -> None:
    memory = used((0, 2e6))

    assert ramp.remember(RAMP, memory, None, NOW + 60) == memory
    assert ramp.remember(RAMP, Memory(), None, NOW) == Memory()


def test_after_an_outage_longer_than_the_period_the_last_use_before_it_counts() -> None:
    memory = ramp.remember(RAMP, used((0, 2e6)), 3e6, NOW + 3_600)

    assert ramp.most(RAMP, memory) == 3_000_000


def test_a_pool_without_a_ramp_remembers_nothing_for_it() -> None:
    assert ramp.remember(None, used((0, 2e6)), 2e6, NOW + 60) == Memory()


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
        decision, memory = decide(spec, observation, memory, NOW + second)
        desired.append(decision.desired)

    assert desired == [6, 9, 9]
    assert memory.uses == (UseSample(NOW, pytest.approx(3e6)),)
