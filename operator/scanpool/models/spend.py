"""Money: what tokens cost, and how much of it a pool may spend a day."""

from typing import Annotated

from pydantic import Field

from scanpool.models.base import Model
from scanpool.models.fields import whole
from scanpool.models.schedule import UTC, TimeZone
from scanpool.models.units import WHOLE_PERCENT

# Dearer than any model of any provider by far.
MOST_PER_MILLION = 1_000_000
PerMillion = Annotated[float, Field(ge=0, le=MOST_PER_MILLION)]


class Prices(Model):
    """What a million tokens cost, in the currency of all prices and budgets of the pool."""

    input: PerMillion
    output: PerMillion
    cached_input: PerMillion | None = None
    """Of input that the provider reads from its cache; unset, as other input."""
    cached_input_percent: Annotated[int, whole(0, WHOLE_PERCENT)] = 0
    """Share of the input that is read from the cache, as the provider's bill has it: exporters do
    not tell it apart for all providers."""

    @property
    def dearest(self) -> float:
        """What a token costs at most, whichever it is."""
        return max(self.of_input, self.output)

    @property
    def of_input(self) -> float:
        """What a million tokens of input cost, by the share that is cached."""
        cached = self.input if self.cached_input is None else self.cached_input
        share = self.cached_input_percent / WHOLE_PERCENT
        return self.input * (1 - share) + cached * share


class Spend(Model):
    """How much the pool may spend."""

    per_day: Annotated[float, Field(ge=0.01, le=10**9)]
    """Budget of a day, in the currency of llm.prices. What is left is spread over the rest of the
    day; once it is used up the workers wait for the next."""
    time_zone: TimeZone = UTC
    """IANA time zone in whose midnight the day begins."""
