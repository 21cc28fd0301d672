"""What the pools of one operator process share: its probe of the key, and what each pool claims."""

from math import inf

from scanpool.controller.claims import Claims
from scanpool.decide import Peers
from scanpool.models.claims import Claim
from scanpool.models.llm import ONLY
from scanpool.models.observation import ProviderState
from scanpool.models.reading import Available
from scanpool_replay.pipeline import Pipeline
from scanpool_replay.provider import Account, Caller, LLMProvider
from scanpool_sandbox.limiter import Rejected

# Any moment: decisions count in seconds since the epoch.
EPOCH_SECONDS = 1_800_000_000.0
PROBE_TOKENS = 10
# All pools of a scenario burn the same key.
KEY = frozenset({"key"})


def epoch(time: float) -> float:
    """Return a simulated time in seconds since the epoch."""
    return EPOCH_SECONDS + time


class Operator:
    """One process: what it holds in memory is gone when it starts again."""

    def __init__(self) -> None:
        self._claims = Claims()
        self._probed: Available[ProviderState] | None = None
        self._account: Account | None = None

    def forget(self) -> None:
        """Start again."""
        self._claims = Claims()
        self._probed = None

    def publish(self, claim: Claim, now: float) -> None:
        """Let the other pools see what one asks of the limits at its last tick."""
        self._claims.publish(KEY, claim, now, inf)

    def peers(self, pool: str, now: float) -> Peers:
        """Return a pool among the others and what they ask."""
        return Peers(pool, {ONLY: {ONLY: self._claims.peers(KEY, pool, now)}})

    def probe(self, pipeline: Pipeline, max_age: float) -> Available[ProviderState]:
        """Return the last probe's answer, or that of a new one if it is `max_age` seconds old."""
        now = epoch(pipeline.engine.now)
        if self._probed is None or now - self._probed.at >= max_age:
            if self._account is None:
                self._account = pipeline.provider.open(Caller.PROBE)
            answer = _probe(pipeline.provider, self._account, pipeline.engine.now)
            self._probed = Available(answer, now, "probe")
        return self._probed


def _probe(provider: LLMProvider, account: Account, now: float) -> ProviderState:
    answer = provider.call(account, PROBE_TOKENS)
    if isinstance(answer, Rejected) and answer.code == "insufficient_quota":
        return ProviderState(billing_code=answer.code)
    is_refused = isinstance(answer, Rejected)
    return ProviderState(
        tokens_per_minute=provider.limit(),
        requests_per_minute=provider.limiter.request_level(now).limit_per_minute,
        tokens_remaining=int(provider.level()),
        tokens_spent=0 if is_refused else PROBE_TOKENS,
        rate_limited=is_refused,
    )
