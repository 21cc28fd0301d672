"""What counts in the place of a reading that stays unknown."""

from enum import StrEnum
from typing import Annotated

from scanpool.models.base import Model
from scanpool.models.fields import Replicas, whole


class FallbackBehavior(StrEnum):
    """Which replicas count meanwhile, as KEDA names them, whose default is static."""

    STATIC = "static"
    CURRENT_REPLICAS = "currentReplicas"
    CURRENT_REPLICAS_IF_HIGHER = "currentReplicasIfHigher"
    CURRENT_REPLICAS_IF_LOWER = "currentReplicasIfLower"


class Fallback(Model):
    """What to do while a reading stays unknown: of the queues' depth if it is the pool's."""

    failure_threshold: Annotated[int, whole(1, 1000)] = 3
    """Failed readings in a row before it applies."""
    replicas: Replicas
    """Replicas to have meanwhile: exactly, at least or at most, as the behavior says."""
    behavior: FallbackBehavior = FallbackBehavior.CURRENT_REPLICAS_IF_HIGHER
    """static: the replicas. currentReplicas: those that there are. currentReplicasIfHigher,
    currentReplicasIfLower: the larger or the smaller of the two."""
