import pytest

from builders import NOW, observe, seen, unseen
from scanpool.decide.quota import cap, trip
from scanpool.models.memory import Memory, Quota
from scanpool.models.observation import ProviderState
from scanpool.models.reading import Reading
from scanpool.models.spec import OnQuotaExhausted

SINCE = NOW - 60
ANSWERED = seen(ProviderState(tokens_per_minute=2_000_000))
REFUSED = seen(ProviderState(billing_code="insufficient_quota"))
MEMORIES = {
    Quota.CLOSED: Memory(),
    Quota.HALF_OPEN: Memory(
        quota=Quota.HALF_OPEN, quota_code="insufficient_quota", quota_since=SINCE
    ),
    Quota.OPEN: Memory(quota=Quota.OPEN, quota_code="insufficient_quota", quota_since=SINCE),
}


def tripped(memory: Memory, provider: Reading[ProviderState] | None) -> Memory:
    return trip(memory, observe(provider=provider))


@pytest.mark.parametrize(
    ("before", "refused", "answered", "unavailable", "unasked"),
    [
        (Quota.CLOSED, Quota.OPEN, Quota.CLOSED, Quota.CLOSED, Quota.CLOSED),
        (Quota.OPEN, Quota.OPEN, Quota.HALF_OPEN, Quota.OPEN, Quota.CLOSED),
        (Quota.HALF_OPEN, Quota.OPEN, Quota.CLOSED, Quota.HALF_OPEN, Quota.CLOSED),
    ],
)
def test_the_truth_table(
    before: Quota, refused: Quota, answered: Quota, unavailable: Quota, unasked: Quota
) -> None:
    memory = MEMORIES[before]

    assert tripped(memory, REFUSED).quota is refused
    assert tripped(memory, ANSWERED).quota is answered
    assert tripped(memory, unseen()).quota is unavailable
    assert tripped(memory, None).quota is unasked


@pytest.mark.parametrize(
    "state",
    [
        ProviderState(rate_limited=True),
        ProviderState(slow_down=True),
        ProviderState(tokens_per_minute=0),
        ProviderState(),
    ],
)
def test_nothing_but_a_billing_code_opens_it(state: ProviderState) -> None:
    assert tripped(Memory(), seen(state)) == Memory()


def test_it_tells_the_code_and_the_time_of_the_refusal_until_it_closes() -> None:
    opened = tripped(Memory(), seen(ProviderState(billing_code="credit_balance_exhausted"), SINCE))
    assert (opened.quota_code, opened.quota_since) == ("credit_balance_exhausted", SINCE)

    trying = tripped(opened, seen(ProviderState(), SINCE + 60))
    assert (trying.quota_code, trying.quota_since) == ("credit_balance_exhausted", SINCE + 60)

    closed = tripped(trying, seen(ProviderState(), SINCE + 120))
    assert (closed.quota_code, closed.quota_since) == (None, None)


def test_a_refusal_that_goes_on_keeps_its_time_and_another_one_has_its_own() -> None:
    opened = MEMORIES[Quota.OPEN]

    assert tripped(opened, REFUSED) == opened
    other = tripped(opened, seen(ProviderState(billing_code="organization_usage_limit_exceeded")))
    assert (other.quota_code, other.quota_since) == ("organization_usage_limit_exceeded", NOW)


def test_one_shared_reading_moves_it_only_once() -> None:
    """Ticks between two probes see the same answer again: it must not open and close at once."""
    trying = tripped(MEMORIES[Quota.OPEN], ANSWERED)
    assert trying.quota is Quota.HALF_OPEN

    assert tripped(trying, ANSWERED) == trying
    assert tripped(trying, seen(ANSWERED.value, NOW + 60)).quota is Quota.CLOSED


def test_an_answer_from_before_the_refusal_does_not_move_it() -> None:
    opened = MEMORIES[Quota.OPEN]

    assert tripped(opened, seen(ANSWERED.value, SINCE)) == opened
    assert tripped(opened, seen(ANSWERED.value, SINCE - 1)) == opened


@pytest.mark.parametrize(
    ("quota", "choice", "allowed"),
    [
        (Quota.CLOSED, OnQuotaExhausted.SCALE_TO_ZERO, None),
        (Quota.CLOSED, OnQuotaExhausted.SCALE_TO_MIN, None),
        (Quota.CLOSED, OnQuotaExhausted.HOLD, None),
        (Quota.OPEN, OnQuotaExhausted.SCALE_TO_ZERO, 0),
        (Quota.OPEN, OnQuotaExhausted.SCALE_TO_MIN, 2),
        (Quota.OPEN, OnQuotaExhausted.HOLD, 7),
        (Quota.HALF_OPEN, OnQuotaExhausted.SCALE_TO_ZERO, 2),
        (Quota.HALF_OPEN, OnQuotaExhausted.SCALE_TO_MIN, 2),
        (Quota.HALF_OPEN, OnQuotaExhausted.HOLD, 7),
    ],
)
def test_the_choices(quota: Quota, choice: OnQuotaExhausted, allowed: int | None) -> None:
    assert cap(quota, choice, current=7, min_replicas=2) == allowed


@pytest.mark.parametrize("choice", [OnQuotaExhausted.SCALE_TO_ZERO, OnQuotaExhausted.SCALE_TO_MIN])
def test_a_pool_without_a_minimum_tries_the_provider_again_with_one_replica(
    choice: OnQuotaExhausted,
) -> None:
    assert cap(Quota.HALF_OPEN, choice, current=0, min_replicas=0) == 1
