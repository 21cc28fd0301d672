"""Label selectors, as people write them (`team=scan,stage in (prod, test),!canary`) and objects."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# A name of at most 63 characters, behind a domain and a slash where there is one; values likewise.
NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
KEY = rf"(?:[a-z0-9](?:[-a-z0-9.]{{0,251}}[a-z0-9])?/)?{NAME}"
VALUE = rf"(?:{NAME})?"
IS = re.compile(rf"({KEY})\s*(=|==|!=)\s*({VALUE})")
AMONG = re.compile(rf"({KEY})\s+(in|notin)\s*\(([^()]*)\)")
EXISTS = re.compile(rf"(!?)\s*({KEY})")
# Commas part requirements, but for those between parentheses.
COMMA = re.compile(r",(?![^(]*\))")


class SelectorError(ValueError):
    """What is no label selector; the message says which part of it."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """A label's value has to be one of `values`, or must not; None stands for having no value."""

    key: str
    values: frozenset[str] | None
    wanted: bool

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Tell whether labels meet it."""
        if self.values is None:
            return (self.key in labels) is self.wanted
        # An object without the label is in no set: `notin` and `!=` hold for it, as in Kubernetes.
        return (labels.get(self.key) in self.values) is self.wanted


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """Requirements that all have to hold; none: everything is selected."""

    requirements: tuple[Requirement, ...] = ()

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Tell whether an object with these labels is selected."""
        return all(one.holds(labels) for one in self.requirements)


def parse(text: str) -> LabelSelector:
    """Return the selector that a text says, in the words of `kubectl get --selector`.

    Raises:
        SelectorError: if it says none.

    """
    if not text.strip():
        return LabelSelector()
    return LabelSelector(tuple(_requirement(part.strip()) for part in COMMA.split(text)))


def of_object(selector: Mapping[str, Any]) -> LabelSelector:
    """Return the selector that an object of the API has; an empty one selects everything."""
    must = (selector.get("matchLabels") or {}).items()
    rules = selector.get("matchExpressions") or ()
    return LabelSelector(
        tuple(
            [equal(*label) for label in must]
            + [expression(one["key"], one["operator"], one.get("values") or ()) for one in rules]
        )
    )


def equal(key: str, value: str) -> Requirement:
    """Return what one of an object's matchLabels asks for."""
    return Requirement(key, frozenset({value}), wanted=True)


def expression(key: str, operator: str, values: Iterable[str]) -> Requirement:
    """Return what one of an object's matchExpressions asks for.

    One of an operator that is not known is met by nothing.
    """
    match operator:
        case "In" | "NotIn":
            return Requirement(key, frozenset(values), wanted=operator == "In")
        case "Exists" | "DoesNotExist":
            return Requirement(key, None, wanted=operator == "Exists")
    return Requirement(key, frozenset(), wanted=True)


def _requirement(text: str) -> Requirement:
    if found := IS.fullmatch(text):
        key, operator, value = found.groups()
        return Requirement(key, frozenset({value}), wanted=operator != "!=")
    if found := AMONG.fullmatch(text):
        key, operator, listed = found.groups()
        values = [value.strip() for value in listed.split(",")]
        if all(re.fullmatch(VALUE, value) for value in values):
            return Requirement(key, frozenset(values), wanted=operator == "in")
    if found := EXISTS.fullmatch(text):
        negation, key = found.groups()
        return Requirement(key, None, wanted=not negation)
    raise SelectorError(
        f"{text!r} is no requirement on a label: write key=value, key!=value, key in (a,b), "
        "key notin (a,b), key or !key, with commas between"
    )
