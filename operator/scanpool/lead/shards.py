"""Which keys the pools of this shard use, and which other shards use them, too.

Each shard divides a key's limit among its own pools and takes all else for others' use: a key in
two shards has two budgets that know nothing of each other. The shards tell each other their keys
through an account that all of them can read, so that a key must not be found from what is in it:
hashes, with a salt of the account, by a function that makes every guess slow and large.
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from concurrent.futures import Executor
from hashlib import scrypt
from secrets import token_hex
from typing import NamedTuple

from scanpool.kube.accounts import Accounts
from scanpool.models.conditions import Reason
from scanpool.models.reading import Unavailable
from scanpool.models.units import Clock
from scanpool.threads import in_thread

# RFC 7914's parameters for logins: 16 MiB and some 50 ms for a key, once.
SCRYPT_COST, SCRYPT_BLOCK = 2**14, 8
# 128 bits: no two keys come to look alike by chance.
HASH_BYTES = SALT_BYTES = 16
SALT = "salt"
# A key in two shards is told within two of these.
SYNC_SECONDS = 10.0
# An account that has not changed is written again this often, so that others see it is kept.
RENEW_SECONDS = 600.0
# What has not been written for this long is of a shard that is gone.
FORGET_SECONDS = 1800.0

logger = logging.getLogger(__name__)


class Key(NamedTuple):
    """A provider's key, as a pool uses it."""

    provider: str
    text: str


class Entry(NamedTuple):
    """What one shard has written: its keys' hashes, and when (seconds since the epoch)."""

    keys: frozenset[str]
    at: float


def hashed(key: Key, salt: str) -> str:
    """Return what stands for a key in the account. White space around it does not count."""
    named = json.dumps([key.provider, key.text.strip()]).encode()
    return scrypt(
        named, salt=salt.encode(), n=SCRYPT_COST, r=SCRYPT_BLOCK, p=1, dklen=HASH_BYTES
    ).hex()


def entry(text: str) -> Entry | None:
    """Return what an entry says; None if no shard can have written it."""
    try:
        written = json.loads(text)
        return Entry(frozenset(map(str, written["keys"])), float(written["at"]))
    except (ValueError, TypeError, KeyError):
        return None


def others(data: Mapping[str, str], me: str, now: float) -> dict[str, tuple[str, ...]]:
    """Return by each key's hash the other shards that have written of it lately, by name."""
    found: dict[str, tuple[str, ...]] = {}
    for shard, text in sorted(data.items()):
        told = None if shard in (SALT, me) else entry(text)
        if told is not None and now - told.at < FORGET_SECONDS:
            for each in told.keys:
                found[each] = (*found.get(each, ()), shard)
    return found


class Shards:
    """Keeps this shard's part of the account, and remembers the others'.

    `me` is the shard's name. `clock` tells seconds since the epoch; those of two machines may
    differ by minutes.
    """

    def __init__(self, accounts: Accounts, me: str, executor: Executor, clock: Clock) -> None:
        self._accounts, self._me, self._executor, self._clock = accounts, me, executor, clock
        self._used: dict[str, frozenset[Key]] = {}
        self._hashes: dict[Key, str] = {}
        self._salt, self._others = "", dict[str, tuple[str, ...]]()
        self._has_known = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to keep the account."""
        self._task = asyncio.create_task(self._run(), name="shards")

    async def close(self) -> None:
        """Leave the account as it is: it is forgotten by itself."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def elsewhere(
        self, pool: str, keys: Mapping[str, tuple[str, str]]
    ) -> dict[str, tuple[str, ...]]:
        """Take note of the keys that a pool uses; return the other shards known to use each.

        Provider and key, by what the pool calls its limits, and so are the shards.
        """
        used = {name: Key(*key) for name, key in keys.items()}
        self._used[pool] = frozenset(used.values())
        return {name: self._others.get(self._hashes.get(key, ""), ()) for name, key in used.items()}

    def forget(self, pool: str) -> None:
        """Take note that a pool is gone, or uses no key any more."""
        self._used.pop(pool, None)

    async def _run(self) -> None:
        while True:
            try:
                trouble = await self.sync()
                # A standby may not write, and need not: its leader does.
                if trouble is not None and trouble.reason is not Reason.NOT_LEADING:
                    logger.warning("The account of the shards is not kept: %s", trouble.message)
            except Exception:
                logger.exception("The account of the shards is not kept")
            await asyncio.sleep(SYNC_SECONDS)

    async def sync(self) -> Unavailable | None:
        """Read the account, and bring this shard's part of it up to date; tell why it was not."""
        data = await self._accounts.read()
        if isinstance(data, Unavailable):
            return data
        if data is None or not data.get(SALT):
            salted = {SALT: token_hex(SALT_BYTES)}
            return await (
                self._accounts.create(salted) if data is None
                else self._accounts.change(SALT, salted[SALT])
            )  # fmt: skip
        await self._hash(data[SALT])
        now = self._clock()
        self._others = others(data, self._me, now)
        mine = frozenset(self._hashes.values())
        if not mine and not self._has_known:
            # At a start no key is known yet, and what was written before may still be right.
            return None
        self._has_known = True
        written = entry(data.get(self._me, ""))
        if written is not None and written.keys == mine and now - written.at < RENEW_SECONDS:
            return None
        text = json.dumps({"at": int(now), "keys": sorted(mine)})
        return await self._accounts.change(self._me, text)

    async def _hash(self, salt: str) -> None:
        """Hash the keys that are in use, each once for a salt, and forget those that are not."""
        known = self._hashes if salt == self._salt else {}
        used = frozenset[Key]().union(*self._used.values())
        hashes: dict[Key, str] = {}
        for key in used:
            if (found := known.get(key)) is None:
                found = await in_thread(self._executor, hashed, key, salt)
            hashes[key] = found
        self._salt, self._hashes = salt, hashes
