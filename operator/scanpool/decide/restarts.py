"""Workers that the kubelet stopped and started again, as it does where a liveness probe fails.

A probe by `celery inspect ping` fails where workers wait for the provider: it kills the busy ones
in the middle of their tasks, which come back and cost their tokens again.
"""

from scanpool.decide.signals import Restart, Signals

REMEMBERED_SECONDS = 3600.0
"""Some minutes are what a probe takes to fail again: an hour shows whether it goes on."""

Restarts = tuple[Restart, ...]
"""Those of the last hour, oldest first. A new process finds the last of each pod anew."""


def step(known: Restarts, signals: Signals) -> Restarts:
    """Return the restarts with those that a tick found: of each container it sees the last."""
    if not (known or signals.restarts):
        return ()
    seen = {*known, *signals.restarts}
    fresh = (one for one in seen if one.at > signals.now - REMEMBERED_SECONDS)
    return tuple(sorted(fresh, key=lambda one: (one.at, one.pod)))
