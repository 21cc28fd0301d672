"""What a closed-loop case asks, held against replicas that somebody has set."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from scanpool.models.spec import PoolSpec
from scanpool_replay import cases
from scanpool_replay.bounds import Bounds
from scanpool_replay.contenders import SAMPLE_POOL, Fixed, Keda, Scanpool, adapted
from scanpool_replay.events import Neighbor, NeighborBursts, SetLimit
from scanpool_replay.scenario import Scenario, ScenarioError, parse

# Ten minutes of more work than the limit allows, which feeds 3.8 replicas.
TEXT = "name: ten-minutes\nextends: loop-overload\nload: {seconds: 600}\n"
# From here on the bucket carries a pool for so long that two changes in five minutes are enough.
FEEDS_ENOUGH = 2.5
# Where a case is about what the pool is told, by name: the rest play the sample pool.
TOLD = {
    "loop-cost-high": {"minReplicas", "llm"},
    "loop-cost-low": {"minReplicas", "llm"},
    "loop-budget": {"minReplicas", "llm", "spend"},
    "loop-schedule": {"minReplicas", "schedules"},
    "loop-no-prometheus": {"minReplicas", "rabbitmq", "llm"},
    "loop-published-workers": {"minReplicas", "rabbitmq", "llm"},
}


def broken(replicas: int, *then: tuple[float, int], **bounds: Any) -> list[str]:
    """Return the bounds that replicas break which change as told."""
    scenario = parse(TEXT, "test")
    scenario = scenario.model_copy(update={"bounds": Bounds.model_validate(bounds)})
    found = cases.play(scenario, Fixed(kind="fixed", replicas=replicas, then=then))
    return [one.requirement for one in found.broken]


@pytest.mark.parametrize(
    ("replicas", "bounds", "expected"),
    [
        pytest.param(3, {}, ["use at least 97% of the limit"], id="whole replicas are no excuse"),
        pytest.param(3, {"leastUtilization": 0.75}, [], id="unless a case says so"),
        pytest.param(5, {}, ["429s at most 0.1%"], id="too many"),
        pytest.param(10, {"mostRefusedShare": 1}, ["scans failed"], id="far too many"),
        pytest.param(5, {"refusedAsReplicas": 5, "mostFailed": 9_999}, [], id="as so many meet"),
        pytest.param(5, {"refusedAsReplicas": 3, "mostFailed": 9_999}, ["fixed 3"], id="as fewer"),
    ],
)
def test_what_a_fixed_number_breaks(
    replicas: int, bounds: dict[str, object], expected: list[str]
) -> None:
    found = broken(replicas, **bounds)
    assert len(found) == len(expected)
    assert all(words in one for words, one in zip(expected, found, strict=True))


@pytest.mark.parametrize(
    ("changes", "bounds", "expected"),
    [
        pytest.param((240, 300), {}, [], id="two in five minutes"),
        pytest.param((240, 300, 360), {}, ["2 scalings in five minutes"], id="three"),
        pytest.param((240, 300, 360), {"mostScalings": 3}, [], id="where three are allowed"),
        pytest.param(
            (200, 590),
            {"mostScalingsInTenMinutes": 1},
            ["1 scalings in ten minutes"],
            id="two in ten minutes, where one is allowed",
        ),
        pytest.param((100, 150, 590), {"mostScalingsInTenMinutes": 1}, [], id="before it settles"),
    ],
)
def test_changes_of_replicas_are_counted(
    changes: tuple[int, ...], bounds: dict[str, object], expected: list[str]
) -> None:
    then = [(float(at), 3 + (number + 1) % 2) for number, at in enumerate(changes)]
    found = broken(3, *then, leastUtilization=0, mostRefusedShare=1, **bounds)
    assert len(found) == len(expected)
    assert all(words in one for words, one in zip(expected, found, strict=True))


@pytest.mark.parametrize(
    ("name", "replicas", "expected"),
    [
        # Three spend 180 of 210, and four 240.
        pytest.param("loop-budget", 3, ["between 95% and 100%"], id="budget-too-few"),
        pytest.param("loop-budget", 4, ["between 95% and 100%"], id="budget-too-many"),
        pytest.param("loop-schedule", 5, ["at least 6 replicas are ready"], id="schedule-cold"),
        pytest.param("loop-schedule", 6, [], id="schedule-warm"),
    ],
)
def test_what_a_fixed_number_breaks_of_money_and_schedules(
    name: str, replicas: int, expected: list[str]
) -> None:
    scenario = cases.read(name)
    found = cases.play(scenario, Fixed(kind="fixed", replicas=replicas))
    told = [one.requirement for one in found.broken if "use at least" not in one.requirement]
    assert len(told) == len(expected)
    assert all(words in one for words, one in zip(expected, told, strict=True))


def test_a_budget_is_bounded_only_where_there_is_one() -> None:
    with pytest.raises(ScenarioError, match="a budget that its pool does not have"):
        broken(1, leastOfBudget=0.5)


def test_no_case_may_allow_more_than_four_changes_in_five_minutes() -> None:
    with pytest.raises(ValidationError, match="mostScalings"):
        Bounds.model_validate({"mostScalings": 5})


def feeds(scenario: Scenario) -> list[float]:
    """Return how many busy replicas each limit of a case feeds."""
    cpu = sum(one.cpu_seconds for one in scenario.stages)
    cost = 60 / cpu * sum(one.tokens for one in scenario.stages)
    later = [one.tokens_per_minute for one in scenario.events if isinstance(one, SetLimit)]
    return [limit / cost for limit in (scenario.provider.tokens_per_minute, *later)]


def taken(scenario: Scenario) -> float:
    """Return the share of the limit that a neighbor takes: what it leaves is the pool's."""
    limit = scenario.provider.tokens_per_minute
    shares = [0.0]
    for one in scenario.events:
        if isinstance(one, NeighborBursts):
            shares.append(one.share * 60 / one.every_seconds)
        if isinstance(one, Neighbor):
            shares.append(one.tokens_per_minute / limit)
    return max(shares)


@pytest.mark.parametrize("name", cases.names())
def test_a_case_asks_for_less_only_where_the_bucket_is_too_small(name: str) -> None:
    scenario = cases.read(name)
    bounds = cases.bounds_of(scenario)
    if bounds.least_of_budget is None:
        assert bounds.least_utilization == Bounds().least_utilization
    if bounds.most_scalings > Bounds().most_scalings:
        assert max(feeds(scenario)) * (1 - taken(scenario)) < FEEDS_ENOUGH
    if bounds.refused_as_replicas is not None:
        assert max(feeds(scenario)) < bounds.refused_as_replicas
    if bounds.most_scalings_in_ten_minutes is not None:
        assert all(abs(one - round(one)) < 0.1 for one in feeds(scenario))


@pytest.mark.parametrize("name", cases.names())
def test_a_case_plays_the_sample_pool_but_for_its_floor_and_what_it_is_about(name: str) -> None:
    scanpool = cases.scanpool_of(cases.read(name))
    assert set(scanpool.change) <= TOLD.get(name, {"minReplicas"})
    assert scanpool.pool.model_dump(exclude_unset=True, by_alias=True, mode="json") == SAMPLE_POOL


def test_the_published_systems_two_workers_are_the_sample_pools() -> None:
    """But for what one chat replica uses, which is told: the sample's figure is a busy one's."""
    scenario = cases.read("loop-published-workers")
    controllers = [adapted(cases.scanpool_of(scenario), one) for one in scenario.pipelines]
    scan, chat = (one.spec for one in controllers if isinstance(one, Scanpool))
    samples = Path(__file__).parents[3] / "manifests" / "samples"
    *_, sample = yaml.safe_load_all((samples / "chat.yaml").read_text())
    assert chat.rabbitmq.queues == PoolSpec.model_validate(sample["spec"]).rabbitmq.queues
    assert chat.max_replicas == sample["spec"]["maxReplicas"]
    assert {one.name: one.tokens_per_message for one in scan.rabbitmq.queues}["scan.rule"] == 0
    assert all(one.llm is not None and one.llm.usage.prometheus is None for one in (scan, chat))
    keda = adapted(cases.rivals(scenario)[0], scenario.pipelines[1])
    assert isinstance(keda, Keda)
    assert [(one.queue, one.messages_per_replica) for one in keda.targets] == [("chat.process", 5)]


def test_a_pipeline_of_its_own_stages_watches_its_own_queues() -> None:
    text = (
        "name: own\nextends: loop-two-pools\npipelines:\n- name: chat\n  stages:\n"
        "  - {queue: chat.process, tokens: 1, cpuSeconds: 1}\n"
    )
    with pytest.raises(ScenarioError, match=r"pipeline chat use chat\.process"):
        parse(text, "test")
