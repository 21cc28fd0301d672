"""What one busy replica uses per minute: learned from its work, else as the spec says."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import exp
from typing import Annotated, NamedTuple

from scanpool.decide import mix
from scanpool.decide.llm_signals import Flow, Use
from scanpool.decide.signals import Signals
from scanpool.models.base import Model
from scanpool.models.claims import Unit
from scanpool.models.figures import NEVER, Noise
from scanpool.models.llm import Llm
from scanpool.models.spec import Queue
from scanpool.models.units import rounded

# A change of the queue mix fills the usage window (60 s) and then three of these: the cost has
# followed to 97% when three minutes are over.
TIME_CONSTANT_SECONDS = 40.0
# Calls are counted when they end, and a replica's first ones take so long: until then it looks
# idle.
FIRST_CALLS_SECONDS = 10.0
# A rate over a minute has a tenth of noise, one over less has more.
CLEARLY_MORE = 1.25
# Beyond this, more time of learning makes no cost more certain.
CERTAIN_SECONDS = 600.0
# A checkpoint counts the time of learning in whole minutes.
KEPT_STEP_SECONDS = 60


class CostSource(StrEnum):
    """Where the tokens per replica-minute come from.

    Seen: the spec's figure is less than what replicas are seen to use already.
    """

    LEARNED = "Learned"
    SEEN = "Seen"
    SPEC = "Spec"


@dataclass(frozen=True, slots=True)
class Learned:
    """The tokens per minute of a replica, learned during `seconds` until `at`.

    It is learned only while the same number of replicas has been busy since `busy_since`; before
    that, `least` is the most that was seen.
    """

    tokens: float | None = None
    at: float | None = None
    seconds: float = 0.0
    least: float | None = None
    busy_since: float | None = None
    busy_replicas: int = 0


@dataclass(frozen=True, slots=True)
class Cost:
    """What one busy replica uses per minute; None is unknown.

    `confidence`, 0 to 1, is the share of `tokens` that rests on what was measured.
    """

    tokens: float | None = None
    requests: float | None = None
    output_share: float | None = None
    source: CostSource | None = None
    confidence: float = 0.0
    at: float | None = None

    def of(self, unit: Unit) -> float | None:
        """Return the cost in the unit of a limit.

        Input and output that are not told apart count as all of the tokens: a limit on one of them
        is then reached too early, never too late.
        """
        unit = unit.per_minute
        if self.tokens is None or unit is Unit.TOKENS:
            return self.tokens
        if unit is Unit.REQUESTS:
            return self.requests
        if self.output_share is None:
            return self.tokens
        share = self.output_share if unit is Unit.OUTPUT_TOKENS else 1 - self.output_share
        return self.tokens * share


def step(
    learned: Learned, llm: Llm, signals: Signals, refused_at: float | None, shrunk_at: float | None
) -> Learned:
    """Return what is learned of a replica's cost, if this tick can teach it.

    Only a full window in which the same replicas were ready, all had messages waiting and no call
    was refused (last at `refused_at`) says what one replica uses when it is busy: an idle or a
    throttled replica looks cheap, which would raise the ceiling and bring on more refusals. The
    window is that of the reading, which ends when its newest sample was taken, not now. The first
    one weighs as much against the spec's figure as later ones do against what was learned in the
    same time. Replicas were last taken away at `shrunk_at`.
    """
    if signals.llm is None or signals.backlog is None or not signals.llm.teaches:
        # Others' use could pass for the pool's own, and a throttled replica for a cheap one.
        return learned
    use, workers, window = signals.llm.use, signals.workers, llm.usage.window_seconds
    if shrunk_at is None or use.own_at is None or shrunk_at <= use.own_at - window:
        learned = _see_at_least(learned, use, workers.pods)
    ready = workers.ready
    if not (ready > 0 and signals.backlog.ready >= ready and ready == workers.pods):
        was_busy = learned.busy_since is not None or learned.busy_replicas
        return replace(learned, busy_since=None, busy_replicas=0) if was_busy else learned
    if learned.busy_since is None or learned.busy_replicas != ready:
        return replace(learned, busy_since=signals.now, busy_replicas=ready)
    if use.own_at is None or not use.own.tokens:
        return learned
    begin = use.own_at - window if use.own_since is None else use.own_since
    calm = refused_at is None or refused_at < begin
    if begin < learned.busy_since + FIRST_CALLS_SECONDS or not calm:
        return learned
    return _taught(learned, llm, use.own.tokens / ready, signals.now)


class Tokens(NamedTuple):
    """The tokens per minute that one replica uses, and where they come from; None is unknown."""

    tokens: float | None = None
    source: CostSource | None = None


def tokens(learned: Learned, llm: Llm) -> Tokens:
    """Return the tokens of one replica: as learned, else as the spec says, else unknown.

    What the spec says gives way to what replicas are seen to use, if that is clearly more: told too
    little, a pool would grow into 429s, which keep it from learning.
    """
    if learned.tokens is not None:
        return Tokens(learned.tokens, CostSource.LEARNED)
    if llm.tokens_per_replica_minute is None:
        return Tokens()
    said = float(llm.tokens_per_replica_minute)
    if learned.least is not None and learned.least > CLEARLY_MORE * said:
        return Tokens(learned.least, CostSource.SEEN)
    return Tokens(said, CostSource.SPEC)


def cost(learned: Learned, llm: Llm, queues: Sequence[Queue], own: Flow) -> Cost:
    """Return what one replica uses. Requests and output go with the tokens as in the `own` use."""
    known, source = tokens(learned, llm)
    if known is None:
        return Cost()
    requests = mix.requests_for(known, queues, own)
    confidence = _weight(learned.seconds) if source is CostSource.LEARNED else 0.0
    return Cost(known, requests, mix.output_share(own), source, confidence, learned.at)


class KeptCost(Model):
    """What of it survives the process. It rides along with the next write and causes none."""

    tokens_per_replica_minute: Annotated[int | None, Noise(NEVER)] = None
    learned_seconds: Annotated[int | None, Noise(NEVER)] = None


NOTHING_KEPT = KeptCost()


def kept(learned: Learned) -> KeptCost:
    """Return what the next process needs."""
    if learned.tokens is None:
        return NOTHING_KEPT
    return KeptCost(
        tokens_per_replica_minute=rounded(learned.tokens),
        learned_seconds=int(learned.seconds // KEPT_STEP_SECONDS) * KEPT_STEP_SECONDS,
    )


def restored(kept: KeptCost, now: float) -> Learned:
    """Return what a process starts with."""
    tokens = kept.tokens_per_replica_minute
    return Learned(tokens, None if tokens is None else now, float(kept.learned_seconds or 0))


def _taught(learned: Learned, llm: Llm, sample: float, now: float) -> Learned:
    """Return what is learned after one more sample, in tokens per minute and replica."""
    window_seconds = llm.usage.window_seconds
    if learned.tokens is None or learned.at is None:
        known = tokens(learned, llm).tokens
        if known is not None:
            sample = known + _weight(window_seconds) * (sample - known)
        return replace(learned, tokens=sample, at=now, seconds=float(window_seconds), least=None)
    # A clock that was set back must not turn the smoothing around.
    elapsed = max(now - learned.at, 0.0)
    return replace(
        learned,
        tokens=learned.tokens + _weight(elapsed) * (sample - learned.tokens),
        at=now,
        # After a pause it is the window that was looked at, not the pause.
        seconds=min(learned.seconds + min(elapsed, window_seconds), CERTAIN_SECONDS),
    )


def _weight(seconds: float) -> float:
    """Return the share that so much time of measuring has in the smoothed cost."""
    return 1 - exp(-seconds / TIME_CONSTANT_SECONDS)


def _see_at_least(learned: Learned, use: Use, pods: int) -> Learned:
    """Remember the most that replicas were seen to use before anything is learned.

    Idle, starting and throttled ones only make it less. Where some were taken away within the
    window, the use is that of more than there are, and where the pool's part of it is not told, it
    may be anybody's.
    """
    if learned.tokens is not None or not pods or not use.own_is_told:
        return learned
    if use.own_at is None or not use.own.tokens:
        return learned
    return replace(learned, least=max(use.own.tokens / pods, learned.least or 0.0))
