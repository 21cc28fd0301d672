"""How often the provider is asked."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import NOW, llm, llm_signals
from scanpool.decide.breaker import Breaker, Quota
from scanpool.decide.bucket import Bucket
from scanpool.decide.limits import Limit
from scanpool.decide.llm_signals import Flow, LlmSignals, Probed, Use
from scanpool.decide.looks import Look
from scanpool.decide.probing import Probing, age, step
from scanpool.models.claims import Unit
from scanpool.models.llm import Probe

LIMIT = 2_000_000
FULL = Bucket((Look(NOW, LIMIT, LIMIT),))

USED_UP = Breaker(Quota.OPEN, "no_matter", refusals=9, refused_at=NOW)


def seen(found: Bucket = FULL, used: float | None = 0.0, **probed: Any) -> LlmSignals:
    use = Use(Flow(used), Flow(used), Flow(0.0))
    return llm_signals(bucket=found, use=use, probed=Probed(is_asked=True, at=NOW, **probed))


def known(**limits: int) -> dict[Unit, Limit]:
    return {Unit[name]: Limit(value, "probe", NOW) for name, value in limits.items()}


@pytest.mark.parametrize(
    ("found", "close"),
    [
        pytest.param(seen(), False, id="plenty-of-room"),
        pytest.param(seen(used=1_400_000.0), True, id="near-the-limit"),
        pytest.param(seen(used=1_390_000.0), False, id="not-yet-near"),
        pytest.param(seen(Bucket((Look(NOW, LIMIT - 100_000, LIMIT),))), True, id="it-falls"),
        pytest.param(seen(replace(FULL, changed_at=NOW - 119)), True, id="after-a-change"),
        pytest.param(seen(replace(FULL, changed_at=NOW - 120)), False, id="long-after-it"),
        pytest.param(seen(Bucket(), used=LIMIT), False, id="no-level"),
        pytest.param(seen(used=LIMIT, rate_limited=True), False, id="probes-are-refused"),
    ],
)
def test_the_level_is_looked_at_closely_while_it_decides(found: LlmSignals, *, close: bool) -> None:
    assert step(found, known(TOKENS=LIMIT), NOW).is_close is close


@pytest.mark.parametrize(
    ("limits", "probed", "seconds"),
    [
        ({"TOKENS": LIMIT, "REQUESTS": 10_000}, {"tokens": 10}, 6),
        ({"TOKENS": LIMIT, "REQUESTS": 500}, {"tokens": 10}, 120),
        ({"TOKENS": 10_000}, {"tokens": 10}, 60),
        # A provider that charges for a whole prompt is asked less.
        ({"TOKENS": LIMIT}, {"tokens": 5_000}, 150),
        ({"TOKENS": 40_000, "REQUESTS": 3}, {"tokens": 10}, 3_600),
        ({"REQUESTS": 500, "REQUESTS_A_DAY": 200}, {}, 4_320),
        ({}, {}, 0),
    ],
)
def test_probes_take_no_more_than_a_thousandth_of_a_limit_and_a_tenth_of_a_day(
    limits: dict[str, int], probed: dict[str, int], seconds: float
) -> None:
    assert step(seen(**probed), known(**limits), NOW).least_seconds == seconds


@pytest.mark.parametrize(
    ("probing", "breaker", "seconds"),
    [
        (Probing(is_close=True), Breaker(), 10),
        (Probing(is_close=False), Breaker(), 60),
        (Probing(is_close=True, least_seconds=120), Breaker(), 120),
        (Probing(is_close=False, least_seconds=120), Breaker(), 120),
        (Probing(is_close=True), Breaker(Quota.HALF_OPEN), 60),
        (Probing(is_close=True), Breaker(Quota.OPEN, refusals=4), 480),
        (Probing(is_close=True, least_seconds=3_600), Breaker(Quota.OPEN, refusals=1), 3_600),
        (Probing(is_close=False), Breaker(suspected=True), 5),
        (Probing(), replace(USED_UP, until=NOW + 30_000), 30_000),
        (Probing(), replace(USED_UP, until=NOW + 90), 90),
        (Probing(), replace(USED_UP, until=NOW + 30), 60),
        # What a refused call takes of a quota that is used up is nothing.
        (Probing(least_seconds=43_200), replace(USED_UP, until=NOW + 30_000), 30_000),
        (Probing(is_close=False), Breaker(until=NOW + 90), 60),
    ],
)
def test_the_age_of_an_answer(probing: Probing, breaker: Breaker, seconds: float) -> None:
    assert age(probing, breaker, llm()) == seconds


@given(st.booleans(), st.integers(1, 3_600))
def test_it_is_never_asked_less_often_than_the_spec_says_while_that_is_cheap(
    close: bool, interval: int
) -> None:
    spec = llm(probe=Probe(interval_seconds=interval))
    assert age(Probing(is_close=close), Breaker(), spec) <= interval
