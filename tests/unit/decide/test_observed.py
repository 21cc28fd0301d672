"""What a pool that only observes would have done: each change once, for an hour."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import NOW
from scanpool.decide import Memory, after_observing, checkpoint, observed, restore
from scanpool.decide.memory import Checkpoint
from scanpool.decide.observed import PERIOD_SECONDS, SLOT_SECONDS, Change, Observed
from scanpool.models.conditions import LimitedBy

SECONDS = 10.0


def decided(current: int, desired: int, at: float = NOW) -> Change:
    return Change(at, current, desired, LimitedBy.NONE, "as the queues ask")


def after(ticks: Iterable[tuple[int, int]], holds_at: Iterable[int] = ()) -> Observed:
    """Return what is known after ticks of what the Deployment asks for and what is decided."""
    seen = Observed()
    for index, (current, desired) in enumerate(ticks):
        change = decided(current, desired, NOW + index * SECONDS)
        seen = observed.step(seen, change, holds=index in set(holds_at))
    return seen


@pytest.mark.parametrize(
    ("ticks", "changes"),
    [
        pytest.param([(3, 3), (3, 3)], 0, id="nothing-to-do"),
        pytest.param([(3, 7)], 1, id="one"),
        pytest.param([(3, 7)] * 30, 1, id="the-same-one-as-long-as-nobody-makes-it"),
        pytest.param([(3, 7), (5, 7), (7, 7)], 1, id="another-autoscaler-makes-it"),
        pytest.param([(3, 7), (3, 8)], 2, id="another-number"),
        pytest.param([(3, 7), (3, 3), (3, 7)], 2, id="again-after-it-was-none"),
        pytest.param([(7, 7), (5, 5), (2, 2)], 0, id="another-autoscaler-does-all"),
        pytest.param([(3, 7), (7, 7), (7, 4)], 2, id="down-too"),
    ],
)
def test_a_change_counts_once(ticks: list[tuple[int, int]], changes: int) -> None:
    assert after(ticks).changes == changes


def test_a_hold_changes_nothing_and_forgets_nothing() -> None:
    """What was decided on before a reading failed is the same change once it is back."""
    assert after([(3, 7), (3, 3), (3, 7)], holds_at=[1]).changes == 1
    # But the bounds hold whatever cannot be read.
    assert after([(12, 10)], holds_at=[0]).changes == 1


def test_the_newest_is_told_with_its_numbers() -> None:
    latest = after([(3, 7), (3, 7), (7, 4), (7, 4)]).latest

    assert latest is not None
    assert (latest.at, latest.before, latest.after) == (NOW + 2 * SECONDS, 7, 4)


def test_what_is_older_than_an_hour_is_forgotten() -> None:
    seen = after([(3, 7)])

    def left(seconds: float) -> int:
        return observed.step(seen, decided(3, 7, NOW + seconds), holds=False).changes

    assert left(PERIOD_SECONDS - SLOT_SECONDS) == 1
    assert left(PERIOD_SECONDS + 1) == 0


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=800))
def test_it_is_bounded_and_counts_no_more_than_there_were(ticks: list[tuple[int, int]]) -> None:
    seen = after(ticks)

    assert len(seen.slots) <= PERIOD_SECONDS / SLOT_SECONDS
    lately = ticks[-int(PERIOD_SECONDS / SECONDS) :]
    assert 0 <= seen.changes <= sum(current != desired for current, desired in lately)


def test_the_next_process_goes_on_counting() -> None:
    """Its first look, which decides nothing, does not make the same change a second one."""
    known = after_observing(Memory(), decided(3, 7), holds=False)
    kept = Checkpoint.model_validate(checkpoint(known).model_dump(mode="json", by_alias=True))

    restarted = after_observing(restore(kept, NOW), decided(3, 3, NOW + 10), holds=True)
    restarted = after_observing(restarted, decided(3, 7, NOW + 20), holds=False)
    assert restarted.observed is not None
    assert (restarted.observed.changes, restarted.observed.desired) == (1, 7)


def test_a_pool_that_has_never_observed_keeps_nothing_of_it() -> None:
    assert restore(checkpoint(Memory()), NOW).observed is None
