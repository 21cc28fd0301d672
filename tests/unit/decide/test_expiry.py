"""Messages that expire before a worker takes them, told while there is time."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import ANSWER, API_KEY, NOW, VISION, llm, llm_signals, pool, queue, signals
from scanpool.decide.breaker import Cap, Quota, Verdict
from scanpool.decide.expiry import BACKLOG_SHARE, risk
from scanpool.decide.llm_signals import Probed
from scanpool.decide.probing import LONGEST_BACKOFF_SECONDS
from scanpool.decide.signals import Expiry
from scanpool.models.conditions import Reason
from scanpool.models.llm import ONLY, NamedLlm, OnQuotaExhausted
from scanpool.models.spec import Cost, PoolSpec, Queue

HOUR, RULE = 3_600.0, 300.0
CLOSED = Verdict(Quota.CLOSED, None, None)
TO_ZERO = OnQuotaExhausted.SCALE_TO_ZERO


def spec(choice: OnQuotaExhausted = OnQuotaExhausted.HOLD, **changes: Any) -> PoolSpec:
    paid = llm(api_key_secret_ref=API_KEY, on_quota_exhausted=choice)
    return pool(queue(VISION), queue(ANSWER), llm=paid, **changes)


def opened(ago: float, replicas: int = 0, until: float | None = None) -> Verdict:
    return Verdict(Quota.OPEN, "insufficient_quota", Cap(replicas, "no"), until, NOW - ago)


def told(
    *expiries: Expiry, verdict: Verdict = CLOSED, chosen: PoolSpec | None = None, asks: bool = True
) -> Reason | None:
    probed = Probed(is_asked=asks, at=NOW if asks else None, source="probe")
    seen = signals(llm_signals(probed=probed), expiries=expiries)
    found = risk(chosen or spec(), seen, {ONLY: verdict})
    return None if found is None else found.reason


BREAKER, BACKLOG = Reason.BREAKER_OUTLASTS_TTL, Reason.BACKLOG_OUTLASTS_TTL


@pytest.mark.parametrize(
    ("ttl", "verdict", "expected"),
    [
        # Asked again after a quarter of an hour at the latest: they would be gone by then.
        (RULE, opened(ago=0), BREAKER),
        (HOUR, opened(ago=0), None),
        (HOUR, opened(ago=HOUR - LONGEST_BACKOFF_SECONDS - 1), None),
        (HOUR, opened(ago=HOUR - LONGEST_BACKOFF_SECONDS), BREAKER),
        (HOUR, opened(ago=5 * HOUR), BREAKER),
        # An end that is known: a quota of a day.
        (HOUR, opened(ago=0, until=NOW + HOUR - 1), None),
        (HOUR, opened(ago=0, until=NOW + HOUR), BREAKER),
        (RULE, opened(ago=0, until=NOW + 60), None),
        # Workers are there, and take messages, whatever becomes of their calls.
        (RULE, opened(ago=HOUR, replicas=2), None),
        (RULE, Verdict(Quota.HALF_OPEN, None, Cap(0, "slowly")), None),
        (RULE, CLOSED, None),
    ],
)
def test_a_breaker_that_keeps_workers_away_for_longer_than_messages_wait(
    ttl: float, verdict: Verdict, expected: Reason | None
) -> None:
    assert told(Expiry(VISION, ttl), verdict=verdict) is expected


@pytest.mark.parametrize(
    ("ready", "per_second", "ttl", "expected"),
    [
        (0, 1.0, RULE, None),
        (224, 1.0, RULE, None),
        (225, 1.0, RULE, BACKLOG),
        (9_000, 1.0, RULE, BACKLOG),
        (9_000, 100.0, RULE, None),
        # Messages that may not wait at all, of which none does.
        (0, 1.0, 0.0, None),
        # Nothing is worked off yet: nobody knows how long that takes.
        (9_000, 0.0, RULE, None),
    ],
)
def test_a_backlog_that_takes_longer_than_messages_wait(
    ready: int, per_second: float, ttl: float, expected: Reason | None
) -> None:
    assert told(Expiry(VISION, ttl, ready, per_second)) is expected


def test_the_queue_that_loses_messages_need_not_be_the_first_to_let_them_expire() -> None:
    quick, slow = Expiry(ANSWER, RULE, 10, 10.0), Expiry(VISION, HOUR, 9_000, 1.0)
    seen = signals(llm_signals(), expiries=(quick, slow))
    found = risk(spec(), seen, {ONLY: CLOSED})
    assert found is not None
    assert VISION in found.words


@pytest.mark.parametrize(
    ("choice", "least", "ttl", "asks", "expected"),
    [
        (TO_ZERO, 1, RULE, True, BREAKER),
        (TO_ZERO, 1, LONGEST_BACKOFF_SECONDS, True, BREAKER),
        (TO_ZERO, 1, HOUR, True, None),
        (OnQuotaExhausted.SCALE_TO_MIN, 0, RULE, True, BREAKER),
        (OnQuotaExhausted.SCALE_TO_MIN, 1, RULE, True, None),
        (OnQuotaExhausted.HOLD, 0, RULE, True, None),
        # Nothing opens the breaker of a provider that is not asked.
        (TO_ZERO, 1, RULE, False, None),
    ],
)
def test_a_choice_that_would_lose_messages_says_so_when_it_is_set(
    choice: OnQuotaExhausted, least: int, ttl: float, asks: bool, expected: Reason | None
) -> None:
    chosen = spec(choice, min_replicas=least)
    assert told(Expiry(VISION, ttl), chosen=chosen, asks=asks) is expected


def test_of_several_limits_only_the_queues_that_wait_for_one_are_told_of() -> None:
    chosen = pool(
        Queue(name=VISION, tokens=(Cost(llm="gpt", per_message=1),)),
        Queue(name=ANSWER, tokens=(Cost(llm="gemini", per_message=1),)),
        llms=tuple(
            NamedLlm(name=name, model="m", api_key_secret_ref=API_KEY) for name in ("gpt", "gemini")
        ),
    )
    seen = replace(
        signals(expiries=(Expiry(VISION, HOUR), Expiry(ANSWER, RULE))),
        llms={"gpt": llm_signals(), "gemini": llm_signals()},
    )
    for name, expected in (("gemini", BREAKER), ("gpt", None)):
        verdicts = {"gpt": CLOSED, "gemini": CLOSED, name: opened(ago=0)}
        found = risk(chosen, seen, verdicts)
        assert (found and found.reason) is expected


@given(st.floats(1, 1e6), st.floats(0.01, 1e3), st.integers(0, 10**6))
def test_whoever_would_lose_messages_of_a_backlog_is_told_before(
    ttl: float, per_second: float, ready: int
) -> None:
    found = told(Expiry(VISION, ttl, ready, per_second))
    wait = ready / per_second
    assert found is BACKLOG or wait < ttl
    assert found is None or wait >= BACKLOG_SHARE * ttl


@pytest.mark.parametrize("expiries", [None, ()])
def test_without_a_time_to_live_nothing_expires(expiries: tuple[Expiry, ...] | None) -> None:
    seen = signals(llm_signals(), expiries=expiries)
    assert risk(spec(TO_ZERO), seen, {ONLY: opened(ago=5 * HOUR)}) is None
