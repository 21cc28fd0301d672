"""The autoscalers of the replay: the baselines by their tables, scanpool by what it reads."""

import pytest

from scanpool.decide import Peers
from scanpool.models.claims import Claim
from scanpool.models.llm import ONLY
from scanpool.models.observation import Observation
from scanpool.models.reading import Available, Unavailable
from scanpool_replay.contenders import SAMPLE_POOL, Fixed, Keda, Scanpool
from scanpool_replay.controllers import build
from scanpool_replay.controllers.fixed import FixedReplicas
from scanpool_replay.controllers.hpa import Hpa, Metric
from scanpool_replay.controllers.pool import PoolScaler
from scanpool_replay.observer import Observer
from scanpool_replay.operator import Operator, epoch
from scanpool_replay.pipeline import Pipeline
from scanpool_replay.provider import Caller
from scanpool_replay.scans import Scan, Task
from scanpool_replay.scenario import Scenario
from scanpool_replay.world import World

NOTHING_HAPPENS = {"virtualUsers": 1, "rampUpSeconds": 1, "holdSeconds": 0, "rampDownSeconds": 1}


@pytest.mark.parametrize(
    ("current", "totals", "expected"),
    [
        pytest.param(2, [41.0], 5, id="total over target, rounded up"),
        pytest.param(4, [43.9], 4, id="within the tolerance of a tenth"),
        pytest.param(4, [45.0], 5, id="just beyond it"),
        pytest.param(2, [10.0, 35.0], 4, id="the largest of several metrics"),
        pytest.param(4, [None, 10.0], 4, id="a missing metric blocks scaling down"),
        pytest.param(2, [None, 50.0], 5, id="but not up"),
        pytest.param(2, [None], 2, id="all missing changes nothing"),
        pytest.param(1, [1_000.0], 5, id="four pods at once, where that is more than twice"),
        pytest.param(6, [1_000.0], 10, id="up to maxReplicas"),
        pytest.param(0, [100.0], 0, id="zero is not its to leave"),
    ],
)
def test_hpa(current: int, totals: list[float | None], expected: int) -> None:
    metrics = [Metric(total, 10.0) for total in totals]
    assert Hpa(1, 10).decide(current, metrics, 0.0) == expected


def test_hpa_goes_down_only_when_five_minutes_agree() -> None:
    hpa = Hpa(1, 10)
    assert hpa.decide(8, [Metric(80.0, 10.0)], 0.0) == 8
    for seconds in range(15, 301, 15):
        assert hpa.decide(8, [Metric(10.0, 10.0)], float(seconds)) == 8
    assert hpa.decide(8, [Metric(10.0, 10.0)], 315.0) == 1


def pipeline_with(controller: dict[str, object], **changes: object) -> Pipeline:
    scenario = Scenario.model_validate(
        {"name": "still", "load": NOTHING_HAPPENS, "controllers": [controller], **changes}
    )
    return World(scenario, build(scenario.controllers[0], scenario.tenants), 1).pipelines[0]


def observe(pipeline: Pipeline) -> Observation:
    return Observer(pipeline, Scanpool(kind="scanpool").spec, Operator()).observe(60.0)


def publish(pipeline: Pipeline, messages: int, stage: int = 0) -> None:
    for number in range(messages):
        pipeline.broker.publish(Task(Scan(number, 0.0, (500.0,) * 4), stage))


def test_keda_counts_unacked_messages_and_stops_at_its_maximum() -> None:
    pipeline = pipeline_with({"kind": "keda", "maxReplicas": 3, "firstSyncSeconds": 10})
    publish(pipeline, 60)  # all in hand at once: none is ready
    assert pipeline.broker.ready(0) == 0
    pipeline.engine.run(9.9)
    assert pipeline.cluster.desired == 1
    pipeline.engine.run(10.1)
    assert pipeline.cluster.desired == 3
    assert pipeline.cluster.ready() == 1
    pipeline.engine.run(40.2)
    assert pipeline.cluster.ready() == 3


def test_keda_leaves_and_reaches_zero() -> None:
    pipeline = pipeline_with(
        {"kind": "keda", "minReplicas": 0, "cooldownSeconds": 60, "pollingSeconds": 10},
        worker={"outsidePods": 0},
        load={"virtualUsers": 1, "rampUpSeconds": 1, "holdSeconds": 100, "rampDownSeconds": 1},
    )
    pipeline.engine.run(-1.0)
    assert pipeline.cluster.desired == 0
    pipeline.engine.run(30.0)
    assert pipeline.cluster.desired >= 1
    pipeline.engine.run(700.0)
    assert (pipeline.book.in_flight, pipeline.cluster.desired) == (0, 0)


def test_the_formula_counts_headroom_and_fails_as_a_whole() -> None:
    pipeline = pipeline_with({"kind": "formula", "tokensPerReplica": 500_000})
    pipeline.engine.run(-5.0)  # scraped twice by now
    publish(pipeline, 60)
    pipeline.engine.run(20.0)
    assert pipeline.cluster.desired == 4  # 2 M TPM over half a million
    blind = pipeline_with(
        {"kind": "formula"},
        events=[{"kind": "loseReading", "atSeconds": 0, "seconds": 600, "reading": "usage"}],
    )
    blind.engine.run(0.0)
    publish(blind, 60)
    blind.engine.run(60.0)
    assert blind.cluster.desired == 1


def test_the_formula_may_take_the_buckets_level_for_headroom() -> None:
    pipeline = pipeline_with(
        {"kind": "formula", "tokensPerReplica": 500_000, "headroom": "remaining"},
        events=[{"kind": "loseReading", "atSeconds": 40, "seconds": 600, "reading": "provider"}],
    )
    pipeline.engine.run(-5.0)
    publish(pipeline, 60)
    neighbor = pipeline.provider.open(Caller.NEIGHBOR)
    pipeline.provider.call(neighbor, 1_000_000)  # unmeasured: no answer yet
    pipeline.engine.run(11.0)
    assert 2 <= pipeline.cluster.desired <= 3
    assert pipeline.autoscaler.ceilings()["tokens"] in (2, 3)


def test_fixed_replicas_change_when_they_are_told_to() -> None:
    pipeline = pipeline_with({"kind": "fixed", "replicas": 2, "then": [[20, 5]]})
    pipeline.engine.run(19.0)
    assert pipeline.cluster.desired == 2
    pipeline.engine.run(21.0)
    assert pipeline.cluster.desired == 5
    assert FixedReplicas(Fixed(kind="fixed", replicas=1)).ceilings() == {}


def test_scanpool_sees_depth_at_once_and_use_as_prometheus_scrapes_it() -> None:
    pipeline = pipeline_with({"kind": "scanpool"})
    observer = Observer(pipeline, Scanpool(kind="scanpool").spec, Operator())
    pipeline.engine.run(-25.0)
    publish(pipeline, 60)
    seen = observer.observe(60.0)
    assert isinstance(seen.queues, Available)
    assert sum(depth.messages for depth in seen.queues.value) == 60
    before = seen.usage
    assert isinstance(before, Available)
    neighbor = pipeline.provider.open(Caller.NEIGHBOR)
    pipeline.provider.call(neighbor, 6_000)
    pipeline.provider.answered(neighbor, 6_000)
    assert observer.observe(60.0).usage == before
    pipeline.engine.run(-9.0)
    after = observer.observe(60.0).usage
    assert isinstance(after, Available)
    assert after.value.tokens_per_minute > 0
    assert after.value.own_tokens_per_minute == 0


def test_a_reading_that_is_lost_is_unavailable_and_only_that() -> None:
    pipeline = pipeline_with(
        {"kind": "scanpool"},
        events=[{"kind": "loseReading", "atSeconds": 0, "seconds": 10, "reading": "queues"}],
    )
    pipeline.engine.run(5.0)
    seen = Observer(pipeline, Scanpool(kind="scanpool").spec, Operator()).observe(60.0)
    assert isinstance(seen.queues, Unavailable)
    assert isinstance(seen.nodes, Available)
    pipeline.engine.run(10.0)
    again = Observer(pipeline, Scanpool(kind="scanpool").spec, Operator()).observe(60.0)
    assert isinstance(again.queues, Available)


def test_the_probe_is_shared_until_its_interval_is_over_and_tells_a_billing_error() -> None:
    pipeline = pipeline_with({"kind": "scanpool"})
    observer = Observer(pipeline, Scanpool(kind="scanpool").spec, Operator())
    pipeline.engine.run(-59.0)
    first = observer.observe(60.0).provider
    pipeline.provider.limiter.quota.set_remaining(0)
    pipeline.engine.run(-1.0)
    assert observer.observe(60.0).provider == first
    pipeline.engine.run(2.0)
    second = observer.observe(60.0).provider
    assert isinstance(second, Available)
    assert second.value.billing_code == "insufficient_quota"


def test_use_shows_up_as_late_as_it_is_told_to() -> None:
    late = {"usageDelaySeconds": 20}
    pipeline = pipeline_with({"kind": "scanpool"}, telemetry=late, leadSeconds=90)
    pipeline.engine.run(0.0)
    found = observe(pipeline).usage
    assert isinstance(found, Available)
    age = epoch(pipeline.engine.now) - found.at
    assert 20 <= age < 35


def test_refusals_are_told_by_their_code_and_own_ones_apart() -> None:
    pipeline = pipeline_with({"kind": "scanpool"})
    pipeline.engine.run(-25.0)
    neighbor = pipeline.provider.open(Caller.NEIGHBOR)
    for _ in range(3):
        pipeline.provider.call(neighbor, 1_500_000)
    pipeline.provider.limiter.quota.set_remaining(0)
    pipeline.provider.call(pipeline.pool, 1)
    pipeline.engine.run(-9.0)
    usage = observe(pipeline).usage
    assert isinstance(usage, Available)
    by_code = {one.code: one.per_minute for one in usage.value.refusals}
    unpaid = by_code["insufficient_quota"]
    assert by_code["rate_limit_exceeded"] == usage.value.rate_limited_per_minute == 2 * unpaid > 0
    assert usage.value.own_refused_per_minute == unpaid


PAIR = [{"name": "one"}, {"name": "two"}]


def test_pools_of_one_operator_share_its_probe_and_see_each_others_claims() -> None:
    pipeline = pipeline_with({"kind": "scanpool"}, pipelines=PAIR)
    pipeline.engine.run(-5.0)
    (probe,) = (one for one in pipeline.provider.accounts if one.caller is Caller.PROBE)
    assert probe.calls == 1
    assert isinstance(pipeline.autoscaler, PoolScaler)
    seen = pipeline.autoscaler.ticks[-1].decision.llm
    assert seen is not None
    assert seen.shared is not None
    assert [one.pool for one in seen.shared.others] == ["two"]


def test_an_operator_that_starts_again_knows_no_claims_and_probes_anew() -> None:
    operator = Operator()
    pipeline = pipeline_with({"kind": "fixed", "replicas": 1})
    operator.publish(Claim("one", 1, 1, 1, 1, {}), 0.0)
    operator.probe(pipeline, 60.0)
    operator.probe(pipeline, 60.0)
    assert len(operator.peers("two", 0.0).claims) == 1
    operator.forget()
    assert operator.peers("two", 0.0) == Peers("two", {ONLY: {ONLY: ()}})
    operator.probe(pipeline, 60.0)
    (probe,) = (one for one in pipeline.provider.accounts if one.caller is Caller.PROBE)
    assert probe.calls == 2


def test_someone_else_may_scale_and_the_mix_may_change() -> None:
    pipeline = pipeline_with(
        {"kind": "fixed", "replicas": 1},
        load={"arrivalsPerMinute": 60, "seconds": 60},
        events=[
            {"kind": "setReplicas", "atSeconds": 5, "replicas": 4},
            {"kind": "setMix", "atSeconds": 20, "queue": "scan.answer", "share": 1},
        ],
    )
    pipeline.engine.run(20.0)
    assert pipeline.cluster.desired == 4
    images = pipeline.broker.published[0]
    pipeline.engine.run(60.0)
    assert images > 0
    assert pipeline.broker.published[0] == images
    assert pipeline.broker.published[2] > images
    pipeline.engine.run(200.0)
    assert (pipeline.book.in_flight, pipeline.book.wasted_tokens) == (0, 0)


def test_a_restart_keeps_what_the_status_keeps() -> None:
    pipeline = pipeline_with(
        {"kind": "scanpool"}, events=[{"kind": "restartController", "atSeconds": 1}]
    )
    publish(pipeline, 500)
    pipeline.engine.run(30.0)
    assert isinstance(pipeline.autoscaler, PoolScaler)
    first_after = next(one for one in pipeline.autoscaler.ticks if one.seconds > 1)
    assert first_after.decision.limited_by == "Hold"


def test_scanpool_stays_below_its_token_ceiling() -> None:
    pipeline = pipeline_with({"kind": "scanpool"}, nodes={"count": 6})
    pipeline.engine.run(-5.0)
    publish(pipeline, 500)
    pipeline.engine.run(20.0)
    assert pipeline.cluster.desired == 3  # 85% of 2 M TPM, at 0.55 M a replica
    assert pipeline.autoscaler.ceilings()["tokens"] == 3


def test_least_replicas_replace_those_of_the_pool() -> None:
    controller = Scanpool(kind="scanpool", min_replicas=1)
    assert (controller.spec.min_replicas, SAMPLE_POOL["minReplicas"]) == (1, 2)
    assert controller.label == "scanpool min 1"
    assert Keda(kind="keda", max_replicas=10).label == "keda max 10"
