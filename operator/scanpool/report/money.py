"""What the status says of money."""

from scanpool.decide.spend import NEAR_SHARE, Budget, Spent
from scanpool.models.conditions import ConditionType, Reason
from scanpool.models.units import timestamp
from scanpool.report.conditions import ConditionState, States
from scanpool.report.spend_status import SpendStatus
from scanpool.report.zone import zone

MINUTES_PER_HOUR = 60
# A call of a small model costs less than a tenth of a cent: three digits of that are told.
CALL_DIGITS, DIGITS = 6, 4


def of_tick(spent: Spent, budget: Budget | None) -> SpendStatus:
    """Return what a pool with prices has spent, and how near to its budget that is."""
    rate, per_call = spent.per_minute, spent.per_call
    found = SpendStatus(
        per_hour=None if rate is None else round(rate * MINUTES_PER_HOUR, DIGITS),
        today=round(spent.amount, DIGITS),
        per_call=None if per_call is None else round(per_call, CALL_DIGITS),
        ends_at=timestamp(spent.ends_at),
    )
    if budget is None:
        return found
    near = zone(budget.per_day, spent.amount, refused=budget.has_ended)
    return found.model_copy(update={"per_day": budget.per_day, "zone": near})


def conditions(budget: Budget | None) -> States:
    """Return the condition of the day's budget: before it ends, and once it has.

    None for a pool without a budget.
    """
    return {} if budget is None else {ConditionType.BUDGET_EXHAUSTED: _condition(budget)}


def _condition(budget: Budget) -> ConditionState:
    if budget.has_ended:
        told = f"{budget.ended_words}: the workers wait; raise spend.perDay to go on"
        return ConditionState("True", Reason.BUDGET_EXHAUSTED, told)
    if budget.is_near_its_end:
        told = (
            f"less than {NEAR_SHARE:.0%} of the budget of {budget.per_day:,.2f} is left until "
            f"{timestamp(budget.ends_at)}: raise spend.perDay, or expect the workers to wait"
        )
        return ConditionState("False", Reason.BUDGET_NEAR_ITS_END, told)
    told = f"more than {NEAR_SHARE:.0%} of the day's budget is left"
    return ConditionState("False", Reason.BUDGET_AVAILABLE, told)
