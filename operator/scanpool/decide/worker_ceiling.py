"""The workers' own ceiling: no growth beyond where more of them have brought nothing."""

from scanpool.decide import throughput
from scanpool.decide.decision import Ceiling
from scanpool.decide.memory import Memory
from scanpool.decide.signals import Signals
from scanpool.models.spec import PoolSpec


def ceiling(_: PoolSpec, signals: Signals, memory: Memory) -> Ceiling | None:
    """Return the replicas that bring no more than fewer did; None while all bring more.

    What is there stays: it does no harm, and fewer may do worse by now.
    """
    found = throughput.stuck(memory.throughput, signals.now)
    if found is None:
        return None
    more, fewer = found
    return Ceiling(
        more.replicas,
        max(more.replicas, signals.workers.replicas),
        f"{more.replicas} busy replicas work off {more.per_minute:,.0f} messages a minute where "
        f"{fewer.replicas} worked off {fewer.per_minute:,.0f}: more bring no more, so look at what "
        "they wait for (CPU, a database, slow answers)",
    )
