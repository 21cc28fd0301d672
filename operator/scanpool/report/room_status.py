"""What the status tells of the room for replicas: what one takes, how many fit, what is lacking."""

from typing import Annotated, Any, Self

from scanpool.decide.signals import Lack, Room
from scanpool.models.base import Model
from scanpool.models.fields import Count
from scanpool.models.figures import NEVER, OF_ITSELF, Around, Noise
from scanpool.models.units import MEBIBYTE

# Of many nodes, and of many reasons: what most nodes lack comes first.
KEPT_NODES = 3
KEPT_LACKS = 5


def _lacks_are_same(
    new: tuple["LackStatus", ...], old: tuple["LackStatus", ...], _: Around
) -> bool:
    """Leave which nodes it is: what is lacking is the news."""
    return {one.what for one in new} == {one.what for one in old}


def _refusal_is_same(new: str | None, old: str | None, _: Around) -> bool:
    """Leave how many more a quota takes: that one refuses is the news."""
    return (new is None) == (old is None)


class LackStatus(Model):
    """What some nodes lack for one more replica."""

    what: str
    nodes: Count
    names: tuple[str, ...] = ()


class MemoryStatus(Model):
    """What one replica takes, and how many more the nodes hold."""

    per_replica: Annotated[str, Noise(NEVER)]
    per_replica_source: str
    fits: Annotated[Count | None, Noise(OF_ITSELF)] = None
    nodes: Annotated[Count, Noise(NEVER)] = 0
    lacks: Annotated[tuple[LackStatus, ...], Noise(_lacks_are_same)] = ()
    refused: Annotated[str | None, Noise(_refusal_is_same)] = None

    @classmethod
    def of(cls, room: Room, old: Self | None = None) -> Self | None:
        """Return what is told of the room that there is; None before one has told its size.

        What was told before stays where it is the same.
        """
        if room.per_replica is None:
            return None
        told = {
            "per_replica": f"{-(-room.per_replica // MEBIBYTE)}Mi",
            "per_replica_source": room.source,
            "fits": room.fits,
            "nodes": room.nodes,
            "lacks": LackStatus.each_renewed(
                () if old is None else old.lacks, map(_lack, room.lacks[:KEPT_LACKS])
            ),
            "refused": room.refusal,
        }
        return cls.renewed(old, told)


def _lack(one: Lack) -> dict[str, Any]:
    return {"what": one.what, "nodes": len(one.nodes), "names": one.nodes[:KEPT_NODES]}
