"""Converted pools against the replay's KEDA: the CRD takes them, and they decide the same."""

from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from builders import NOW, follow, memory, observe, seen, think
from keda_shapes import SHAPES, Shape
from scanpool.convert import Converted, convert, read
from scanpool.convert.notes import Effect
from scanpool.crd import custom_resource_definition
from scanpool.decide.assess.queues import demand
from scanpool.models.observation import QueueDepth
from scanpool.models.spec import PoolSpec
from scanpool_replay.contenders import Keda, Target
from scanpool_replay.controllers.keda import FIGURES_PER_QUEUE, KedaScaler
from scanpool_replay.engine import Engine
from scanpool_sandbox.kube.schema.defaulting import apply_defaults
from scanpool_sandbox.kube.schema.pruning import prune
from scanpool_sandbox.kube.schema.rules import evaluate_rules
from scanpool_sandbox.kube.schema.validation import validate

(VERSION,) = custom_resource_definition()["spec"]["versions"]
SPEC = VERSION["schema"]["openAPIV3Schema"]["properties"]["spec"]
SETTLED_SECONDS = 1_200
"""Twice the default stabilization, and as many steps of growth as the largest pool needs."""
MOST_MESSAGES = 3_000

BY_NAME = {shape.name: shape for shape in SHAPES}


def converted(shape: Shape) -> Converted:
    given_objects = read([("file", shape.text)])
    (scaled,) = given_objects.scaled_objects
    return convert(scaled, given_objects)


@cache
def spec_of(name: str) -> PoolSpec:
    result = converted(BY_NAME[name])
    assert result.pool is not None, result.refusal
    return PoolSpec.model_validate(result.pool["spec"])


def test_there_are_twelve_shapes_at_least() -> None:
    assert len(BY_NAME) >= 12


@pytest.mark.parametrize("name", BY_NAME)
def test_the_api_server_takes_the_pool_whole_and_adds_what_it_means(name: str) -> None:
    result = converted(BY_NAME[name])
    assert result.pool is not None, result.refusal
    stored = deepcopy(cast("dict[str, Any]", result.pool["spec"]))

    assert prune(stored, SPEC) == []
    assert validate(stored, SPEC) == []
    apply_defaults(stored, SPEC)
    assert evaluate_rules(stored, None, SPEC) == []
    assert PoolSpec.model_validate(stored) == PoolSpec.model_validate(result.pool["spec"])


@pytest.mark.parametrize("name", BY_NAME)
def test_nothing_is_said_to_change(name: str) -> None:
    assert [
        one.line for one in converted(BY_NAME[name]).notes if one.effect is Effect.CHANGED
    ] == []


@pytest.mark.parametrize("name", BY_NAME)
def test_the_bounds_are_the_same(name: str) -> None:
    shape, spec = BY_NAME[name], spec_of(name)
    assert (spec.min_replicas, spec.max_replicas) == (shape.least, shape.most)


@pytest.mark.parametrize("name", BY_NAME)
@given(data=st.data())
def test_the_demand_is_the_largest_that_a_metric_of_the_hpa_asks_for(
    name: str, data: st.DataObject
) -> None:
    shape = BY_NAME[name]
    waiting = {q: data.draw(st.integers(0, 10**6), label=q) for q in sorted(shape.targets)}

    asked = demand(
        spec_of(name).rabbitmq.queues, {q: QueueDepth(q, n, None) for q, n in waiting.items()}
    )

    assert asked.replicas == max(-(-n // shape.targets[q]) for q, n in waiting.items())


@pytest.mark.parametrize("name", [one.name for one in SHAPES if one.has_default_behavior])
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_the_replays_keda_and_the_pool_settle_at_the_same_replicas(
    name: str, data: st.DataObject
) -> None:
    shape = BY_NAME[name]
    waiting = {q: data.draw(st.integers(0, MOST_MESSAGES), label=q) for q in sorted(shape.targets)}
    # From 0 KEDA starts one replica, and the pool all: within the tolerance that may be the end.
    start = max(shape.least, data.draw(st.integers(1, min(shape.most, 20)), label="replicas"))
    # On the very edge of the tolerance (10%) the two round otherwise.
    assume(
        not any(
            10 * n % (edge * shape.targets[q]) == 0
            for q, n in waiting.items()
            if n
            for edge in (9, 11)
        )
    )

    assert settle_pool(shape, waiting, start) == settle_keda(shape, waiting, start)


def settle_pool(shape: Shape, waiting: Mapping[str, int], replicas: int) -> int:
    spec, known = spec_of(shape.name), memory()
    observation = observe(
        replicas, queues=seen(tuple(QueueDepth(q, n, None) for q, n in waiting.items()))
    )
    for seconds in range(0, SETTLED_SECONDS, spec.polling_interval_seconds):
        thought = think(spec, observation, known, NOW + seconds)
        known = thought.memory
        observation = follow(observation, thought.decision.desired)
    return observation.target.replicas


def settle_keda(shape: Shape, waiting: Mapping[str, int], replicas: int) -> int:
    """Play KEDA and its HPA over queues that stay as they are."""
    names = sorted(waiting)
    figures = [0.0] * FIGURES_PER_QUEUE * len(names)
    for number, queue in enumerate(names):
        figures[number * FIGURES_PER_QUEUE] = float(waiting[queue])
    engine = Engine()
    cluster = SimpleNamespace(desired=replicas)
    cluster.scale = lambda count: setattr(cluster, "desired", count)
    pipeline = SimpleNamespace(
        engine=engine,
        cluster=cluster,
        phases=SimpleNamespace(uniform=lambda least, _: least),
        outages=SimpleNamespace(can_read=lambda _: True),
        statistics=SimpleNamespace(latest=lambda: (engine.now, figures)),
        stage=names.index,
    )
    targets = tuple(
        Target(queue=queue, messages_per_replica=shape.targets[queue]) for queue in names
    )
    keda = Keda(
        kind="keda", min_replicas=shape.least, max_replicas=shape.most, targets=targets,
        cooldown_seconds=shape.cooldown,
    )  # fmt: skip
    KedaScaler(keda).start(cast("Any", pipeline))
    engine.run(SETTLED_SECONDS)
    return int(cluster.desired)
