"""Sequences of faults and loads on the decision: what holds at every tick, and after all is mended.

`make test` plays the same sequences each time; `make fuzz` looks for new ones.
"""

import os
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from builders import (
    API_KEY,
    NOW,
    WHOLE_KEY,
    depth,
    llm,
    memory,
    node,
    pool,
    queue,
    rates,
    seen,
    target,
    think,
    unseen,
)
from scanpool.decide import after_scaling, checkpoint, restore
from scanpool.decide.decision import Decision
from scanpool.decide.memory import Checkpoint
from scanpool.models.conditions import LimitedBy
from scanpool.models.llm import OnQuotaExhausted
from scanpool.models.observation import KeyUsage, Observation, ProviderState
from scanpool.models.spec import Behavior, MemoryTarget, ScalingRules

FUZZED = int(os.environ.get("SCANPOOL_FUZZ", "0"))
"""Sequences to search, without a fixed seed; 0 plays those of the tests."""
PLAYED = 20
STEPS = 30

LEAST, MOST = 1, 10
PER_REPLICA = 10
TOKENS = 400_000
"""What a replica really uses in a minute."""
FAIL = ("queues", "rates", "usage", "nodes", "provider")
BLINDING = frozenset(FAIL) - {"provider"}
"""A silent provider is remembered: it holds nothing while the use is measured."""
MEND_TICKS, MEND_SECONDS = 35, 110
"""Longer than every window, back-off and pause of growth in a row."""


def is_capped(decision: Decision) -> bool:
    """Tell whether the billing breaker has a say."""
    return decision.breaker is not None and decision.breaker.cap is not None


class Sequences(RuleBasedStateMachine):
    """One pool, and a world that changes between its ticks."""

    @initialize(
        window=st.sampled_from([0, 300]), limit=st.integers(400_000, 6_000_000), size=st.booleans()
    )
    def begin(self, window: int, limit: int, *, size: bool) -> None:
        self.spec = pool(
            queue(per_replica=PER_REPLICA),
            min_replicas=LEAST,
            max_replicas=MOST,
            memory=MemoryTarget(enabled=True),
            behavior=Behavior(scale_down=ScalingRules(stabilization_window_seconds=window)),
            llm=llm(
                api_key_secret_ref=API_KEY,
                tokens_per_minute=None,
                usage=WHOLE_KEY,
                on_quota_exhausted=OnQuotaExhausted.SCALE_TO_MIN,
            ),
        )
        self.nodes = (node("a"), node("b")) if size else (node("a"),)
        self.now, self.memory, self.replicas = NOW, memory(), LEAST
        self.limit, self.others, self.messages = limit, 0, 0
        self.failed: set[str] = set()
        self.refusal: dict[str, Any] = {}

    @rule(messages=st.integers(0, 200))
    def load(self, messages: int) -> None:
        self.messages = messages

    @rule(others=st.integers(0, 3_000_000))
    def use(self, others: int) -> None:
        self.others = others

    @rule(limit=st.integers(400_000, 6_000_000))
    def change_limit(self, limit: int) -> None:
        self.limit = limit

    @rule(names=st.sets(st.sampled_from(FAIL), min_size=1))
    def fail(self, names: set[str]) -> None:
        self.failed |= names

    @rule(names=st.sets(st.sampled_from(FAIL), min_size=1))
    def heal(self, names: set[str]) -> None:
        self.failed -= names

    @rule(
        refusal=st.sampled_from(
            [
                {},
                {"rate_limited": True},
                {"slow_down": True},
                {"billing_code": "insufficient_quota"},
            ]
        )
    )
    def refuse(self, refusal: dict[str, Any]) -> None:
        self.refusal = refusal

    @rule(replicas=st.integers(0, MOST + 5))
    def scale_by_hand(self, replicas: int) -> None:
        self.replicas = replicas

    @rule()
    def kill(self) -> None:
        """Let a new process begin with what the status has kept."""
        kept = checkpoint(self.memory)
        written = kept.model_dump(mode="json", by_alias=True, exclude_none=True)
        self.memory = restore(Checkpoint.model_validate(written), self.now)

    @precondition(lambda self: hasattr(self, "spec"))
    @rule(seconds=st.integers(1, 120))
    def tick(self, seconds: int) -> None:
        self.now += seconds
        observation = self._observed()
        before = self.replicas
        thought = think(self.spec, observation, self.memory, self.now)
        decision = thought.decision
        self.memory = after_scaling(thought.memory, before, decision.desired, self.now)
        self.replicas = decision.desired

        if decision.contest is not None and decision.contest.holds(self.now):
            # Whoever sets it back again and again has it.
            assert decision.desired == before
            return
        assert LEAST <= decision.desired <= MOST
        within = min(max(before, LEAST), MOST)
        # A hold keeps what is there, also where it is more than a ceiling lets grow to.
        kept = within if decision.steps[0].step == "hold" else LEAST
        for ceiling in decision.ceilings.values():
            if ceiling.replicas is not None:
                assert decision.desired <= max(ceiling.allows(before), kept)
        if self.failed & BLINDING and not is_capped(decision):
            assert decision.desired == within
            assert decision.demand is None or "queues" not in self.failed

    def teardown(self) -> None:
        """Mend everything: the pool goes by its queue and its limits again."""
        if not hasattr(self, "spec"):
            return
        self.failed, self.refusal = set(), {}
        for _ in range(MEND_TICKS):
            self.tick(MEND_SECONDS)
        last = think(self.spec, self._observed(), self.memory, self.now + 1)
        assert last.signals.gaps == ()
        assert not is_capped(last.decision)
        assert last.decision.limited_by is not LimitedBy.HOLD
        assert last.decision.desired == self.replicas

    def _observed(self) -> Observation:
        # No use that is measured stands still: one that does is taken for stuck.
        own = min(self.replicas, self.messages) * TOKENS + self.now % 97
        state = ProviderState(tokens_per_minute=self.limit, requests_per_minute=10_000)
        readings: dict[str, Any] = {
            "queues": seen((depth(self.messages),), self.now),
            "rates": seen((rates(own / TOKENS),), self.now),
            "usage": seen(
                KeyUsage(own + self.others, own_tokens_per_minute=own, rate_limited_per_minute=0.0),
                self.now,
            ),
            "nodes": seen(self.nodes, self.now),
            "provider": seen(replace(state, **self.refusal), self.now),
        }
        readings |= {name: unseen() for name in self.failed}
        return Observation(target=target(self.replicas), **readings)


class TestSequences(Sequences.TestCase):  # type: ignore[misc]
    settings = settings(
        max_examples=FUZZED or PLAYED,
        stateful_step_count=STEPS,
        derandomize=not FUZZED,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
