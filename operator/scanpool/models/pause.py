"""What a person writes on a pool to keep the operator's hands off its replicas.

Annotations, named as KEDA's are with our group: `paused`, `paused-scale-in`, `paused-scale-out` and
`paused-replicas` (KEDA's documentation, "Pause autoscaling").
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from scanpool.models.fields import MOST_REPLICAS
from scanpool.models.names import GROUP

BOTH_WAYS = f"{GROUP}/paused"
SCALE_IN = f"{GROUP}/paused-scale-in"
SCALE_OUT = f"{GROUP}/paused-scale-out"
AT_REPLICAS = f"{GROUP}/paused-replicas"

# What Go's strconv.ParseBool takes, which is what KEDA reads its annotations with.
TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})
# Enough of a value that cannot be read to find it again.
SHOWN_CHARACTERS = 40


class Paused(StrEnum):
    """The directions in which the operator does not scale."""

    NONE = "None"
    IN = "In"
    OUT = "Out"
    BOTH = "Both"
    AT_REPLICAS = "AtReplicas"


@dataclass(frozen=True, slots=True)
class Pause:
    """What is paused, by which annotations; `replicas` is the number to have meanwhile.

    `trouble` tells of an annotation that cannot be read: whoever wrote it meant to pause.
    """

    scales_in: bool = True
    scales_out: bool = True
    replicas: int | None = None
    by: tuple[str, ...] = ()
    trouble: str = ""

    @classmethod
    def from_annotations(cls, annotations: Mapping[str, str]) -> "Pause":
        """Read a pool's annotations."""
        told = {name: annotations[name] for name in ALL if name in annotations}
        wrong = [name for name, value in told.items() if not _is_readable(name, value)]
        replicas = None
        if AT_REPLICAS in told and AT_REPLICAS not in wrong:
            replicas = int(told[AT_REPLICAS])
        on = [name for name in told if name in wrong or _is_on(name, told[name])]
        both = bool(wrong) or BOTH_WAYS in on or replicas is not None
        return cls(
            scales_in=not (both or SCALE_IN in on),
            scales_out=not (both or SCALE_OUT in on),
            replicas=None if wrong else replicas,
            by=tuple(on),
            trouble="; ".join(_trouble(name, told[name]) for name in wrong),
        )

    @property
    def kind(self) -> Paused:
        """What is paused, in a word."""
        if self.replicas is not None:
            return Paused.AT_REPLICAS
        if self.scales_in and self.scales_out:
            return Paused.NONE
        if not (self.scales_in or self.scales_out):
            return Paused.BOTH
        return Paused.OUT if self.scales_in else Paused.IN


ALL = (AT_REPLICAS, BOTH_WAYS, SCALE_IN, SCALE_OUT)
NO_PAUSE = Pause()


def _is_on(name: str, value: str) -> bool:
    return name == AT_REPLICAS or value in TRUE


def _is_readable(name: str, value: str) -> bool:
    if name != AT_REPLICAS:
        return value in TRUE | FALSE
    # Longer numbers are too large, whatever they are; Python refuses to read the longest.
    is_number = value.isascii() and value.isdigit() and len(value) <= len(str(MOST_REPLICAS))
    return is_number and int(value) <= MOST_REPLICAS


def _trouble(name: str, value: str) -> str:
    right = f"a number up to {MOST_REPLICAS}" if name == AT_REPLICAS else "true or false"
    return f"annotation {name} is {value[:SHOWN_CHARACTERS]!r}: make it {right}, or remove it"
