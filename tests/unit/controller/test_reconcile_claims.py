"""Pools of one key and model: each tick decides beside the others' claims."""

from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from builders import NOW, WHOLE_KEY, llm, observe, pool, seen, settled, target, unseen
from scanpool.controller.claims import Claims
from scanpool.controller.reconcile import Reconciler, Shown
from scanpool.keda.permits import Permits
from scanpool.models.conditions import Reason
from scanpool.models.fields import SecretKeyRef
from scanpool.models.llm import Llm
from scanpool.models.observation import KeyUsage, Observation, Target
from scanpool.models.pool import Pool
from scanpool.models.reading import Reading, Unavailable
from scanpool.models.spec import (
    Behavior,
    PolicyType,
    PoolSpec,
    ScaleTargetRef,
    ScalingPolicy,
    ScalingRules,
)
from scanpool.report.metrics import Metrics
from scanpool.report.pool_status import BudgetStatus

AT_ONCE = ScalingRules(
    stabilization_window_seconds=0,
    policies=(ScalingPolicy(type=PolicyType.PODS, value=100, period_seconds=1),),
)
BUSY = 400
"""Messages: ten a replica ask for more than any limit here allows."""


@dataclass
class Key:
    """One API key, the pools that burn it, and a cluster in which every replica is busy at once."""

    per_replica: int = 250_000
    replicas: dict[str, int] = field(default_factory=dict)
    messages: dict[str, int] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    secrets: dict[str, str | None] = field(default_factory=dict)
    statuses: dict[str, Any] = field(default_factory=dict)
    now: float = NOW

    def __post_init__(self) -> None:
        fake = cast("Any", self)
        metrics = Metrics(CollectorRegistry())
        shown = Shown(metrics, Permits(lambda: self.now), fake)
        self.reconciler = Reconciler(fake, fake, Claims(), shown, lambda: self.now)
        self.pools: dict[str, tuple[Pool, Any]] = {}

    def add(self, name: str, replicas: int = 1, **changes: Any) -> None:
        ref = SecretKeyRef(name=name, key="OPENAI_API_KEY")
        spec = spec_of(self.per_replica, **{"api_key_secret_ref": ref, **changes})
        body = {
            "metadata": {"namespace": "scan", "name": name, "uid": name, "generation": 1},
            "spec": {
                **spec.model_dump(mode="json", by_alias=True, exclude_none=True),
                "scaleTargetRef": {"name": name},
            },
        }
        self.pools[name] = Pool.from_body(body), settled(replicas)
        self.replicas[name], self.messages[name] = replicas, BUSY
        self.secrets[name] = "one-key"

    async def tick(self, *names: str) -> None:
        for name in names or tuple(self.pools):
            before, memory = self.pools[name]
            self.pools[name] = await self.reconciler.tick(before, memory)
        self.now += 10

    async def read_target(self, _: str, ref: ScaleTargetRef) -> Reading[Target]:
        name = ref.name
        if name in self.missing:
            return Unavailable(Reason.TARGET_NOT_FOUND, "gone")
        return seen(replace(target(self.replicas[name]), uid=name))

    async def observe(self, _: str, __: PoolSpec, there: Target, ___: object) -> Observation:
        name = there.uid
        own = self.replicas[name] * self.per_replica
        used = sum(self.on_keys_of(name, other) for other in self.pools) * self.per_replica
        return replace(
            observe(self.replicas[name], self.messages[name]),
            target=there,
            usage=seen(KeyUsage(used, None, 0.0, own), self.now),
        )

    async def read_consuming(self, *_: object) -> Any:
        return seen(())

    async def read_rivals(self, *_: object) -> Any:
        return seen(())

    async def read_keys(self, _: str, llm: Llm) -> dict[str, str]:
        texts = {key: self.secrets[ref.name] for key, ref in llm.key_refs.items()}
        return {key: text for key, text in texts.items() if text is not None}

    def scaled(self, *_: object) -> None:
        """Replicas are what `scale` made of them."""

    async def scale(self, *at: Any) -> None:
        _, _, name, current, desired = at
        assert self.replicas[name] == current
        self.replicas[name] = desired

    async def write_status(self, _: str, name: str, status: Any) -> Reading[Any]:
        self.statuses[name] = status()
        return unseen()

    def tell(self, *_: object) -> None:
        """Nobody reads Events here."""

    def on_keys_of(self, name: str, other: str) -> float:
        """Return how many replicas of a pool burn the keys of another, whose use its query tells.

        Calls are spread evenly over a pool's keys.
        """
        mine, theirs = self.texts(name), self.texts(other)
        return self.replicas[other] * sum(key in mine for key in theirs) / len(theirs)

    def texts(self, name: str) -> list[str | None]:
        spec = self.pools[name][0].spec
        assert isinstance(spec, PoolSpec)
        assert spec.llm is not None
        return [self.secrets[ref.name] for ref in spec.llm.key_refs.values()]

    def budget(self, name: str) -> BudgetStatus | None:
        told = self.statuses[name]["llm"].get("budget")
        return None if told is None else BudgetStatus.model_validate(told)


def spec_of(per_replica: int, **changes: Any) -> PoolSpec:
    usual = {
        "usage": WHOLE_KEY,
        "tokens_per_replica_minute": per_replica,
    }
    return pool(
        min_replicas=0,
        llm=llm(**{**usual, **changes}),
        behavior=Behavior(scale_up=AT_ONCE, scale_down=AT_ONCE),
    )


@pytest.fixture
def key() -> Key:
    return Key()


async def settle(key: Key) -> None:
    for _ in range(4):
        await key.tick()


async def test_two_pools_of_one_key_get_half_each(key: Key) -> None:
    """85% of 2 M TPM are six replicas of a quarter million, with a rest that no seventh fits in."""
    key.add("a")
    key.add("b")

    await settle(key)

    assert key.replicas == {"a": 3, "b": 3}
    told = key.budget("a")
    assert told is not None
    assert [(one.pool, one.grant_tokens_per_minute) for one in told.others] == [("scan/b", 750_000)]
    assert told.tokens_per_minute == 1_700_000
    assert told.grant_tokens_per_minute == 750_000


async def test_a_heavier_pool_gets_more(key: Key) -> None:
    key.add("a", weight=2)
    key.add("b")

    await settle(key)

    assert key.replicas == {"a": 4, "b": 2}


async def test_an_idle_share_is_lent_and_taken_back_without_passing_the_budget(key: Key) -> None:
    key.add("a")
    key.add("b")
    key.messages["b"] = 0
    await settle(key)
    assert key.replicas == {"a": 6, "b": 0}

    key.messages["b"] = BUSY
    for _ in range(4):
        await key.tick()
        assert sum(key.replicas.values()) <= 6
    assert key.replicas == {"a": 3, "b": 3}


async def test_pools_of_different_keys_do_not_share(key: Key) -> None:
    key.add("a")
    key.add("b")
    key.secrets["b"] = "another-key"
    await settle(key)

    # What b uses is not on a's key, but this key's use shows it: it counts as others' use.
    assert key.budget("a") is None
    assert key.budget("b") is None


@pytest.mark.parametrize("how", ["deleted", "its-target-is-gone", "its-key-cannot-be-read"])
async def test_a_pool_that_is_gone_leaves_its_share_to_the_others(key: Key, how: str) -> None:
    key.add("a")
    key.add("b")
    await settle(key)
    key.replicas["b"] = 0

    if how == "deleted":
        key.reconciler.forget("scan", "b")
        del key.pools["b"]
    elif how == "its-target-is-gone":
        key.missing.add("b")
    else:
        key.secrets["b"] = None
        key.messages["b"] = 0
    await settle(key)

    assert key.replicas["a"] == 6
    assert key.budget("a") is None


async def test_a_pool_whose_loop_stands_still_loses_its_claim_in_the_end(key: Key) -> None:
    key.add("a")
    key.add("b")
    await settle(key)
    key.replicas["b"] = 0

    for _ in range(20):
        await key.tick("a")

    assert key.replicas["a"] == 6


BOTH = tuple(SecretKeyRef(name=name, key="KEY") for name in ("first", "second"))


def both_keys(key: Key, name: str) -> None:
    """Add a pool that burns two keys, of which the first is that of the other pools."""
    key.secrets |= {"first": "one-key", "second": "another-key"}
    key.add(name, api_key_secret_ref=None, api_key_secret_refs=BOTH)


async def test_pools_that_share_one_of_two_keys_share_that_one(key: Key) -> None:
    """Each key's limit feeds six replicas; of the shared one, which the pools halve, three each.

    So many replicas of the pool with both keys burn half of their tokens with it: six in all.
    """
    both_keys(key, "a")
    key.add("b")

    await settle(key)

    assert key.replicas["b"] == 3
    assert key.replicas["a"] >= 5
    # Of the shared key, no more than there is; of both, no more than there is of both.
    on_first = key.replicas["b"] + key.replicas["a"] / 2
    assert on_first * key.per_replica <= 1_700_000


async def test_pools_that_share_both_keys_share_their_sum(key: Key) -> None:
    both_keys(key, "a")
    both_keys(key, "b")

    await settle(key)

    # 85% of 4 M TPM are thirteen replicas of a quarter million.
    assert sorted(key.replicas.values()) == [6, 7]
    told = key.budget("a")
    assert told is not None
    assert told.tokens_per_minute == 3_400_000
