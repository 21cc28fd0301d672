"""The status's figures of money."""

from scanpool.models.base import Model
from scanpool.models.figures import OF_ITSELF, Around, figure
from scanpool.report.zone import Zone

# Of a day's budget: a process that starts anew goes on from what was written last.
MONEY_SHARE = 0.01


def _money_is_same(new: float | None, old: float | None, around: Around) -> bool:
    """Leave what is small beside the day's budget; without one, beside the value."""
    if new is None or old is None:
        return new is old
    most = around.new.per_day or abs(old)
    return abs(new - old) <= MONEY_SHARE * most


class SpendStatus(Model):
    """What the pool spends, in the currency of its prices."""

    per_hour: float | None = figure("spend_per_hour", is_same=OF_ITSELF)
    """Money that the pool spends now, per hour."""
    today: float | None = figure("spend_today", is_same=_money_is_same)
    """Money spent since the day of the budget began, as far as it was watched."""
    per_day: float | None = figure("spend_limit")
    """Money that may be spent a day."""
    zone: Zone | None = figure("spend_zone", by="zone")
    """Share of the day's budget that is spent: up to 50%, 75%, 90%, above, and used up."""
    per_call: float | None = figure("spend_per_call", is_same=OF_ITSELF)
    """Money that one LLM call costs on average: what a retry costs."""
    ends_at: str | None = None
    """When the day of the budget ends."""
