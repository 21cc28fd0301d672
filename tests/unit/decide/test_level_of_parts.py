"""A level that is told beside limits on input and output apart, as Anthropic tells it."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from builders import (
    API_KEY,
    NOW,
    WHOLE_KEY,
    depth,
    llm,
    observe,
    pool,
    queue,
    rates,
    seen,
    settled,
    think,
)
from scanpool.decide.decision import Decision
from scanpool.models.claims import Unit
from scanpool.models.llm import Provider
from scanpool.models.observation import KeyUsage, ProviderState

INPUT, OUTPUT = 2_000_000, 400_000
BOTH = {"input_tokens_per_minute": INPUT, "output_tokens_per_minute": OUTPUT}
TICK_SECONDS = 10
TICKS = 30


class Replica(NamedTuple):
    """What the exporter shows of a replica, in tokens per minute."""

    input: float
    output: float

    def used(self, replicas: int, noise: float) -> KeyUsage:
        """Return the use of a key that the pool has for itself."""
        whole, output = replicas * sum(self) + noise, replicas * self.output
        return KeyUsage(
            whole,
            own_tokens_per_minute=whole,
            output_tokens_per_minute=output,
            own_output_tokens_per_minute=output,
        )


def ticks(
    told: ProviderState, replica: Replica, replicas: int, declared: int | None = None
) -> Iterator[Decision]:
    """Yield the decisions while the provider tells the same; each is carried out at once.

    The spec sets a limit of `declared` tokens a minute.
    """
    spec = pool(
        queue(tokens=0),
        llm=llm(
            provider=Provider.ANTHROPIC,
            model="claude-sonnet-4-5",
            api_key_secret_ref=API_KEY,
            usage=WHOLE_KEY,
            tokens_per_minute=declared,
            tokens_per_replica_minute=400_000,
        ),
    )
    memory = settled(replicas)
    for tick in range(TICKS):
        now = NOW + tick * TICK_SECONDS
        found = observe(
            replicas,
            queues=seen((depth(ready=1_000),), now),
            provider=seen(told, now),
            usage=seen(replica.used(replicas, tick % 7), now),
            rates=seen((rates(1.0),), now),
        )
        _, memory, decision = think(spec, found, memory, now)
        yield decision
        replicas = decision.desired


# Nothing tells that most of the input is read from the cache: the exporter counts it in.
CACHED = Replica(485_000, 10_000)


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(
            ProviderState(tokens_per_minute=2_400_000, tokens_remaining=2_390_000, **BOTH),
            id="all-tokens-too",
        ),
        pytest.param(ProviderState(tokens_remaining=1_990_000, **BOTH), id="apart-only"),
        pytest.param(
            ProviderState(tokens_remaining=1_990_000, input_tokens_per_minute=INPUT),
            id="input-only",
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("replicas", [4, 5])
def test_a_full_bucket_takes_no_replica_for_what_an_exporter_counts(
    told: ProviderState, replicas: int
) -> None:
    found = list(ticks(told, CACHED, replicas))
    assert [one.desired for one in found] == sorted(one.desired for one in found)
    assert found[0].desired >= replicas


@pytest.mark.parametrize(
    ("replica", "unit"),
    [(Replica(500_000, 10_000), Unit.INPUT_TOKENS), (Replica(100_000, 90_000), Unit.OUTPUT_TOKENS)],
)
def test_an_empty_one_takes_replicas_down_to_what_its_limit_feeds(
    replica: Replica, unit: Unit
) -> None:
    told = ProviderState(tokens_per_minute=2_400_000, tokens_remaining=100_000, **BOTH)
    *_, last = ticks(told, replica, 8)
    fed = INPUT / replica.input if unit is Unit.INPUT_TOKENS else OUTPUT / replica.output
    assert 1 <= last.desired <= fed
    first = next(ticks(told, replica, 8))
    assert first.llm is not None
    assert first.llm.binding is unit
    assert f"{unit} with the bucket" in first.ceilings["Tokens"].reason


@pytest.mark.parametrize("declared", [None, INPUT])
@pytest.mark.parametrize("tokens_remaining", [None, 2_390_000])
def test_without_a_level_or_for_a_limit_of_the_specs_own_the_rate_decides(
    tokens_remaining: int | None, declared: int | None
) -> None:
    told = ProviderState(tokens_per_minute=2_400_000, tokens_remaining=tokens_remaining, **BOTH)
    *_, last = ticks(told, CACHED, 4, declared)
    assert (last.desired == 3) is (tokens_remaining is None or declared is not None)
