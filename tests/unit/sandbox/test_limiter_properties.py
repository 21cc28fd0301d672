"""Invariants of the limiter under any sequence of requests, waits and changes."""

from hypothesis import example, given
from hypothesis import strategies as st

from scanpool_sandbox.limiter import (
    ROUNDING_TOLERANCE,
    SECONDS_PER_MINUTE,
    Admitted,
    Limiter,
    Quota,
    Rejected,
)

limits = st.integers(min_value=1, max_value=40_000_000)
tokens = st.integers(min_value=1, max_value=5_000_000)
waits = st.floats(min_value=0.0, max_value=120.0)
clocks = st.floats(min_value=0.0, max_value=1e6)
POSSIBLE_REFUSALS = (
    ["tokens"],
    ["requests"],
    ["tokens", "requests"],
    ["requests", "tokens"],
    ["requests", "tokens", "requests"],
)
requests = st.lists(st.tuples(waits, tokens), min_size=1, max_size=60)


@given(tpm=limits, rpm=limits, changes=st.lists(st.tuples(clocks, tokens, limits, limits)))
def test_levels_stay_between_zero_and_the_limit_whatever_the_clock_does(
    tpm: int, rpm: int, changes: list[tuple[float, int, int, int]]
) -> None:
    limiter = Limiter(tokens_per_minute=tpm, requests_per_minute=rpm)
    for now, amount, new_tpm, new_rpm in changes:
        limiter.admit(amount, now)
        limiter.set_tokens_per_minute(new_tpm, now)
        limiter.set_requests_per_minute(new_rpm, now)
        limiter.admit(amount, now)
        for level in (limiter.token_level(now), limiter.request_level(now)):
            assert 0 <= level.level <= level.limit_per_minute
            assert 0 <= level.reset_seconds <= SECONDS_PER_MINUTE


@given(tpm=limits, start=clocks, sent=requests)
def test_any_window_admits_at_most_the_capacity_and_its_refill(
    tpm: int, start: float, sent: list[tuple[float, int]]
) -> None:
    limiter = Limiter(tokens_per_minute=tpm, requests_per_minute=40_000_000, now=start)
    now = start
    admitted: list[tuple[float, int]] = []
    for wait, amount in sent:
        now += wait
        if isinstance(limiter.admit(amount, now), Admitted):
            admitted.append((now, amount))

    for first, (begin, _) in enumerate(admitted):
        total = 0
        for end, amount in admitted[first:]:
            total += amount
            refill = (end - begin) * tpm / SECONDS_PER_MINUTE
            assert total <= tpm + refill + len(admitted) * ROUNDING_TOLERANCE + 1e-6 * refill


@given(granted=st.integers(0, 10_000_000), top_ups=st.lists(tokens, max_size=5), sent=requests)
def test_quota_is_conserved_and_overdrawn_by_less_than_one_request(
    granted: int, top_ups: list[int], sent: list[tuple[float, int]]
) -> None:
    quota = Quota(granted)
    limiter = Limiter(
        tokens_per_minute=40_000_000, requests_per_minute=40_000_000, quota=quota, now=0.0
    )
    bought, charged, now = granted, 0, 0.0
    for index, (wait, amount) in enumerate(sent):
        now += wait
        if index < len(top_ups):
            limiter.top_up(top_ups[index])
            bought += top_ups[index]
        before = quota.remaining
        outcome = limiter.admit(amount, now)
        if isinstance(outcome, Admitted):
            assert before is not None
            assert before > 0
            charged += amount
        assert quota.spent == charged
        assert quota.remaining == bought - charged
        assert quota.remaining > -amount or isinstance(outcome, Rejected)


@given(tpm=limits, rpm=limits, start=clocks, sent=requests)
@example(tpm=3, rpm=2, start=0.0, sent=[(0.0, 1), (0.0, 3)])
def test_who_waits_as_told_is_admitted(
    tpm: int, rpm: int, start: float, sent: list[tuple[float, int]]
) -> None:
    """Nobody else calls: tokens are then missing once at most, and requests before and after it.

    A refusal for tokens takes a request, so that one may be missing after the wait for tokens.
    """
    limiter = Limiter(tokens_per_minute=tpm, requests_per_minute=rpm, now=start)
    now = start
    for wait, amount in sent:
        now += wait
        refusals = []
        while isinstance(outcome := limiter.admit(amount, now), Rejected):
            if outcome.retry_after_seconds is None:
                break
            refusals.append(outcome.type)
            assert refusals in POSSIBLE_REFUSALS
            now += outcome.retry_after_seconds


@given(tpm=limits, back=st.floats(min_value=0.0, max_value=1e6), amount=tokens)
def test_a_clock_that_goes_back_gives_nothing(tpm: int, back: float, amount: int) -> None:
    limiter = Limiter(tokens_per_minute=tpm, requests_per_minute=1_000_000, now=1e6)
    limiter.admit(amount, now=1e6)
    before = limiter.token_level(1e6)

    assert limiter.token_level(1e6 - back) == before
    assert limiter.token_level(1e6) == before
