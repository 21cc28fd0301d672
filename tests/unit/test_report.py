"""The numbers of the token ceiling as a person sees them."""

import pytest

from builders import ANSWER, API_KEY, NOW, VISION, llm, observe, queue, rates, seen, unseen
from scanpool.decide import limits, report, use
from scanpool.decide.cost import Cost
from scanpool.models.decision import CostSource, TokenReport, Zone
from scanpool.models.memory import Memory
from scanpool.models.observation import KeyUsage, Observation, ProviderState

QUEUES = (queue(VISION, tokens=3_000), queue(ANSWER, tokens=1_500))
# 720,000 tokens and 360 requests per minute.
WORKING = (rates(2.0, VISION), rates(4.0, ANSWER))


def reported(
    observation: Observation, limit: int | None = None, memory: Memory | None = None
) -> TokenReport:
    spec = llm(tokens_per_minute=limit, api_key_secret_ref=API_KEY)
    known = limits.learn(observation, memory or Memory(), NOW)
    return report.of(
        spec,
        QUEUES,
        observation,
        known,
        limits.in_force(spec, known),
        use.measure(QUEUES, observation, known, NOW),
        Cost(500_000, 250, source=CostSource.SPEC),
        1.0,
        None,
    )


@pytest.mark.parametrize(
    ("used", "refused", "zone"),
    [
        (0, False, Zone.GREEN),
        (500, False, Zone.GREEN),
        (501, False, Zone.YELLOW),
        (750, False, Zone.YELLOW),
        (751, False, Zone.ORANGE),
        (900, False, Zone.ORANGE),
        (901, False, Zone.RED),
        (2_000, False, Zone.RED),
        (0, True, Zone.EXCEEDED),
        (901, True, Zone.EXCEEDED),
    ],
)
def test_zones(used: float, refused: bool, zone: Zone) -> None:
    assert report.zone(1_000, used, refused) is zone


def test_headroom_is_the_limit_less_the_measured_rate_of_the_whole_key() -> None:
    found = reported(observe(rates=seen(WORKING), usage=seen(KeyUsage(1_600_000))), 2_000_000)

    assert (found.used, found.own, found.others) == (1_600_000, 720_000, 880_000)
    assert (found.headroom, found.zone) == (400_000, Zone.ORANGE)


def test_headroom_is_negative_while_the_burst_is_being_spent() -> None:
    found = reported(observe(usage=seen(KeyUsage(2_500_000))), 2_000_000)

    assert (found.headroom, found.zone) == (-500_000, Zone.RED)


def test_an_unknown_limit_or_use_leaves_headroom_and_zone_unknown() -> None:
    for found in (
        reported(observe(usage=seen(KeyUsage(2_500_000)))),
        reported(observe(), 2_000_000),
    ):
        assert found.headroom is None
        assert found.zone is None


def test_the_use_names_its_source_and_others_are_told_only_where_they_are_seen() -> None:
    alone = reported(observe(rates=seen(WORKING)), 2_000_000)
    assert (alone.used_source, alone.others) == ("acknowledged messages", None)

    shared = reported(observe(usage=seen(KeyUsage(1_000_000))), 2_000_000)
    assert shared.used_source == "test"

    unknown = reported(observe(rates=seen(WORKING), usage=unseen()), 2_000_000)
    assert unknown.others is None, "what others use is unknown, which is not nothing"


@pytest.mark.parametrize(
    "observation",
    [
        observe(usage=seen(KeyUsage(0, rate_limited_per_minute=1.0))),
        observe(rates=seen(WORKING), provider=seen(ProviderState(rate_limited=True))),
    ],
)
def test_a_refused_call_shows_as_exceeded(observation: Observation) -> None:
    assert reported(observation, 2_000_000).zone is Zone.EXCEEDED
