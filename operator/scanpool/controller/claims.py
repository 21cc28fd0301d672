"""Who shares a limit: the claims of the pools of this process, by the key and model they burn."""

import json
from dataclasses import dataclass
from hashlib import blake2b
from secrets import token_bytes

from scanpool.models.claims import Claim

# 128 bits: no two keys of a process come to share a budget by chance.
IDENTITY_BYTES = 16


@dataclass(frozen=True, slots=True)
class _Entry:
    identity: str
    claim: Claim
    until: float


class Claims:
    """What each pool claims of which key and model, for as long as it says so.

    Nothing here waits. A pool that reads the others' claims, decides and publishes its own without
    awaiting anything between does so in one step of the event loop, and no two of them take the
    same free share. Times are seconds of the caller's clock.
    """

    def __init__(self) -> None:
        self._salt = token_bytes(blake2b.MAX_KEY_SIZE)
        self._entries: dict[str, _Entry] = {}

    def identity(self, provider: str, api_key: str, model: str) -> str:
        """Return what tells one shared limit from another: equal for equal keys and models.

        A hash that is salted per process and of no use outside of it; the key is not kept. White
        space around the key, which a Secret made from a file ends in, does not count.
        """
        named = json.dumps([provider, api_key.strip(), model]).encode()
        return blake2b(named, digest_size=IDENTITY_BYTES, key=self._salt).hexdigest()

    def peers(self, identity: str, pool: str, now: float) -> tuple[Claim, ...]:
        """Return the other pools' claims on the same limit, by name, without the expired ones."""
        return tuple(
            entry.claim
            for name, entry in sorted(self._entries.items())
            if name != pool and entry.identity == identity and now < entry.until
        )

    def publish(self, identity: str, claim: Claim, now: float, lasts_seconds: float) -> None:
        """Replace the claim of a pool, whichever limit it was on."""
        self._entries[claim.pool] = _Entry(identity, claim, now + lasts_seconds)

    def forget(self, pool: str) -> None:
        """Drop the claim of a pool that is gone or shares no limit any more."""
        self._entries.pop(pool, None)
