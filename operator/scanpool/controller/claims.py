"""Who shares a limit: the claims of the pools of this process, by the key and models they burn."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from secrets import token_bytes
from typing import Protocol

from scanpool.models.claims import Claim
from scanpool.models.limit_names import limit_names
from scanpool.models.llm import ONLY

# 128 bits: no two keys of a process come to share a budget by chance.
IDENTITY_BYTES = 16

Identity = frozenset[str]
"""A limit: one hash for each name of a model that counts against it."""


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
    """

    def __init__(self, shards: OtherShards | None = None) -> None:
        self._shards = shards
        self._salt = token_bytes(blake2b.MAX_KEY_SIZE)
        # By pool and by its name for the limit.
        self._entries: dict[tuple[str, str], _Entry] = {}

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

    def peers(self, identity: Identity, pool: str, now: float) -> tuple[Claim, ...]:
        """Return the other pools' claims on the same limit, by name, without the expired ones.

        Pools share a limit as soon as one of them says that their models do, or a third pool says
        so of both.
        """
        others = {
            name: entry
            for name, entry in sorted(self._entries.items())
            if name[0] != pool and now < entry.until
        }
        limit, known = identity, Identity()
        while limit != known:
            known = limit
            limit = known.union(*(e.identity for e in others.values() if e.identity & known))
        return tuple(entry.claim for entry in others.values() if entry.identity & limit)

    def publish(
        self,
        identity: Identity,
        claim: Claim,
        now: float,
        lasts_seconds: float,
        limit: str = ONLY,
    ) -> None:
        """Replace a pool's claim on what it calls `limit`, whichever limit that was."""
        self._entries[claim.pool, limit] = _Entry(identity, claim, now + lasts_seconds)

    def forget(self, pool: str) -> None:
        """Drop what a pool claims and uses: it is gone, or shares no limit any more."""
        self.withdraw(pool)
        if self._shards is not None:
            self._shards.forget(pool)

    def withdraw(self, pool: str) -> None:
        """Drop what a pool claims; what it uses is as before."""
        for key in [key for key in self._entries if key[0] == pool]:
            del self._entries[key]

    def _hash(self, *named: str) -> str:
        text = json.dumps(named).encode()
        return blake2b(text, digest_size=IDENTITY_BYTES, key=self._salt).hexdigest()
