import pytest

from builders import NOW, unseen
from scanpool.decide.permit import Permit
from scanpool.keda.permits import Permits
from scanpool.models.conditions import Reason
from scanpool.models.reading import Unavailable

LASTS = 90.0
SOME, MORE = Permit(3, would_have_any=True), Permit(5, would_have_any=True)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def permits(clock: Clock) -> Permits:
    made = Permits(clock)
    made.tell("shop", "orders", SOME, LASTS)
    return made


def found(permits: Permits, namespace: str = "shop", name: str = "orders") -> object:
    told = permits.told(namespace, name)
    return None if told is None else told.found


def test_the_last_word_counts(permits: Permits) -> None:
    assert found(permits) == SOME
    permits.tell("shop", "orders", MORE, LASTS)
    assert found(permits) == MORE
    permits.tell("shop", "orders", unseen(), LASTS)
    assert found(permits) == unseen()


@pytest.mark.parametrize(("namespace", "name"), [("shop", "other"), ("other", "orders")])
def test_nothing_was_told_of_other_pools(permits: Permits, namespace: str, name: str) -> None:
    assert found(permits, namespace, name) is None


def test_a_word_that_is_too_old_is_none(permits: Permits, clock: Clock) -> None:
    clock.now += LASTS - 1
    assert found(permits) == SOME
    clock.now += 1

    stuck = found(permits)
    assert isinstance(stuck, Unavailable)
    assert stuck.reason is Reason.TICKS_STUCK

    permits.tell("shop", "orders", SOME, LASTS)
    assert found(permits) == SOME


def test_whoever_waits_hears_of_what_follows(permits: Permits) -> None:
    first = permits.told("shop", "orders")
    assert first is not None
    assert not first.is_old.is_set()
    permits.tell("shop", "orders", MORE, LASTS)
    assert first.is_old.is_set()

    second = permits.told("shop", "orders")
    assert second is not None
    permits.forget("shop", "orders")
    assert second.is_old.is_set()
    assert permits.told("shop", "orders") is None


def test_whoever_waits_for_one_that_is_too_old_hears_of_what_follows(
    permits: Permits, clock: Clock
) -> None:
    clock.now += LASTS
    old = permits.told("shop", "orders")
    permits.tell("shop", "orders", MORE, LASTS)

    assert old is not None
    assert old.is_old.is_set()


def test_a_pool_that_was_never_told_of_is_forgotten_all_the_same(permits: Permits) -> None:
    permits.forget("shop", "other")
    assert found(permits) == SOME
