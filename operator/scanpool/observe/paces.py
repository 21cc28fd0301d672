"""How long messages of a queue may wait, and how fast it is worked off: what only warns.

A time to live is known as soon as the broker tells of the queue; what was acknowledged may be in
doubt (`queue_belief.rates`), and then only that is unknown.
"""

from collections.abc import Mapping
from math import fsum
from typing import NamedTuple

from scanpool.models.broker import RateReport
from scanpool.models.observation import QueuePace, QueueRates
from scanpool.models.reading import Unavailable


class Counted(NamedTuple):
    """What is told of the acknowledgements of the queues that an entry of a pool means, by name.

    `rated` is what is believed of it.
    """

    reports: Mapping[str, RateReport]
    rated: Mapping[str, QueueRates | Unavailable]


def together(name: str, counted: Counted) -> QueuePace:
    """Return the pace of an entry, the queues of a pattern as one.

    The first to let messages expire is the one that counts. A queue of which nothing is known has
    no part in the others' rate and count.
    """
    lives = [one.message_ttl_seconds for one in counted.reports.values()]
    counts = [one.delivered for one in counted.reports.values() if one.delivered is not None]
    rates = [
        one.acked_per_second for one in counted.rated.values() if not isinstance(one, Unavailable)
    ]
    return QueuePace(
        name,
        min((one for one in lives if one is not None), default=None),
        fsum(rates) if rates else None,
        sum(counts) if counts else None,
    )
