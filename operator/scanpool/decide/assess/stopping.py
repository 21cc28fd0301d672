"""How the replicas of a target are stopped, and how those ended that were told to go."""

from scanpool.decide.signals import Stopped
from scanpool.models.observation import Target

REMEMBERED_SECONDS = 3600.0
"""As long as restarts are: an hour shows whether it goes on."""


def stopped(target: Target, now: float) -> Stopped | None:
    """Return how replicas are stopped; None for a target that does not tell.

    Only pods that were stopped as the present template has it say something of it.
    """
    how = None if target.template is None else target.template.stopping
    if how is None:
        return None
    ended = [
        one for one in target.ended if one.stopping == how and one.at > now - REMEMBERED_SECONDS
    ]
    return Stopped(
        how,
        killed=tuple(one.pod for one in sorted(ended, key=lambda one: one.at) if one.was_killed),
        in_time=sum(not one.was_killed for one in ended),
    )
