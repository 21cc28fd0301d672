"""Which pods are to go when replicas are taken away: those that hold the fewest messages.

A channel is of the pod that one of its consumers' tags names, else of the only pod with its peer's
address. Where no channel is known to be of any pod, nobody is chosen: a proxy or mesh hides them.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from scanpool.models.deliveries import CHOSEN, Consuming, Worker

# What may be the name of a pod, as in celery@scan-worker-7d9f-x2x4.
NAME = re.compile(r"[-A-Za-z0-9.]+")


def choose(
    workers: Sequence[Worker], channels: Sequence[Consuming], going: int
) -> Mapping[str, str | None]:
    """Return the deletion costs to write, by pod, so that the idlest of them go; None removes one.

    Pods that are not ready go before all others, whatever they cost. A cost that somebody else has
    set stays. What was chosen before and stays now is no longer marked.
    """
    held = _held(workers, channels)
    if held is None:
        chosen: set[str] = set()
    else:
        ready = [one for one in workers if one.ready and one.cost in (None, str(CHOSEN))]
        first = sum(not one.ready for one in workers)
        ranked = sorted(ready, key=lambda one: (held[one.name], one.cost is None, one.name))
        chosen = {one.name for one in ranked[: max(going - first, 0)]}
    return {
        one.name: str(CHOSEN) if one.name in chosen else None
        for one in workers
        if (one.name in chosen) != (one.cost == str(CHOSEN))
    }


def _held(workers: Sequence[Worker], channels: Sequence[Consuming]) -> Counter[str] | None:
    """Return the messages that each pod holds; None where no channel is known to be of any."""
    shared = Counter(one.address for one in workers)
    by_address = {
        one.address: one.name for one in workers if one.address and shared[one.address] == 1
    }
    held: Counter[str] = Counter()
    found = False
    for channel in channels:
        words = {word for tag in channel.tags for word in NAME.findall(tag)}
        named = [one.name for one in workers if one.name in words]
        name = named[0] if named else by_address.get(channel.peer)
        if name is not None:
            found = True
            held[name] += channel.unacked
    return held if found else None
