"""Scenario files: what is refused, and whether the message tells where and why."""

from pathlib import Path

import pytest

from scanpool_replay.contenders import Fixed, Keda, Scanpool, adapted
from scanpool_replay.scenario import ScenarioError, load, parse
from scanpool_replay.settings import Tenant

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
                "queues: [{name: scan.vision, token: 5}]}}}",
            ),
            "a ScanWorkerPool has no field minReplica, rabbitmq.queues.token",
            id="a pool's typos",
        ),
        pytest.param(
            GOOD.replace("{kind: keda}", "{kind: scanpool, change: {llm: {wait: 3}}}"),
            "a ScanWorkerPool has no field llm.wait",
            id="a change's typo",
        ),
        pytest.param(GOOD + "extends: none", "extends none, which is none of", id="no base"),
        pytest.param(GOOD + "bounds: {most429s: 1}", "bounds.most429s: Extra", id="no such bound"),
        pytest.param(
            GOOD + "pipelines: [{name: one}, {name: one}]", "a name of its own", id="namesakes"
        ),
        pytest.param(
            GOOD + "pipelines: [{name: one}]\n"
            "events: [{kind: setReplicas, atSeconds: 1, replicas: 2, pipeline: two}]",
            "setReplicas names pipeline two",
            id="an event of no pipeline",
        ),
        pytest.param(
            GOOD + "events: [{kind: setMix, atSeconds: 1, queue: scan.image, share: 1}]",
            "setMix names scan.image",
            id="a mix of no queue",
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


def test_an_extended_scenario_is_patched() -> None:
    found = parse("name: mine\nextends: loop-overload\nload: {seconds: 60}", "mine.yaml")
    base = load("loop-overload")
    assert found.load.end_seconds == 60
    same = {"name", "load"}
    assert found.model_dump(exclude=same) == base.model_dump(exclude=same)


def test_a_change_is_merged_into_the_pool_and_null_removes() -> None:
    change = {"minReplicas": 0, "llm": {"weight": 3, "usage": {"prometheus": None}}}
    spec = Scanpool(kind="scanpool", change=change).spec
    assert spec.llm is not None
    assert (spec.min_replicas, spec.llm.weight, spec.llm.usage.prometheus) == (0, 3, None)
    assert spec.llm.tokens_per_replica_minute == 550_000


def test_each_pipeline_has_its_own_bounds_and_weight() -> None:
    tenant = Tenant(name="one", weight=4, min_replicas=2, max_replicas=7)
    pool = adapted(Scanpool(kind="scanpool", change={"minReplicas": 1}), tenant)
    assert isinstance(pool, Scanpool)
    assert pool.spec.llm is not None
    assert (pool.spec.min_replicas, pool.spec.max_replicas, pool.spec.llm.weight) == (2, 7, 4)
    keda = adapted(Keda(kind="keda", max_replicas=10), tenant)
    assert isinstance(keda, Keda)
    assert (keda.min_replicas, keda.max_replicas) == (2, 7)
    assert adapted(Fixed(kind="fixed", replicas=3), tenant) == Fixed(kind="fixed", replicas=3)
