import pytest

from scanpool_sandbox.limiter import Admitted, Limiter, Quota, Rejected


def limiter(tpm: int = 60_000, rpm: int = 600, quota: int | None = None) -> Limiter:
    return Limiter(tokens_per_minute=tpm, requests_per_minute=rpm, quota=Quota(quota), now=0.0)


@pytest.mark.parametrize(
    ("limit", "used", "requested", "wait_seconds"),
    [
        (2_000_000, 2_000_000, 1_482, 0.04446),
        (2_000_000, 2_000_000, 3_873, 0.11619),
        (10_000, 8_554, 3_082, 9.816),
        (30_000, 29_937, 385, 0.644),
    ],
)
def test_the_wait_is_the_one_the_provider_tells(
    limit: int, used: int, requested: int, wait_seconds: float
) -> None:
    bucket = limiter(tpm=limit)
    assert bucket.admit(used, now=0.0) == Admitted(used)

    refusal = bucket.admit(requested, now=0.0)

    assert isinstance(refusal, Rejected)
    assert (refusal.code, refusal.type) == ("rate_limit_exceeded", "tokens")
    assert (refusal.limit, refusal.used, refusal.requested) == (limit, used, requested)
    assert refusal.retry_after_seconds == pytest.approx(wait_seconds)


def test_one_minutes_worth_is_available_at_once_and_then_the_refill_only() -> None:
    bucket = limiter(tpm=60_000)

    assert isinstance(bucket.admit(60_000, now=0.0), Admitted)
    assert isinstance(bucket.admit(1_000, now=0.9), Rejected)
    assert isinstance(bucket.admit(1_000, now=1.0), Admitted)


def test_the_level_stays_nearly_full_below_the_limit_and_takes_minutes_to_empty_above_it() -> None:
    """FACTS: at 90% the level reads 94-99%; at 125% the first refusal comes after 240 s."""
    steady = limiter(tpm=2_000_000, rpm=10_000)
    for second in range(600):
        assert isinstance(steady.admit(30_000, now=float(second)), Admitted)
        assert steady.token_level(float(second)).level >= 0.94 * 2_000_000

    above = limiter(tpm=2_000_000, rpm=10_000)
    refused_at = next(
        tenth / 10
        for tenth in range(10_000)
        if isinstance(above.admit(4_167, now=tenth / 10), Rejected)
    )
    assert refused_at == pytest.approx(240, rel=0.01)


def test_a_refused_request_costs_a_request_but_no_tokens() -> None:
    bucket = limiter(tpm=1_000, rpm=10)
    bucket.admit(1_000, now=0.0)

    assert isinstance(bucket.admit(500, now=0.0), Rejected)

    assert bucket.request_level(0.0).level == 8
    assert bucket.token_level(0.0).level == 0


def test_resending_at_once_never_helps() -> None:
    bucket = limiter(tpm=1_000_000, rpm=3)
    for _ in range(3):
        assert isinstance(bucket.admit(1, now=0.0), Admitted)

    for tenth in range(1, 600):
        refusal = bucket.admit(1, now=tenth / 10)
        assert isinstance(refusal, Rejected)
        assert (refusal.type, refusal.retry_after_seconds) == ("requests", 20.0)

    assert isinstance(bucket.admit(1, now=59.9 + 20.0), Admitted)


def test_a_request_larger_than_the_bucket_is_told_no_wait() -> None:
    refusal = limiter(tpm=1_000).admit(1_001, now=0.0)

    assert isinstance(refusal, Rejected)
    assert refusal.retry_after_seconds is None


def test_the_quota_admits_until_it_is_spent_and_the_debt_is_paid_first() -> None:
    bucket = limiter(quota=1_000)

    assert isinstance(bucket.admit(900, now=0.0), Admitted)
    assert isinstance(bucket.admit(300, now=0.0), Admitted), "the last request may overdraw"
    refusal = bucket.admit(1, now=0.0)
    assert isinstance(refusal, Rejected)
    assert (refusal.code, refusal.type) == ("insufficient_quota", "insufficient_quota")
    assert (refusal.limit, refusal.used, refusal.retry_after_seconds) == (1_000, 1_200, None)

    bucket.top_up(200)
    assert isinstance(bucket.admit(1, now=0.0), Rejected), "only the debt is paid"
    bucket.top_up(1)
    assert isinstance(bucket.admit(1, now=0.0), Admitted)


def test_a_request_refused_for_quota_leaves_the_token_bucket_alone() -> None:
    bucket = limiter(quota=0)

    bucket.admit(100, now=0.0)

    assert bucket.token_level(0.0).level == 60_000


def test_models_of_one_organization_share_the_quota_but_not_the_buckets() -> None:
    quota = Quota(1_000)
    one = Limiter(tokens_per_minute=5_000, requests_per_minute=10, quota=quota)
    other = Limiter(tokens_per_minute=5_000, requests_per_minute=10, quota=quota)

    one.admit(1_000, now=0.0)

    assert isinstance(other.admit(1, now=0.0), Rejected)
    assert other.token_level(0.0).level == 5_000


@pytest.mark.parametrize(
    ("before", "used", "after", "level"),
    [
        pytest.param(1_000, 400, 2_000, 1_600, id="an upgrade is available at once"),
        pytest.param(1_000, 1_000, 2_000, 1_000, id="an upgrade of an empty bucket"),
        pytest.param(2_000, 400, 1_000, 600, id="a downgrade takes the difference"),
        pytest.param(2_000, 1_500, 1_000, 0, id="a downgrade below what is in use"),
        pytest.param(1_000, 0, 2_000, 2_000, id="an idle bucket stays full"),
    ],
)
def test_what_is_in_use_stays_in_use_when_the_limit_changes(
    before: int, used: int, after: int, level: float
) -> None:
    bucket = limiter(tpm=before)
    if used:
        bucket.admit(used, now=0.0)

    bucket.set_tokens_per_minute(after, now=0.0)

    assert bucket.token_level(0.0).level == level
    assert bucket.token_level(3_600.0).level == after


def test_the_request_limit_changes_too() -> None:
    bucket = limiter(rpm=1)
    bucket.admit(1, now=0.0)
    assert isinstance(bucket.admit(1, now=0.0), Rejected)

    bucket.set_requests_per_minute(60, now=0.0)

    assert isinstance(bucket.admit(1, now=0.0), Admitted)
    assert bucket.request_level(0.0).limit_per_minute == 60


def test_setting_the_quota_leaves_exactly_that() -> None:
    quota = Quota()
    quota.spend(5_000)

    quota.set_remaining(300)
    assert (quota.remaining, quota.exhausted) == (300, False)
    quota.set_remaining(0)
    assert quota.exhausted
    quota.set_remaining(None)
    assert (quota.remaining, quota.exhausted) == (None, False)


def test_levels_are_whole_and_say_when_they_are_full_again() -> None:
    bucket = limiter(tpm=60_000)
    bucket.admit(6_000, now=0.0)

    level = bucket.token_level(0.0)

    assert (level.remaining, level.reset_seconds) == (54_000, 6.0)


@pytest.mark.parametrize("tokens", [0, -1])
def test_a_request_charges_at_least_one_token(tokens: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        limiter().admit(tokens, now=0.0)


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        limiter(tpm=0)
