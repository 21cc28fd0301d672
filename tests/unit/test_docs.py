"""The documents against the code: what they name exists, and what exists is named."""

import re
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from documents import CODE, DOCUMENTS, FENCE, ROOT, anchors, label, slug, spans
from promql import alert_rules
from scanpool.crd import PRINTER_COLUMNS, structural_schema
from scanpool.dashboard.grafana import dashboard
from scanpool.models.conditions import ConditionType, LimitedBy, Reason
from scanpool.models.llm import UsagePreset
from scanpool.models.spec import PoolSpec
from scanpool.report.lease_metrics import LeaseMetrics
from scanpool.report.loop_metrics import LoopMetrics
from scanpool.report.metrics import Metrics
from scanpool.report.zone import Zone

README = ROOT / "README.md"
POOL = ROOT / "docs" / "pool.md"
WHY_NOT = ROOT / "docs" / "why-not-scaling.md"
OPERATIONS = ROOT / "docs" / "operations.md"
SAMPLES = ROOT / "manifests" / "samples"
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))

RUNBOOK = "https://github.com/eco2-team/scanpool/blob/main/docs/operations.md"
"""Where OPERATIONS is read from an alert."""
MAX_DECISION_LINES = 40
MOST_README_LINES = 100
"""What it is, why, a try, an install and a first pool: what somebody in a hurry reads."""
FIRST_SCREEN_LINES = 12
RULE = re.compile(r"\|[-|]+$")
"""The line below the headings of a table."""
MAKE = re.compile(r"\bmake ([a-z][a-z0-9-]*)")
ABSOLUTE_PATH = re.compile(r"(?<![\w./:}-])/(?:work|tmp|home|root|usr|opt|var|etc|mnt|srv)\b")


def section(path: Path, heading: str) -> str:
    """Return what stands below a heading, up to the next one of its level or above."""
    level = heading.partition(" ")[0]
    text = path.read_text()
    assert f"\n{heading}\n" in text, f"{path.name} has no {heading!r}"
    below = text.partition(f"\n{heading}\n")[2]
    return re.split(rf"^#{{1,{len(level)}}} ", below, maxsplit=1, flags=re.MULTILINE)[0]


def first_cells(text: str) -> list[str]:
    """Return the first cell of each row of the tables in a text, without their headings."""
    lines = text.splitlines()
    return [
        line.split("|")[1].strip()
        for line, below in pairwise([*lines, ""])
        if line.startswith("|") and not RULE.match(line) and not RULE.match(below)
    ]


def named(text: str) -> list[str]:
    """Return the names in code quotes that a text's tables are about."""
    return [name for cell in first_cells(text) for name in CODE.findall(cell)]


def metric_names() -> list[str]:
    registry = CollectorRegistry()
    Metrics(registry)
    LoopMetrics(registry)
    LeaseMetrics(registry, "scanpool", lambda: True)
    return [
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in registry.collect()
    ]


def leaves(schema: dict[str, Any], path: str = "") -> dict[str, dict[str, Any]]:
    """Return every field of a structural schema by its path; lists count as what they hold."""
    found: dict[str, dict[str, Any]] = {}
    inner = schema.get("items", schema)
    for name, field in inner.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        found |= {here: field, **leaves(field, here)}
    return found


def grants(rules: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    return {
        (group, resource, verb)
        for rule in rules
        for group, resource, verb in product(rule["apiGroups"], rule["resources"], rule["verbs"])
    }


@pytest.mark.parametrize(
    ("heading", "names"),
    [
        ("## Conditions", list(ConditionType)),
        ("## Reasons", list(Reason)),
        ("## LIMITED-BY", list(LimitedBy)),
        ("## Metrics", metric_names()),
    ],
)
def test_operations_explains_each_name_once_and_no_other(heading: str, names: list[str]) -> None:
    assert sorted(named(section(OPERATIONS, heading))) == sorted(map(str, names))


def test_operations_names_the_event_of_a_scaling() -> None:
    assert named(section(OPERATIONS, "## Events")) == ["SuccessfulRescale"]


@pytest.mark.parametrize("rule", alert_rules(), ids=lambda rule: rule["alert"])
def test_every_alert_leads_to_its_section(rule: dict[str, Any]) -> None:
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert page == RUNBOOK
    assert anchor in anchors(OPERATIONS)
    assert anchor == slug(rule["alert"])
    text = section(OPERATIONS, f"### {rule['alert']}")
    assert re.findall(r"^- (See more|Do): ", text, re.MULTILINE) == ["See more", "Do"]


def test_no_section_is_of_an_alert_that_is_gone() -> None:
    sections = re.findall(r"^### (.*)$", section(OPERATIONS, "## Alerts"), re.MULTILINE)
    assert sections == [rule["alert"] for rule in alert_rules()]


def test_the_alerts_sections_name_panels_that_exist() -> None:
    titles = [panel["title"] for panel in dashboard()["panels"]]
    text = " ".join(section(OPERATIONS, "## Alerts").split())
    quoted = re.findall(r'"([^"]+)"', text)
    assert quoted
    assert [name for name in quoted if not any(one.startswith(name) for one in titles)] == []


def test_the_narrowed_roles_grant_what_the_base_grants_but_the_sight_of_crds() -> None:
    base = yaml.safe_load((ROOT / "manifests" / "base" / "clusterrole.yaml").read_text())
    narrowed = re.findall(
        r"^```yaml\n(.*?)^```$", section(OPERATIONS, "## RBAC"), re.DOTALL | re.MULTILINE
    )
    rules = [rule for block in narrowed for rule in yaml.safe_load(block)]
    crds = {
        ("apiextensions.k8s.io", "customresourcedefinitions", verb) for verb in ("list", "watch")
    }
    assert grants(rules) == grants(base["rules"]) - crds


def test_the_readme_is_short_and_begins_with_a_picture() -> None:
    lines = README.read_text().splitlines()
    assert len(lines) <= MOST_README_LINES
    assert "](docs/replay.svg)" in "\n".join(lines[:FIRST_SCREEN_LINES])
    headings = [line.removeprefix("## ") for line in lines if line.startswith("## ")]
    assert headings == ["Why", "Try it", "Install", "A first pool", "Questions"]


def test_the_picture_has_what_somebody_in_a_hurry_looks_for() -> None:
    text = (ROOT / "docs" / "replay.svg").read_text()
    for words in ("keda max 10", "scanpool", "replicas", "tokens per minute", "429s"):
        assert words in text


def first_yaml(path: Path) -> str:
    shown = re.search(r"^```yaml\n(.*?)^```$", path.read_text(), re.DOTALL | re.MULTILINE)
    assert shown is not None
    return shown[1]


@pytest.mark.parametrize(
    "words",
    ["11,251 of 16,684", "750", "1,706 of 1,706", "Numaflow", "llm-d-async", "Kubernetes 1.37"],
)
def test_the_comparison_cites_the_real_keda_and_what_is_near(words: str) -> None:
    assert words in " ".join((ROOT / "docs" / "comparison.md").read_text().split())


def test_the_readme_shows_the_shortest_pool() -> None:
    comment, _, rest = (SAMPLES / "pool-minimal.yaml").read_text().partition("\n")
    assert comment.startswith("#")
    assert first_yaml(README) == rest


def test_the_page_of_the_pool_shows_the_sample() -> None:
    assert first_yaml(POOL) == (SAMPLES / "pool.yaml").read_text()


def test_the_page_of_the_pool_explains_fields_that_exist() -> None:
    fields = leaves(structural_schema(PoolSpec))
    explained = named(section(POOL, "## Fields"))
    assert not set(explained) - set(fields)
    assert {field.partition(".")[0] for field in explained} == {
        field for field in fields if "." not in field
    }


def test_the_page_of_the_pool_says_the_defaults_of_the_schema() -> None:
    fields = leaves(structural_schema(PoolSpec))
    rows = (line for line in section(POOL, "## Fields").splitlines() if "default" in line)
    told = 0
    for row in rows:
        name, number = CODE.findall(row)[0], re.search(r"default (\d+)|(\d+), the default", row)
        if number is not None:
            assert fields[name]["default"] == int(number[1] or number[2]), name
            told += 1
    assert told > 0


def test_every_column_is_explained() -> None:
    told = ", ".join(first_cells(section(WHY_NOT, "## `kubectl get swp`"))).split(", ")
    assert told == [column[0].upper() for column in PRINTER_COLUMNS]


@pytest.mark.parametrize(
    ("path", "word"), [*((WHY_NOT, one) for one in Zone), *((POOL, one) for one in UsagePreset)]
)
def test_every_zone_and_preset_is_named(path: Path, word: str) -> None:
    assert re.search(rf"\b{re.escape(word)}\b", path.read_text())


def test_why_it_does_not_scale_names_limits_that_exist() -> None:
    cells = first_cells(WHY_NOT.read_text().partition("\n## ")[0])
    values = {one for cell in cells for one in CODE.findall(cell)} - {"mode: Observe"}
    assert values >= {"Hold", "Tokens", "Memory", "Quota"}
    assert values <= set(map(str, LimitedBy))


@pytest.mark.parametrize("path", DOCUMENTS, ids=label)
def test_make_targets_exist(path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(" ".join(re.findall(r"^([a-z][a-z0-9 -]*):", makefile, re.MULTILINE)).split())
    code = " ".join((*spans(path), *(one["text"] for one in FENCE.finditer(path.read_text()))))
    assert set(MAKE.findall(code)) <= targets


@pytest.mark.parametrize("path", DOCUMENTS, ids=label)
def test_no_path_of_somebodys_machine(path: Path) -> None:
    assert not ABSOLUTE_PATH.findall(path.read_text())


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.name)
def test_decisions_are_short_and_of_one_form(path: Path) -> None:
    lines = path.read_text().splitlines()
    number = int(path.name.partition("-")[0])
    assert lines[0].startswith(f"# {number}. ")
    assert len(lines) <= MAX_DECISION_LINES
    assert [line for line in lines if line.startswith("## ")] == [
        "## Context", "## Decision", "## Consequences",
    ]  # fmt: skip


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = [int(path.name.partition("-")[0]) for path in DECISIONS]
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_picture_shows_its_meaning_in_words_too() -> None:
    picture = (ROOT / "docs" / "loop.svg").read_text()
    assert "<title" in picture
    assert "<desc" in picture
