"""What the pool asked for, what it was given, and who set it back."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from scanpool.decide import behavior, contest, fallback
from scanpool.decide.behavior import Recommendation, Scaling
from scanpool.decide.contest import Revert
from scanpool.decide.signals import Signals
from scanpool.models.base import Model
from scanpool.models.figures import NEVER, Noise
from scanpool.models.spec import Mode, PoolSpec

# A pool that alternates around what its limit feeds has the larger number again within this time,
# if the limit feeds a fifth of a replica beyond the smaller one; if less, waiting costs little.
HAD_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class History:
    """Recommendations and scalings as far back as any window reaches.

    No recommendations: the first tick of a process, which none of this survives. Recommendations
    would cost a write per tick, and all that is lost is the time in which their window fills anew.
    `had` is the most replicas that were ready within a quarter of an hour, and when they last were,
    as far as the queues still asked for so many when they were last read.
    """

    recommendations: tuple[Recommendation, ...] = ()
    scalings: tuple[Scaling, ...] = ()
    failed_depth_readings: int = 0
    last_desired: int | None = None
    reverts: tuple[Revert, ...] = ()
    had: Recommendation | None = None

    @property
    def shrunk_at(self) -> float | None:
        """When replicas were last taken away."""
        return max((one.at for one in self.scalings if one.change < 0), default=None)

    @property
    def scaled_at(self) -> float:
        """When the replicas were last changed; 0 if never."""
        return max((one.at for one in self.scalings), default=0.0)


def step(history: History, spec: PoolSpec, signals: Signals) -> History:
    """Return the history with what a tick asks for and what it found."""
    now, replicas = signals.now, signals.workers.replicas
    failures = 0 if signals.backlog else history.failed_depth_readings + 1
    instead = None if signals.is_first_look else fallback.asked(spec, failures, replicas)
    asked = signals.asked if instead is None else instead
    # Whoever only looks has nothing to be set back.
    acts = spec.mode is Mode.ENFORCE
    reverts = contest.remembered(history.reverts, now) if acts else ()
    is_set_back = acts and history.last_desired not in (None, replicas)
    return History(
        recommendations=behavior.recommend(history.recommendations, asked, spec.behavior, now),
        scalings=behavior.forget_scalings(history.scalings, now),
        failed_depth_readings=failures,
        last_desired=None if is_set_back or not acts else history.last_desired,
        reverts=(*reverts, contest.set_back(signals.writers, now)) if is_set_back else reverts,
        had=_had(history.had, signals),
    )


def _had(known: Recommendation | None, signals: Signals) -> Recommendation:
    """Return the most replicas of late; a tick that cannot read everything takes none off."""
    now, ready = signals.now, min(signals.workers.ready, signals.workers.replicas)
    if known is None or now - known.at > HAD_SECONDS or ready >= known.replicas:
        known = Recommendation(now, ready)
    if signals.holds:
        return known
    return Recommendation(known.at, min(known.replicas, signals.asked))


def heard(history: History, scalings: Sequence[Scaling]) -> History:
    """Return the history of a process that follows, with the changes that another has told of.

    Oldest first. What is set back is the other's to notice: this process asked for nothing.
    """
    newest = history.scaled_at
    told = tuple(one for one in scalings if one.at > newest)
    return replace(history, scalings=(*history.scalings, *told), last_desired=None)


def scaled(history: History, before: int, after: int, now: float) -> History:
    """Return the history once the API server has taken a change of replicas."""
    scalings = (*history.scalings, Scaling(now, after - before))
    return replace(history, scalings=scalings, last_desired=after)


class KeptHistory(Model):
    """What of it survives the process."""

    had_replicas: Annotated[int | None, Noise(NEVER)] = None
    had_at: Annotated[float | None, Noise(NEVER)] = None


NOTHING_KEPT = KeptHistory()


def kept(history: History) -> KeptHistory:
    """Return what the next process needs."""
    had = history.had
    return NOTHING_KEPT if had is None else KeptHistory(had_replicas=had.replicas, had_at=had.at)


def restored(kept: KeptHistory) -> History:
    """Return what a process starts with: its window of recommendations is empty."""
    if kept.had_replicas is None or kept.had_at is None:
        return History()
    return History(had=Recommendation(kept.had_at, kept.had_replicas))
