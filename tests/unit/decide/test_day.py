"""Limits of a day: what is left of them, and what a pool may have by that."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import (
    API_KEY,
    NOW,
    WHOLE_KEY,
    llm,
    llm_signals,
    memory,
    observe,
    pool,
    seen,
    settled,
    think,
)
from scanpool.decide import checkpoint, restore
from scanpool.decide.cost import Learned
from scanpool.decide.day import Days, Left, Spent, left, step
from scanpool.decide.limits import KnownLimit, Limit
from scanpool.decide.llm_signals import Flow, LlmSignals, Probed, Use
from scanpool.models.claims import Unit
from scanpool.models.conditions import LimitedBy
from scanpool.models.llm import Provider
from scanpool.models.observation import KeyUsage, ProviderState
from scanpool.models.spec import PoolSpec
from scanpool.models.today import Today

RPD, TPD = Unit.REQUESTS_A_DAY, Unit.TOKENS_A_DAY
LIMITS = {RPD: Limit(10_000, "spec"), TPD: Limit(50_000_000, "spec")}
# NOW is 08:00 UTC: midnight in California.
UTC_MIDNIGHT, PACIFIC_MIDNIGHT = NOW + 16 * 3600, NOW + 24 * 3600


def using(
    requests: float | None = 0.0,
    tokens: float | None = 0.0,
    told: int = 10_000,
    **probed: Any,
) -> LlmSignals:
    """Return a tick's signals; what the probe tells to be left is of `told` requests a day."""
    whole = Flow(tokens, requests)
    return llm_signals(
        use=Use(whole, whole, Flow(0.0, 0.0), "test", NOW, NOW),
        told={RPD: KnownLimit(told, "probe", NOW)},
        probed=Probed(is_asked=True, **probed),
    )


def after(days: Days, found: LlmSignals, now: float, provider: Provider = Provider.OPENAI) -> Days:
    return step(days, provider, found, LIMITS, now)


@pytest.mark.parametrize(
    ("provider", "ends_at"),
    [
        (Provider.OPENAI, UTC_MIDNIGHT),
        (Provider.ANTHROPIC, UTC_MIDNIGHT),
        (Provider.GEMINI, PACIFIC_MIDNIGHT),
    ],
)
def test_a_day_that_nobody_tells_is_counted_from_midnight(
    provider: Provider, ends_at: float
) -> None:
    days = after({}, using(), NOW, provider)
    assert left(days, LIMITS) == {RPD: Left(10_000, ends_at), TPD: Left(50_000_000, ends_at)}

    days = after(days, using(60.0, 120_000.0), NOW + 30, provider)
    assert left(days, LIMITS) == {RPD: Left(9_970, ends_at), TPD: Left(49_940_000, ends_at)}

    # Of the last tick's minute, half is the next day's.
    days = after(days, using(60.0), ends_at - 30, provider)
    days = after(days, using(60.0), ends_at + 30, provider)
    assert left(days, LIMITS)[RPD].amount == pytest.approx(9_970)
    assert left(days, LIMITS)[RPD].ends_at == ends_at + 86_400


def test_the_providers_word_counts_and_what_was_used_since() -> None:
    days = {RPD: Spent(9_000.0, NOW, UTC_MIDNIGHT)}
    told = {"at": NOW + 10, "today": {RPD: Today(400, NOW + 7_200)}}
    days = after(days, using(60.0, told=1_000, **told), NOW + 40)
    assert days[RPD] == Spent(630.0, NOW + 40, NOW + 7_200, NOW + 10)
    # The same answer, which other ticks see too, does not set it back.
    days = after(days, using(120.0, told=1_000, **told), NOW + 100)
    assert days[RPD].amount == 750.0
    # An answer that does not say when the day ends leaves what is known of that.
    days = after(days, using(told=1_000, at=NOW + 200, today={RPD: Today(100)}), NOW + 200)
    assert (days[RPD].amount, days[RPD].ends_at) == (900.0, NOW + 7_200)


@pytest.mark.parametrize(
    ("used", "gap", "spent"), [(None, 60, 0), (60.0, 60, 60), (60.0, 600, 600), (60.0, 7_200, 600)]
)
def test_what_is_not_measured_is_counted_by_what_is_next_but_not_for_long(
    used: float | None, gap: float, spent: float
) -> None:
    days = after({RPD: Spent(0.0, NOW, UTC_MIDNIGHT)}, using(None), NOW + gap / 2)
    assert after(days, using(used), NOW + gap)[RPD].amount == spent


def test_a_limit_that_is_gone_is_counted_no_more() -> None:
    assert step({RPD: Spent(1.0, NOW, UTC_MIDNIGHT)}, Provider.OPENAI, using(), {}, NOW) == {}


@pytest.mark.parametrize(
    ("ahead", "minutes"), [(86_400, 60), (3_600, 60), (1_800, 30), (60, 1), (0, 1), (-9, 1)]
)
def test_what_is_left_lasts_an_hour_or_until_the_day_ends(ahead: float, minutes: float) -> None:
    assert Left(1.0, NOW + ahead).pace_minutes(NOW) == minutes


def test_what_is_counted_survives_the_process() -> None:
    days = {RPD: Spent(630.4, NOW - 5, UTC_MIDNIGHT, NOW - 60)}
    kept = restore(checkpoint(memory(days=days)), NOW).llm.days
    assert kept == {RPD: Spent(630.0, NOW - 5, UTC_MIDNIGHT)}


# --- what a pool may have ---


def limited(**limits: Any) -> PoolSpec:
    """Return a pool of which a replica uses 500,000 tokens and 100 requests a minute."""
    known = {"tokens_per_minute": 100_000_000, "api_key_secret_ref": API_KEY, "usage": WHOLE_KEY}
    return pool(llm=llm(**{**known, **limits}), min_replicas=0)


def ceiling(
    spec: PoolSpec, days: Days, limit: LimitedBy, replicas: int = 2, **told: Any
) -> tuple[int | None, str]:
    usage = KeyUsage(
        500_000.0 * replicas,
        100.0 * replicas,
        own_tokens_per_minute=500_000.0 * replicas,
        own_requests_per_minute=100.0 * replicas,
    )
    observation = observe(
        replicas, 100, usage=seen(usage), provider=seen(ProviderState(**told), NOW - 1)
    )
    known = settled(replicas, days=days, cost=Learned(500_000.0, NOW, 600.0))
    found = think(spec, observation, known).decision.ceilings[limit]
    return found.replicas, found.reason


@pytest.mark.parametrize(
    ("spent", "ahead", "replicas"),
    [
        # 85% of what is left, within an hour, at 100 requests a minute for each replica.
        (0, 86_400, 10),
        (36_000, 86_400, 5),
        (63_000, 86_400, 1),
        (71_900, 86_400, 1),
        (72_000, 86_400, 0),
        # Nobody needs what is left at the end of the day.
        (63_000, 900, 5),
    ],
)
@pytest.mark.parametrize(
    ("limits", "unit", "scale", "limit"),
    [
        ({"requests_per_day": 72_000}, RPD, 1, LimitedBy.REQUESTS),
        ({"tokens_per_day": 360_000_000}, TPD, 5_000, LimitedBy.TOKENS),
    ],
)
def test_a_limit_of_a_day_is_used_at_a_pace(
    limits: dict[str, int],
    unit: Unit,
    scale: int,
    limit: LimitedBy,
    spent: float,
    ahead: float,
    replicas: int,
) -> None:
    days = {unit: Spent(spent * scale, NOW, NOW + ahead)}
    found, reason = ceiling(limited(**limits), days, limit)

    assert found == replicas
    assert f"left of {next(iter(limits.values())):,} {unit}, within" in reason
    assert f"{unit.per_minute} per replica" in reason


def test_what_the_provider_tells_needs_no_word_of_the_spec() -> None:
    told = {"requests_per_day": 14_400, "requests_today": Today(3_600, NOW + 7_200)}
    found, reason = ceiling(limited(), {}, LimitedBy.REQUESTS, **told)

    assert found == 1
    assert "85% of the 3,59" in reason
    assert "left of 14,400 RPD, within 60 min" in reason


def test_the_smaller_limit_of_requests_binds() -> None:
    days = {RPD: Spent(0.0, NOW, UTC_MIDNIGHT)}
    spec = limited(requests_per_minute=500, requests_per_day=72_000)
    assert ceiling(spec, days, LimitedBy.REQUESTS)[0] == 4
    spec = limited(requests_per_minute=5_000, requests_per_day=36_000)
    assert ceiling(spec, days, LimitedBy.REQUESTS)[0] == 5


@given(
    st.lists(st.floats(0, 500), min_size=1, max_size=200),
    st.integers(1, 5_000),
    st.sampled_from([10.0, 60.0]),
)
def test_used_at_its_pace_a_day_never_runs_out(
    wanted: list[float], limit: int, tick: float
) -> None:
    limits = {RPD: Limit(limit, "spec")}
    days, now = step({}, Provider.OPENAI, using(), limits, NOW), NOW
    for one in wanted:
        there_is = left(days, limits)[RPD]
        used = min(one, there_is.amount / there_is.pace_minutes(now))
        now += tick
        days = step(days, Provider.OPENAI, using(used), limits, now)
        assert left(days, limits)[RPD].amount > 0
