"""What a figure of the status is: what it is called and counts, and when a change of it is news.

A field of a status says so by annotation; metrics, `explain`, the CRD and the news rule read it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from typing import Any, NamedTuple

from pydantic import BaseModel, Field

from scanpool.models.units import WHOLE_PERCENT

# A rate that moved by less than this share of the limit moves nobody to act.
RATE_SHARE = 0.02
# Of its own value, where there is no limit to compare with: cost per replica, backlog, room.
OWN_SHARE = 0.10
# Tokens per minute are shown to this many digits: the fourth is noise of the measurement.
SHOWN_DIGITS = 3
# Rates that are kept as shown: most are zero, or follow from a limit that stays the same.
KEPT_RATES = 1024


class Around(NamedTuple):
    """What two values are compared beside: the objects that hold them, and the statuses."""

    new: Any
    old: Any
    new_status: Any
    old_status: Any


Same = Callable[[Any, Any, Around], bool]
"""Whether a new value is as good as the old one: nobody would act on the difference."""


def ALWAYS(new: object, old: object, _: Around) -> bool:  # noqa: N802 - a rule by its name
    """Take every change for news."""
    return bool(new == old)


def NEVER(_new: object, _old: object, _around: Around) -> bool:  # noqa: N802
    """Take no change for news."""
    return True


def OF_LIMIT(new: float | None, old: float | None, around: Around) -> bool:  # noqa: N802
    """Take for noise what is small beside the token limit."""
    llm = around.new_status.llm
    return are_near(new, old, RATE_SHARE * ((llm and llm.limit_tokens_per_minute) or 0))


def of_itself(share: float) -> Same:
    """Take for noise what is small beside the old value."""
    return lambda new, old, _: are_near(new, old, share * abs(old or 0))


def are_near(new: float | None, old: float | None, distance: float) -> bool:
    """Tell whether two values are no further apart than that; one that is unknown is near none."""
    return new is old if new is None or old is None else abs(new - old) <= distance


OF_ITSELF = of_itself(OWN_SHARE)


@dataclass(frozen=True)
class Noise:
    """When a change of a field is none that anyone needs to be told; the least a field says."""

    is_same: Same


@dataclass(frozen=True)
class Figure:
    """A number of the status, or a state that it is in; its words are the field's docstring.

    `metric` is its name after `scanpool_pool_`, `by` that metric's label which tells several values
    apart; `is_percent` is a share, 0 to 1, there. `unit` is what `explain` writes behind the value
    (None keeps it out of its table), `label` what it and `status.llm.figures` call it.
    """

    metric: str | None = None
    unit: str | None = None
    label: str = ""
    is_same: Same = ALWAYS
    by: str | None = None
    is_percent: bool = False

    def shown(self, value: object) -> str:
        """Return a value with its unit, as people read it."""
        return f"{value:,}{self.unit}" if isinstance(value, int | float) else f"{value}{self.unit}"

    def measured(self, value: float) -> float:
        """Return a value as the metric has it."""
        return value / WHOLE_PERCENT if self.is_percent else value


def figure(*args: Any, **kwargs: Any) -> Any:
    """Make a field of a status that may be unknown, with the arguments of its Figure."""
    field: Any = Field(None)
    field.metadata.append(Figure(*args, **kwargs))
    return field


def shown(value: object) -> object:
    """Round a rate to the digits that are shown: 1,643,210 becomes 1,640,000."""
    return _rounded(value) if isinstance(value, (int, float)) else value


@lru_cache(KEPT_RATES)
def _rounded(value: float) -> int:
    return int(float(f"{value:.{SHOWN_DIGITS - 1}e}"))


@cache
def figures(model: type[BaseModel]) -> tuple[tuple[str, Figure], ...]:
    """Return the figures of a status by field."""
    return tuple(
        (name, one)
        for name, field in model.model_fields.items()
        for one in field.metadata
        if isinstance(one, Figure)
    )


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the models that a field's annotation names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in models_in(part)]


def states_in(annotation: Any) -> tuple[str, ...]:
    """Return the values of the StrEnum that a field's annotation names; none if it names none."""
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return tuple(annotation)
    parts = getattr(annotation, "__args__", ())
    return next((states for part in parts if (states := states_in(part))), ())
