"""How much memory the pool's pods were seen to take."""

from dataclasses import dataclass
from math import ceil
from typing import Annotated, NamedTuple

from scanpool.models.base import Model
from scanpool.models.figures import NEVER, Noise
from scanpool.models.units import MEBIBYTE

# Working sets are remembered this long: several rounds of a worker's longest tasks.
WINDOW_SECONDS = 600
PERCENTILE = 0.95
# In steps of this, noise in it does not cost a write to the API.
KEPT_STEP = 32 * MEBIBYTE


class WorkingSet(NamedTuple):
    """The largest working set among the pool's pods at a time, in bytes."""

    at: float
    memory: int


@dataclass(frozen=True, slots=True)
class WorkingSets:
    """Those of the last ten minutes."""

    samples: tuple[WorkingSet, ...] = ()

    @property
    def percentile(self) -> int | None:
        """The 95th percentile, in bytes; None without any."""
        if not self.samples:
            return None
        ordered = sorted(one.memory for one in self.samples)
        return ordered[ceil(PERCENTILE * len(ordered)) - 1]


def step(sets: WorkingSets, largest: int | None, now: float) -> WorkingSets:
    """Add the largest working set of a tick, where metrics show one, and forget old ones."""
    samples = tuple(one for one in sets.samples if one.at > now - WINDOW_SECONDS)
    return WorkingSets(samples if largest is None else (*samples, WorkingSet(now, largest)))


class KeptWorkingSets(Model):
    """What of them survives the process."""

    working_set_bytes: Annotated[int | None, Noise(NEVER)] = None


def kept(sets: WorkingSets) -> KeptWorkingSets:
    """Return what the next process needs."""
    used = sets.percentile
    return KeptWorkingSets(
        working_set_bytes=None if used is None else -(-used // KEPT_STEP) * KEPT_STEP
    )


def restored(kept: KeptWorkingSets, now: float) -> WorkingSets:
    """Return what a process starts with."""
    used = kept.working_set_bytes
    return WorkingSets() if used is None else WorkingSets((WorkingSet(now, used),))
