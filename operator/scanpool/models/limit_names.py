"""The names under which one limit is known: a model, its snapshots, and models that share it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from scanpool.models.llm import Provider

_MONTH: Final = r"(0\d|1[0-2])"
SNAPSHOT: Final = (
    "[-@]("
    rf"(20\d\d-?)?{_MONTH}-?[0-3]\d"  # gpt-5.2-2025-12-11, claude-sonnet-4-5-20250929, gpt-4-0613
    rf"|2\d{_MONTH}"  # mistral-large-2411
    rf"|{_MONTH}-20\d\d"  # gemini-2.5-flash-preview-09-2025
    r"|00\d"  # gemini-2.0-flash-001
    "|0"  # claude-opus-4-0, Anthropic's alias of claude-opus-4-20250514
    "|latest|default"  # gpt-4o-latest, claude-sonnet-4-5@default
    ")"
)
"""Ends the name of a model as of a day, as the providers' lists of models write it. A regular
expression of the syntax that Python and Prometheus (RE2) have in common, and short: a query repeats
it for every counter."""

GOOGLES_PLACE: Final = "models/"
"""Where a model is in Google's addresses: clients send, and exporters show, its name with it or
without."""
_SNAPSHOTS: Final = re.compile(rf"(?<=.)({SNAPSHOT})+\Z", re.DOTALL | re.ASCII)


@dataclass(frozen=True, slots=True)
class LimitNames:
    """Whose limit it is, and what the models are called that count against it, in order."""

    provider: str
    names: tuple[str, ...]

    @property
    def with_snapshots(self) -> bool:
        """Whether every dated snapshot of these models counts, too."""
        return _dates_its_models(self.provider)

    @property
    def place(self) -> str:
        """What may stand before any of the names; empty: nothing."""
        return GOOGLES_PLACE if self.provider == Provider.GEMINI else ""

    @property
    def counts_cache_reads(self) -> bool:
        """Whether input tokens that the provider reads from its cache count.

        Anthropic leaves them out of its limit on input tokens (platform.claude.com, rate limits).
        """
        return self.provider != Provider.ANTHROPIC


def canonical_name(provider: str, model: str) -> str:
    """Return the name that an alias and its dated snapshots have in common.

    They share one limit. Azure's models are deployments, which have a limit each, whatever they are
    called: their names stay as they are.
    """
    if provider == Provider.GEMINI and model != GOOGLES_PLACE:
        model = model.removeprefix(GOOGLES_PLACE)
    return _SNAPSHOTS.sub("", model) if _dates_its_models(provider) else model


def limit_names(provider: str, model: str, shared_with: Iterable[str] = ()) -> LimitNames:
    """Return the names of the limit of a model, which counts the other models as well."""
    names = {canonical_name(provider, one) for one in (model, *shared_with)}
    return LimitNames(provider, tuple(sorted(names)))


def _dates_its_models(provider: str) -> bool:
    return provider != Provider.AZURE_OPENAI
