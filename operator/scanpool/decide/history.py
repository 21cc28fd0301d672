"""What the pool asked for, what it was given, and who set it back."""

from dataclasses import dataclass, replace

from scanpool.decide import behavior
from scanpool.decide.behavior import Recommendation, Scaling
from scanpool.decide.signals import Signals
from scanpool.models.spec import Behavior

# Replicas that someone else sets back within this time are contested, not adjusted.
REVERT_WINDOW_SECONDS = 600


@dataclass(frozen=True, slots=True)
class History:
    """Recommendations and scalings as far back as any window reaches.

    No recommendations: the first tick of a process, which none of this survives. Recommendations
    would cost a write per tick, and all that is lost is the time in which their window fills anew.
    """

    recommendations: tuple[Recommendation, ...] = ()
    scalings: tuple[Scaling, ...] = ()
    failed_depth_readings: int = 0
    last_desired: int | None = None
    reverted_at: tuple[float, ...] = ()

    @property
    def shrunk_at(self) -> float | None:
        """When replicas were last taken away."""
        return max((one.at for one in self.scalings if one.change < 0), default=None)

    @property
    def scaled_at(self) -> float:
        """When the replicas were last changed; 0 if never."""
        return max((one.at for one in self.scalings), default=0.0)


def step(history: History, rules: Behavior, signals: Signals) -> History:
    """Return the history with what a tick asks for and what it found."""
    now, replicas = signals.now, signals.workers.replicas
    reverts = tuple(at for at in history.reverted_at if at > now - REVERT_WINDOW_SECONDS)
    is_set_back = history.last_desired not in (None, replicas)
    return History(
        recommendations=behavior.recommend(history.recommendations, signals.asked, rules, now),
        scalings=behavior.forget_scalings(history.scalings, now),
        failed_depth_readings=0 if signals.backlog else history.failed_depth_readings + 1,
        last_desired=None if is_set_back else history.last_desired,
        reverted_at=(*reverts, now) if is_set_back else reverts,
    )


def scaled(history: History, before: int, after: int, now: float) -> History:
    """Return the history once the API server has taken a change of replicas."""
    scalings = (*history.scalings, Scaling(now, after - before))
    return replace(history, scalings=scalings, last_desired=after)
