"""A pause is the last word: on top of bounds, ceilings, holds and the breaker."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import API_KEY, blinded, llm, observe, pool, seen, settled, think
from scanpool.decide import pause as rule
from scanpool.decide.decision import Decision
from scanpool.models.conditions import LimitedBy
from scanpool.models.llm import ONLY
from scanpool.models.observation import Observation, ProviderState
from scanpool.models.pause import Pause
from scanpool.models.spec import PoolSpec

IN = Pause(scales_in=False, by=("paused-scale-in",))
OUT = Pause(scales_out=False, by=("paused-scale-out",))
BOTH = Pause(scales_in=False, scales_out=False, by=("paused",))


def at(replicas: int) -> Pause:
    return Pause(scales_in=False, scales_out=False, replicas=replicas, by=("paused-replicas",))


def decided(spec: PoolSpec, observation: Observation, pause: Pause) -> Decision:
    return think(spec, observation, settled(observation.target.replicas), pause=pause).decision


@pytest.mark.parametrize(
    ("pause", "current", "messages", "desired", "limited_by"),
    [
        (IN, 5, 0, 5, LimitedBy.PAUSED),
        (IN, 2, 50, 5, LimitedBy.NONE),
        (OUT, 2, 50, 2, LimitedBy.PAUSED),
        (OUT, 5, 20, 2, LimitedBy.NONE),
        (BOTH, 2, 50, 2, LimitedBy.PAUSED),
        (BOTH, 5, 0, 5, LimitedBy.PAUSED),
        (BOTH, 5, 50, 5, LimitedBy.NONE),
        (at(3), 5, 50, 3, LimitedBy.PAUSED),
        (at(0), 5, 50, 0, LimitedBy.PAUSED),
        (at(7), 5, 50, 7, LimitedBy.PAUSED),
        (IN, 12, 50, 12, LimitedBy.PAUSED),  # above maxReplicas
        (at(12), 5, 50, 12, LimitedBy.PAUSED),
        (OUT, 0, 0, 0, LimitedBy.NONE),  # below minReplicas
    ],
)
def test_it_is_the_last_word(
    pause: Pause, current: int, messages: int, desired: int, limited_by: LimitedBy
) -> None:
    decision = decided(pool(), observe(current, messages), pause)
    assert (decision.desired, decision.limited_by) == (desired, limited_by)


@pytest.mark.parametrize(("pause", "desired"), [(IN, 5), (BOTH, 5), (at(4), 4), (OUT, 1)])
def test_the_breaker_takes_no_paused_replicas(pause: Pause, desired: int) -> None:
    spec = pool(llm=llm(api_key_secret_ref=API_KEY))
    refused = seen(ProviderState(billing_code="insufficient_quota"))
    decision = decided(spec, observe(5, 50, provider=refused), pause)
    assert decision.desired == desired


@pytest.mark.parametrize(("pause", "desired"), [(IN, 2), (OUT, 2), (at(4), 4)])
def test_a_number_is_kept_whatever_cannot_be_read(pause: Pause, desired: int) -> None:
    observation = blinded(observe(2, 50), "queues")
    assert decided(pool(), observation, pause).desired == desired


def test_what_a_pause_keeps_from_a_pool_is_for_others_on_the_key() -> None:
    spec, observation = pool(max_replicas=30, llm=llm(tokens_per_minute=9_000_000)), observe(2, 200)
    claims = [
        decided(spec, observation, pause).claims[ONLY][ONLY] for pause in (Pause(), OUT, at(3), IN)
    ]
    wanted = [claim.wanted for claim in claims]
    assert wanted == [6, 2, 3, 6]


@given(
    pause=st.builds(Pause, st.booleans(), st.booleans(), st.none() | st.integers(0, 20)),
    current=st.integers(0, 20),
    wanted=st.integers(0, 20),
)
def test_it_moves_nothing_in_a_direction_that_is_paused(
    pause: Pause, current: int, wanted: int
) -> None:
    held = rule.hold(pause, current, wanted)
    if pause.replicas is not None:
        assert held == pause.replicas
    else:
        assert held in (current, wanted)
        assert pause.scales_in or held >= current
        assert pause.scales_out or held <= current
    assert rule.hold(pause, held, held) == held or pause.replicas is not None
