"""Label and field selectors, as written in `kubectl get -l` and `--field-selector`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from scanpool_sandbox.kube.errors import bad_request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from scanpool_sandbox.kube.objects import Obj

_SET = re.compile(r"^\s*(\S+)\s+(in|notin)\s*\(([^)]*)\)\s*$")
_EQUALITY = re.compile(r"^\s*([^\s!=]+)\s*(==|=|!=)\s*([^\s=]*)\s*$")
_EXISTS = re.compile(r"^\s*(!?)\s*([^\s!=(),]+)\s*$")
_COMMA_OUTSIDE_PARENTHESES = re.compile(r",(?![^(]*\))")


def _label_term(term: str) -> Callable[[Mapping[str, str]], bool]:
    if match := _SET.match(term):
        key, operator, listed = match.groups()
        values = {value.strip() for value in listed.split(",")}
        if operator == "in":
            return lambda labels: key in labels and labels[key] in values
        return lambda labels: labels.get(key) not in values
    if match := _EQUALITY.match(term):
        key, operator, value = match.groups()
        if operator == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if match := _EXISTS.match(term):
        absent, key = match.groups()
        return lambda labels: (key in labels) is not bool(absent)
    raise bad_request(f"unable to parse requirement: {term!r}")


def label_selector(text: str) -> Callable[[Obj], bool]:
    """Build a test for objects; raises 400 for a selector that cannot be parsed."""
    if not text.strip():
        return lambda _: True
    terms = [_label_term(term) for term in _COMMA_OUTSIDE_PARENTHESES.split(text)]

    def matches(obj: Obj) -> bool:
        labels = obj["metadata"].get("labels") or {}
        return all(term(labels) for term in terms)

    return matches


def matches_label_selector(selector: Obj | None, labels: Mapping[str, str] | None) -> bool:
    """Tell whether a metav1.LabelSelector matches; an empty one matches all, None nothing."""
    if selector is None:
        return False
    have = labels or {}
    if any(have.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for expression in selector.get("matchExpressions") or []:
        key, values = expression["key"], expression.get("values") or []
        holds = {
            "In": key in have and have[key] in values,
            "NotIn": have.get(key) not in values,
            "Exists": key in have,
            "DoesNotExist": key not in have,
        }[expression["operator"]]
        if not holds:
            return False
    return True


def selector_text(selector: Obj | None) -> str:
    """Write a metav1.LabelSelector in the form of `kubectl get -l`, as /scale reports it."""
    selector = selector or {}
    terms = [f"{k}={v}" for k, v in sorted((selector.get("matchLabels") or {}).items())]
    for expression in selector.get("matchExpressions") or []:
        key, values = expression["key"], ",".join(sorted(expression.get("values") or []))
        terms.append(
            {
                "In": f"{key} in ({values})",
                "NotIn": f"{key} notin ({values})",
                "Exists": key,
                "DoesNotExist": f"!{key}",
            }[expression["operator"]]
        )
    return ",".join(terms)


_ONLY_METADATA = ("metadata.name", "metadata.namespace")
_SELECTABLE: dict[tuple[str, str], tuple[str, ...]] = {
    ("", "pods"): (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    ("", "nodes"): ("spec.unschedulable",),
    ("", "namespaces"): ("status.phase",),
    ("", "secrets"): ("type",),
    ("", "events"): (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "regarding.kind",
        "regarding.namespace",
        "regarding.name",
        "regarding.uid",
        "reason",
        "reportingComponent",
        "reportingController",
        "source",
        "type",
    ),
    ("apps", "replicasets"): ("status.replicas",),
}


def _field(obj: Obj, path: str) -> str:
    value: Any = obj
    for step in path.replace("regarding.", "involvedObject.").split("."):
        value = value.get(step) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def field_selector(text: str, key: tuple[str, str]) -> Callable[[Obj], bool]:
    """Build a test for objects of one resource; raises 400 for a field that is not selectable."""
    terms: list[tuple[str, bool, str]] = []
    for term in filter(None, text.split(",")):
        match = _EQUALITY.match(term)
        if match is None:
            raise bad_request(f"invalid selector: {text!r}; can't understand {term!r}")
        path, operator, value = match.groups()
        if path not in (*_ONLY_METADATA, *_SELECTABLE.get(key, ())):
            raise bad_request(f"field label not supported: {path}")
        terms.append((path, operator != "!=", value))
    return lambda obj: all((_field(obj, path) == value) is wanted for path, wanted, value in terms)
