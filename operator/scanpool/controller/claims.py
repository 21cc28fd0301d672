"""Who shares a limit: the claims of the pools of this process, by the key and models they burn."""

import json
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from math import inf
from secrets import token_bytes
from typing import Protocol, TypeVar

from scanpool.decide.claimed import Claimed
from scanpool.models.claims import Claim
from scanpool.models.limit_names import limit_names
from scanpool.models.llm import ONLY

K = TypeVar("K")
V = TypeVar("V")
# 128 bits: no two keys of a process come to share a budget by chance.
IDENTITY_BYTES = 16

Identity = frozenset[str]
"""A limit: one hash for each name of a model that counts against it."""
Limit = frozenset[Identity]
"""All identities of a limit, which pools have that name different models of it."""
Name = tuple[str, str]
"""A pool, and what it calls a limit."""


@dataclass(frozen=True, slots=True)
class _Entry:
    identity: Identity
    claim: Claim
    until: float


class OtherShards(Protocol):
    """Which keys the pools of other operators use."""

    def elsewhere(
        self, pool: str, keys: Mapping[str, tuple[str, str]]
    ) -> Mapping[str, tuple[str, ...]]:
        """Take note of the keys that a pool uses, and return the other shards that use each.

        Provider and key, by what the pool calls its limits, and so are the shards.
        """

    def forget(self, pool: str) -> None:
        """Take note that a pool uses no key any more."""


class Claims:
    """What each pool claims of which key and model, for as long as it says so.

    Nothing here waits. A pool that reads the others' claims, decides and publishes its own without
    awaiting anything between does so in one step of the event loop, and no two of them take the
    same free share. Times are seconds of the caller's clock. `shards` knows which keys the pools of
    other operators use; None: there are none.

    What the claims on a limit come to is kept, and follows each change of one: a tick costs the
    same however many pools there are.
    """

    def __init__(self, shards: OtherShards | None = None) -> None:
        self._shards = shards
        self._salt = token_bytes(blake2b.MAX_KEY_SIZE)
        self._entries: dict[Name, _Entry] = {}
        self._next_end = inf
        # Where to find the entries of a pool and of an identity, and the identities with a name.
        self._of_pool: dict[str, set[Name]] = {}
        self._of_identity: dict[Identity, dict[Name, None]] = {}
        self._named: dict[str, set[Identity]] = {}
        # Limits that were asked for, and those of them that an identity is of.
        self._claimed: dict[Limit, Claimed] = {}
        self._limits: dict[Identity, set[Limit]] = {}

    def identity(
        self, provider: str, api_key: str, model: str, shared_with: Iterable[str] = ()
    ) -> Identity:
        """Return what tells one shared limit from another, for pools that name its models.

        Hashes that are salted per process and of no use outside of it; the key is not kept. White
        space around the key, which a Secret made from a file ends in, does not count.
        """
        names = limit_names(provider, model, shared_with).names
        return frozenset(self._hash(provider, api_key.strip(), name) for name in names)

    def elsewhere(
        self, pool: str, keys: Mapping[str, tuple[str, str]]
    ) -> Mapping[str, tuple[str, ...]] | None:
        """Return the other shards whose pools use a pool's keys, which are by its limits' names.

        None where there are no shards.
        """
        return None if self._shards is None else self._shards.elsewhere(pool, keys)

    def peers(self, identity: Identity, pool: str, now: float) -> Sequence[Claim]:
        """Return the other pools' claims on the same limit, by name, without the expired ones.

        Pools share a limit as soon as one of them says that their models do, or a third pool says
        so of both. A pool that has two limits which are one claims it under both names.
        """
        self._expire(now)
        limit = self._limit(identity, pool)
        if not limit:
            return ()
        claimed = self._claimed.get(limit)
        if claimed is not None:
            return claimed.beside(pool)
        names = sorted(name for one in limit for name in self._of_identity[one])
        if len({of_pool for of_pool, _ in names}) < len(names):
            return tuple(
                replace(self._entries[name].claim, pool=f"{name[0]} ({name[1]})")
                for name in names
                if name[0] != pool
            )
        claimed = self._claimed[limit] = Claimed(self._entries[name].claim for name in names)
        for one in limit:
            self._limits.setdefault(one, set()).add(limit)
        return claimed.beside(pool)

    def publish(
        self,
        identity: Identity,
        claim: Claim,
        now: float,
        lasts_seconds: float,
        limit: str = ONLY,
    ) -> None:
        """Replace a pool's claim on what it calls `limit`, whichever limit that was."""
        name, until = (claim.pool, limit), now + lasts_seconds
        old = self._entries.get(name)
        if old is not None and old.identity != identity:
            self._drop(name)
            old = None
        if old is None:
            self._add(name, identity)
        if old is None or old.claim != claim:
            self._change(identity, claim.pool, claim)
        self._entries[name] = _Entry(identity, claim, until)
        self._next_end = min(self._next_end, until)

    def forget(self, pool: str) -> None:
        """Drop what a pool claims and uses: it is gone, or shares no limit any more."""
        self.withdraw(pool)
        if self._shards is not None:
            self._shards.forget(pool)

    def withdraw(self, pool: str, but: Container[str] = ()) -> None:
        """Drop what a pool claims, but for some of its limits; what it uses is as before."""
        for name in [name for name in self._of_pool.get(pool, ()) if name[1] not in but]:
            self._drop(name)

    def _expire(self, now: float) -> None:
        if now < self._next_end:
            return
        for name in [name for name, entry in self._entries.items() if entry.until <= now]:
            self._drop(name)
        self._next_end = min((entry.until for entry in self._entries.values()), default=inf)

    def _limit(self, identity: Identity, pool: str) -> Limit:
        """Return the identities of others that are of one limit with this one."""
        found: set[Identity] = set()
        names, waiting = set(identity), list(identity)
        while waiting:
            for one in self._named.get(waiting.pop(), set()) - found:
                if any(name[0] != pool for name in self._of_identity[one]):
                    found.add(one)
                    waiting += one - names
                    names |= one
        return frozenset(found)

    def _add(self, name: Name, identity: Identity) -> None:
        if identity not in self._of_identity:
            self._of_identity[identity] = {}
            for one in identity:
                self._named.setdefault(one, set()).add(identity)
        self._of_identity[identity][name] = None
        self._of_pool.setdefault(name[0], set()).add(name)
        for limit in self._limits.get(identity, set()).copy():
            # A pool with two limits that are one is a case of its own.
            if name[0] in self._claimed[limit].by_pool:
                self._forget(limit)

    def _drop(self, name: Name) -> None:
        identity = self._entries.pop(name).identity
        self._change(identity, name[0], None)
        _discard(self._of_pool, name[0], name)
        del self._of_identity[identity][name]
        if self._of_identity[identity]:
            return
        del self._of_identity[identity]
        for one in identity:
            _discard(self._named, one, identity)
        for limit in self._limits.get(identity, set()).copy():
            self._forget(limit)

    def _change(self, identity: Identity, pool: str, claim: Claim | None) -> None:
        for limit in self._limits.get(identity, ()):
            self._claimed[limit] = self._claimed[limit].changed(pool, claim)

    def _forget(self, limit: Limit) -> None:
        """Work out anew what the claims on a limit come to, when it is next asked for."""
        del self._claimed[limit]
        for one in limit:
            _discard(self._limits, one, limit)

    def _hash(self, *named: str) -> str:
        text = json.dumps(named).encode()
        return blake2b(text, digest_size=IDENTITY_BYTES, key=self._salt).hexdigest()


def _discard(index: dict[K, set[V]], key: K, value: V) -> None:
    """Take a value from an index, and the key with the last of its values."""
    index[key].discard(value)
    if not index[key]:
        del index[key]
