"""The ceiling of a day's budget in money (spend.py)."""

from scanpool.decide import spend
from scanpool.decide.decision import Ceiling
from scanpool.decide.memory import Memory
from scanpool.decide.signals import Signals
from scanpool.models.spec import PoolSpec
from scanpool.models.units import timestamp


def ceiling(spec: PoolSpec, signals: Signals, memory: Memory) -> Ceiling | None:
    """Return the most replicas that the rest of the budget pays; None where there is none."""
    current, spent = signals.workers.replicas, memory.spent
    found = spend.budget(spec, spent, current)
    if found is None or spent is None:
        return None
    if not spent.per_replica:
        # One replica has to run for its cost to be learned; more wait until it is.
        held = max(current, 1)
        return Ceiling(held, held, "what one replica spends is not known yet")
    fits, keeps = spend.allows(found, spent.per_replica, signals.now)
    if found.is_late(signals.now):
        fits = min(fits, max(current, 1))
    told = (
        f"{found.left:,.2f} left of {found.per_day:,.2f} until {timestamp(found.ends_at)}, at "
        f"{spent.per_replica:,.4f} per replica and minute"
    )
    return Ceiling(fits, keeps, told)
