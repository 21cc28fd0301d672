"""The queries that people are given: the dashboard's and the alerts'."""

import re
from pathlib import Path
from typing import Any

import yaml

MONITORING = Path(__file__).parents[1] / "manifests" / "monitoring"

MATCHERS = re.compile(r"\{[^}]*\}")
COMPARISON = re.compile(r"==|!=|>=|<=|>|<")
ABSENT = re.compile(r"absent\((?P<inner>.*)\)")


def alert_rules() -> list[dict[str, Any]]:
    """Return the rules of manifests/monitoring, of all groups."""
    rules = yaml.safe_load((MONITORING / "prometheusrule.yaml").read_text())
    return [rule for group in rules["spec"]["groups"] for rule in group["rules"]]


def without_comparison(expression: str) -> str:
    """Return an alert's expression with every comparison answering 0 or 1 instead of filtering.

    It has data wherever the alert has something to judge. `absent` is of its own: it has none
    while there is what it asks for.
    """
    if alone := ABSENT.fullmatch(expression):
        return without_comparison(alone["inner"])
    parts = MATCHERS.split(expression)
    compared = [COMPARISON.sub(lambda found: f"{found[0]} bool", part) for part in parts]
    kept = MATCHERS.findall(expression)
    return "".join(a + b for a, b in zip(compared, [*kept, ""], strict=True))
