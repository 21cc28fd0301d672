"""What the status says of money: rates by the hour, the zone of the day, and one condition."""

import pytest

from builders import NOW, llm, observe, pool, settled, think
from scanpool.decide.spend import Budget, Spent
from scanpool.models.conditions import ConditionType, Reason
from scanpool.models.units import timestamp
from scanpool.report import money
from scanpool.report.conditions import is_good, settle, turned
from scanpool.report.zone import Zone

ENDS = NOW + 3_600


@pytest.mark.parametrize(
    ("spent", "ended", "zone"),
    [
        (19.0, False, Zone.GREEN),
        (21.0, False, Zone.YELLOW),
        (31.0, False, Zone.ORANGE),
        (37.0, False, Zone.RED),
        (39.9, True, Zone.EXCEEDED),
    ],
)
def test_the_figures_of_a_day(spent: float, ended: bool, zone: Zone) -> None:
    found = money.of_tick(
        Spent(spent, NOW, ENDS, per_minute=0.5, per_replica=0.25, per_call=0.012_345_67),
        Budget(40.0, 40.0 - spent, 0.0, ENDS, was_ended=ended),
    )

    assert (found.per_hour, found.today, found.per_day) == (30.0, spent, 40.0)
    assert (found.per_call, found.zone) == (0.012346, zone)
    assert found.ends_at == timestamp(ENDS)


def test_what_is_unknown_is_absent() -> None:
    found = money.of_tick(Spent(1.0, NOW, ENDS), None)

    assert (found.per_hour, found.per_call, found.per_day, found.zone) == (None,) * 4
    assert found.today == 1.0


def test_only_a_budget_has_a_condition() -> None:
    _, _, decision = think(pool(llm=llm()), observe(2, 20), settled(2))

    assert money.conditions(decision.budget) == {}


def test_its_turns_are_worth_an_event_and_its_end_is_for_the_worse() -> None:
    def told(left: float) -> list[tuple[str, bool]]:
        states = money.conditions(Budget(40.0, left, 0.5, ENDS))
        now = settle((), states, 1, timestamp(NOW))
        return [(one.reason, is_good(one)) for one in turned((), now)]

    assert told(20.0) == []
    assert told(3.9) == [(Reason.BUDGET_NEAR_ITS_END, True)]
    assert told(0.4) == [(Reason.BUDGET_EXHAUSTED, False)]


@pytest.mark.parametrize(("left", "words"), [(3.9, "raise spend.perDay"), (0.4, "is used up")])
def test_it_says_until_when_and_what_to_do(left: float, words: str) -> None:
    states = money.conditions(Budget(40.0, left, 0.5, ENDS))

    message = states[ConditionType.BUDGET_EXHAUSTED].message
    assert words in message
    assert timestamp(ENDS) in message
    assert "raise spend.perDay" in message
