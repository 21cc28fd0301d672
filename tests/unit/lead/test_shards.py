"""Shards that share an account: what each learns of the others, and nobody of a key."""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from scanpool.lead import shards as shards_module
from scanpool.lead.shards import FORGET_SECONDS, RENEW_SECONDS, SALT, Key, Shards, hashed, others
from scanpool.models.conditions import Reason
from scanpool.models.llm import ONLY
from scanpool.models.reading import Unavailable

NOW = 1_800_000_000.0
KEY, OTHER_KEY = Key("openai", "sk-one/0123456789"), Key("openai", "sk-two/0123456789")
FORBIDDEN = Unavailable(Reason.KUBERNETES_FORBIDDEN, 'configmaps "scanpool-shards" is forbidden')


@dataclass
class Account:
    """The ConfigMap that the shards share."""

    data: dict[str, str] | None = None
    trouble: Unavailable | None = None
    changes: list[str] = field(default_factory=list)

    async def read(self) -> Mapping[str, str] | Unavailable | None:
        return self.trouble or (None if self.data is None else dict(self.data))

    async def create(self, data: Mapping[str, str]) -> Unavailable | None:
        assert self.data is None
        self.data = dict(data)
        return None

    async def change(self, entry: str, text: str) -> Unavailable | None:
        assert self.data is not None
        self.data[entry] = text
        self.changes.append(entry)
        return None


@dataclass
class Clock:
    now: float = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def executor() -> Iterator[Executor]:
    with ThreadPoolExecutor(1) as made:
        yield made


@pytest.fixture
def account() -> Account:
    return Account()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pair(account: Account, clock: Clock, executor: Executor) -> tuple[Shards, Shards]:
    fake = cast("Any", account)
    return Shards(fake, "a", executor, clock), Shards(fake, "b", executor, clock)


def uses(shards: Shards, pool: str, key: Key) -> tuple[str, ...]:
    """Let a pool use a key, and return the other shards that do."""
    return shards.elsewhere(pool, {ONLY: key})[ONLY]


async def settle(*pair: Shards) -> None:
    """Let everybody read what everybody has written."""
    for _ in range(3):
        for one in pair:
            assert await one.sync() is None


async def test_a_key_in_two_shards_is_known_in_both(pair: tuple[Shards, Shards]) -> None:
    a, b = pair
    assert uses(a, "scan/one", KEY) == ()
    assert uses(b, "chat/two", Key(KEY.provider, f" {KEY.text}\n")) == ()
    assert uses(b, "chat/three", OTHER_KEY) == ()

    await settle(a, b)

    assert uses(a, "scan/one", KEY) == ("b",)
    assert uses(b, "chat/two", Key(KEY.provider, f" {KEY.text}\n")) == ("a",)
    assert uses(b, "chat/three", OTHER_KEY) == ()


async def test_one_key_text_at_two_providers_is_two_keys(pair: tuple[Shards, Shards]) -> None:
    a, b = pair
    uses(a, "scan/one", KEY)
    uses(b, "chat/two", Key("anthropic", KEY.text))
    await settle(a, b)

    assert uses(a, "scan/one", KEY) == ()


async def test_a_key_that_left_a_shard_is_in_one_again(pair: tuple[Shards, Shards]) -> None:
    a, b = pair
    uses(a, "scan/one", KEY)
    uses(b, "chat/two", KEY)
    await settle(a, b)
    b.forget("chat/two")

    await settle(a, b)

    assert uses(a, "scan/one", KEY) == ()


@pytest.mark.parametrize(("age", "known"), [(FORGET_SECONDS - 1, ("b",)), (FORGET_SECONDS, ())])
async def test_a_shard_that_is_gone_is_forgotten(
    pair: tuple[Shards, Shards], clock: Clock, age: float, known: tuple[str, ...]
) -> None:
    a, b = pair
    uses(a, "scan/one", KEY)
    uses(b, "chat/two", KEY)
    await settle(a, b)
    clock.now += age

    await a.sync()

    assert uses(a, "scan/one", KEY) == known


async def test_nothing_is_written_while_nothing_changes(
    pair: tuple[Shards, Shards], account: Account, clock: Clock
) -> None:
    a, b = pair
    uses(a, "scan/one", KEY)
    await settle(a, b)
    uses(b, "chat/two", OTHER_KEY)
    await settle(a, b)
    account.changes.clear()

    clock.now += RENEW_SECONDS - 1
    await settle(a, b)
    assert account.changes == []

    clock.now += 1
    await settle(a, b)
    assert sorted(account.changes) == ["a", "b"]


async def test_a_key_is_hashed_once(
    pair: tuple[Shards, Shards], monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[Key] = []

    def hash_it(key: Key, salt: str) -> str:
        counted.append(key)
        return f"{key.text} {salt}"

    monkeypatch.setattr(shards_module, "hashed", hash_it)
    a, b = pair
    for name in ("one", "two"):
        uses(a, name, KEY)
    await settle(a, b)

    assert counted == [KEY]


async def test_the_account_holds_no_key_and_another_salt_makes_other_hashes(
    pair: tuple[Shards, Shards], account: Account
) -> None:
    a, b = pair
    uses(a, "scan/one", KEY)
    await settle(a, b)

    assert account.data is not None
    written = json.dumps(account.data)
    assert "sk-" not in written
    assert "0123456789" not in written
    (stands_for,) = json.loads(account.data["a"])["keys"]
    assert stands_for == hashed(KEY, account.data[SALT])
    assert stands_for != hashed(KEY, "another-salt")
    assert len(account.data[SALT]) == 32


async def test_a_new_salt_counts_for_all(pair: tuple[Shards, Shards], account: Account) -> None:
    a, b = pair
    uses(a, "scan/one", KEY)
    uses(b, "chat/two", KEY)
    await settle(a, b)
    account.data = None

    await settle(a, b)

    assert uses(a, "scan/one", KEY) == ("b",)


async def test_who_knows_no_key_yet_leaves_what_its_former_life_wrote(
    pair: tuple[Shards, Shards], account: Account, clock: Clock, executor: Executor
) -> None:
    a, b = pair
    uses(a, "scan/one", KEY)
    uses(b, "chat/two", KEY)
    await settle(a, b)
    restarted = Shards(cast("Any", account), "b", executor, clock)

    await settle(restarted, a)

    assert uses(a, "scan/one", KEY) == ("b",)


@pytest.mark.parametrize(
    "text", ["", "no JSON", "[]", "1", "null", '{"keys": 1, "at": 1}', '{"keys": ["k"], "at": "x"}']
)
def test_what_no_shard_has_written_says_nothing(text: str) -> None:
    assert others({"b": text, SALT: "s"}, "a", NOW) == {}


async def test_what_keeps_it_from_the_account_is_told(
    pair: tuple[Shards, Shards], account: Account
) -> None:
    a, _ = pair
    account.trouble = FORBIDDEN

    assert await a.sync() == FORBIDDEN
    assert uses(a, "scan/one", KEY) == ()


async def test_each_key_of_a_pool_is_told_of(pair: tuple[Shards, Shards]) -> None:
    a, b = pair
    both = {"answers": KEY, "images": OTHER_KEY}
    a.elsewhere("scan/one", both)
    uses(b, "chat/two", OTHER_KEY)
    await settle(a, b)

    assert a.elsewhere("scan/one", both) == {"answers": (), "images": ("b",)}
    assert uses(b, "chat/two", OTHER_KEY) == ("a",)

    a.elsewhere("scan/one", {})
    await settle(a, b)
    assert uses(b, "chat/two", OTHER_KEY) == ()
