"""Scenario files: what is refused, and whether the message tells where and why."""

from pathlib import Path

import pytest

from scanpool_replay.scenario import ScenarioError, load, parse

GOOD = """
name: mine
load: {virtualUsers: 10}
controllers: [{kind: keda}]
"""


def test_a_short_scenario_has_the_calibrated_world() -> None:
    scenario = parse(GOOD, "mine.yaml")
    assert scenario.provider.tokens_per_minute == 2_000_000
    assert scenario.stages[0].queue == "scan.vision"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("[", "is no YAML", id="not YAML"),
        pytest.param("- one", "has no fields", id="a list"),
        pytest.param(GOOD.replace("10", "0"), "virtualUsers", id="no users"),
        pytest.param(GOOD.replace("virtualUsers: 10", "users: 10"), "load", id="unknown load"),
        pytest.param(GOOD.replace("mine", "Not a name"), "name", id="name"),
        pytest.param(GOOD.replace("kind: keda", "kind: hpa"), "controllers.0", id="kind"),
        pytest.param(GOOD + "node: {count: 1}", "node: Extra inputs", id="typo"),
        pytest.param(
            GOOD + "events: [{kind: setLimit, atSeconds: -1, tokensPerMinute: 1}]",
            "events.0.setLimit.atSeconds",
            id="before the load",
        ),
        pytest.param(
            GOOD + "stages: [{queue: a, tokens: 1, cpuSeconds: 1}]",
            "keda max 3 watches scan.answer, scan.rule, scan.vision",
            id="queues that no stage has",
        ),
        pytest.param(
            GOOD.replace("kind: keda", "kind: fixed, replicas: 1")
            + "stages: [{queue: a, tokens: 1, cpuSeconds: 1}, {queue: a, tokens: 2, cpuSeconds: 1}"
            "]",
            "a queue of its own",
            id="one queue twice",
        ),
        pytest.param(
            GOOD.replace(
                "{kind: keda}",
                "{kind: scanpool, pool: {scaleTargetRef: {name: a}, maxReplicas: 3, minReplica: 1, "
                "rabbitmq: {urlSecretRef: {name: a, key: b}, "
                "queues: [{name: scan.vision, tokens: 5}]}}}",
            ),
            "a ScanWorkerPool has no field minReplica, rabbitmq.queues.tokens",
            id="a pool's typos",
        ),
        pytest.param(
            GOOD.replace("{kind: keda}", "{kind: scanpool, pool: {maxReplicas: 3}}"),
            "scaleTargetRef",
            id="half a pool",
        ),
    ],
)
def test_a_bad_scenario_is_refused_with_its_place(text: str, words: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        parse(text, "mine.yaml")
    assert "mine.yaml" in str(caught.value)
    assert words in str(caught.value)


def test_a_scenario_is_a_file_or_a_name(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(GOOD, "utf-8")
    assert load(str(file)).name == "mine"
    assert load("vu-1000").name == "vu-1000"
    with pytest.raises(ScenarioError, match=r"neither a readable file .* nor one of .*vu-1000"):
        load(str(tmp_path / "none.yaml"))
