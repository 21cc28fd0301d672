"""What one pool asks of a limit, in tokens per minute and in whole replicas."""

from dataclasses import dataclass, field
from math import floor

from scanpool.models.fields import MOST_REPLICAS

# A share that misses a whole replica by no more than this, in replicas, missed it by rounding:
# errors of floats at 10,000 replicas are a thousandth of it.
ROUNDING_REPLICAS = 1e-9
ROUNDING_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Ask:
    """What one pool asks of a limit.

    `floor`, `claim` and `step` are in tokens per minute: what it gets before anyone gets more, all
    that it could use, and what one replica costs, which is above 0. `held` is in replicas, and so
    is what it `wants`: as many as the claim is worth. Names differ, weights are above 0. A higher
    priority comes first.
    """

    name: str
    weight: int
    floor: float
    claim: float
    step: float
    held: int
    priority: int = 0
    wants: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Work out once what is compared at each split."""
        object.__setattr__(self, "wants", whole(self.claim / self.step))


def whole(replicas: float) -> int:
    """Round down to a number of replicas that a pool can have, whatever a tiny cost makes of it."""
    return floor(min(max(replicas, 0.0) + ROUNDING_REPLICAS, MOST_REPLICAS))
