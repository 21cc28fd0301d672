"""The names under which one limit is known: a model, its snapshots, and models that share it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from scanpool.models.llm import Provider

SNAPSHOT: Final = (
    "[-@](?:"
    "20[0-9]{2}-?(?:0[1-9]|1[0-2])-?[0-3][0-9]"  # gpt-5.2-2025-12-11, claude-sonnet-4-5-20250929
    "|(?:0[1-9]|1[0-2])-?[0-3][0-9]"  # gpt-4-0613, gemini-2.5-pro-preview-05-06
    "|2[0-9](?:0[1-9]|1[0-2])"  # mistral-large-2411
    "|(?:0[1-9]|1[0-2])-20[0-9]{2}"  # gemini-2.5-flash-preview-09-2025
    "|00[0-9]"  # gemini-2.0-flash-001
    "|latest|default"  # gpt-4o-latest, claude-sonnet-4-5@default
    "|0"  # claude-opus-4-0, Anthropic's alias of claude-opus-4-20250514
    ")"
)
"""Ends the name of a model as of a day, as the providers' lists of models write it. A regular
expression of the syntax that Python and Prometheus (RE2) have in common."""

_SNAPSHOTS: Final = re.compile(rf"(?<=.)(?:{SNAPSHOT})+\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class LimitNames:
    """What the models are called that count against one limit, in alphabetical order.

    `with_snapshots` says that every dated snapshot of them does, too.
    """

    names: tuple[str, ...]
    with_snapshots: bool


def canonical_name(provider: str, model: str) -> str:
    """Return the name that an alias and its dated snapshots have in common.

    They share one limit. Azure's models are deployments, which have a limit each, whatever they are
    called: their names stay as they are.
    """
    return _SNAPSHOTS.sub("", model) if _dates_its_models(provider) else model


def limit_names(provider: str, model: str, shared_with: Iterable[str] = ()) -> LimitNames:
    """Return the names of the limit of a model, which counts the other models as well."""
    names = {canonical_name(provider, one) for one in (model, *shared_with)}
    return LimitNames(tuple(sorted(names)), _dates_its_models(provider))


def _dates_its_models(provider: str) -> bool:
    return provider != Provider.AZURE_OPENAI
