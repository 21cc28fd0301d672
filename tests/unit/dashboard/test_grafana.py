"""The dashboard names only what there is, and has the form that Grafana loads."""

import json
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from scanpool.cli import main
from scanpool.dashboard.grafana import dashboard
from scanpool.dashboard.queries import each, of_key, state, states
from scanpool.models.conditions import LimitedBy

WRITTEN = Path(__file__).parents[3] / "manifests" / "monitoring" / "dashboard.json"
PANELS = dashboard()["panels"]
SHOWN = [panel for panel in PANELS if panel["type"] != "row"]


def differences(ours: Any, theirs: Any, place: str = "") -> Iterator[str]:
    """Yield where a document has something that its copy lacks, or has otherwise."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name, value in ours.items():
            yield from differences(value, theirs.get(name), f"{place}.{name}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from differences(one, other, f"{place}[{number}]")
    elif ours != theirs:
        yield place


def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
    """Return the cells of Grafana's grid that a panel covers."""
    place = panel["gridPos"]
    across, down = range(place["w"]), range(place["h"])
    return {(place["x"] + x, place["y"] + y) for x in across for y in down}


def test_the_dashboard_in_the_repository_is_the_one_of_the_metrics(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["dashboard"]) == 0
    assert capsys.readouterr().out == WRITTEN.read_text(), "run `make dashboard`"


def test_grafanas_own_models_know_every_field() -> None:
    plugins.register_default_plugins()
    ours = json.loads(WRITTEN.read_text())
    loaded = json.loads(JSONEncoder().encode(Dashboard.from_json(ours)))
    assert list(differences(ours, loaded)) == []


def test_no_panel_covers_another_and_all_are_on_the_grid() -> None:
    for one, other in combinations(PANELS, 2):
        assert not cells(one) & cells(other), (one["title"], other["title"])
    assert {x for panel in PANELS for x, _ in cells(panel)} == set(range(24))


def test_panels_and_their_queries_are_told_apart() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    for panel in SHOWN:
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters), panel["title"]


@pytest.mark.parametrize("panel", SHOWN, ids=lambda panel: panel["title"])
def test_every_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    assert panel["description"]
    assert panel["title"]


def test_a_state_is_shown_by_its_name() -> None:
    (panel,) = (panel for panel in SHOWN if panel["title"] == "What binds")
    (mapping,) = panel["fieldConfig"]["defaults"]["mappings"]
    assert [one["text"] for one in mapping["options"].values()] == list(LimitedBy)
    for number, limit in enumerate(LimitedBy):
        assert f'{number} * scanpool_pool_limited_by{{namespace=~"$namespace", ' in (
            query := panel["targets"][0]["expr"]
        )
        assert f'limit="{limit}"}}' in query
    colors = [one["color"] for one in mapping["options"].values()]
    assert len(set(colors)) == len(colors)


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda: each("replica"), id="no-metric"),
        pytest.param(lambda: of_key("tpm_used", "code"), id="no-label"),
        pytest.param(lambda: each("breaker", stat="Open"), id="no-label-to-choose-by"),
        pytest.param(lambda: each("breaker", state="Opened"), id="no-state"),
        pytest.param(lambda: states("replicas"), id="no-states"),
        pytest.param(lambda: state("ceiling_replicas"), id="labels-that-are-no-states"),
    ],
)
def test_a_query_for_what_there_is_not_is_refused(ask: Callable[[], object]) -> None:
    with pytest.raises(KeyError):
        ask()
