"""The pool's own part of a use that is measured, while nothing tells it."""

from builders import (
    API_KEY,
    NOW,
    WHOLE_KEY,
    llm,
    observe,
    pool,
    rates,
    seen,
    settled,
    think,
    unseen,
)
from scanpool.models.conditions import Reason
from scanpool.models.observation import KeyUsage, ProviderState
from scanpool.models.spec import Behavior, ScalingRules


def test_use_whose_own_part_was_unknown_for_a_while_is_not_remembered_as_that_of_others() -> None:
    """As while a broker restarts: the replicas are as they were, and so is what others use."""
    spec = pool(
        max_replicas=20,
        behavior=Behavior(scale_down=ScalingRules(stabilization_window_seconds=0)),
        llm=llm(
            tokens_per_minute=1_300_000,
            tokens_per_replica_minute=120_000,
            api_key_secret_ref=API_KEY,
            usage=WHOLE_KEY,
        ),
    )
    told = ProviderState(tokens_per_minute=2_000_000, tokens_remaining=2_000_000)
    unseen(Reason.BROKER_RECOVERING)
    known = settled(5)
    decided = []
    for tick in range(60):
        at = NOW + tick
        observation = observe(
            5,
            45,
            rates=unseen(Reason.BROKER_RECOVERING)
            if 10 <= tick < 50
            else seen((rates(10 / 3),), at),
            usage=seen(KeyUsage(700_000.0 + tick), at),
            provider=seen(told, at),
        )
        made = think(spec, observation, known, at)
        known = made.memory
        decided.append(made.decision.desired)
    assert set(decided) == {5}
