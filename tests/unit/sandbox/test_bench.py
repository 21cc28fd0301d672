from math import isnan

import pytest

from scanpool_sandbox.bench.figures import LAG, Process, grown, nearest, quantile, samples
from scanpool_sandbox.bench.objects import POOLS_PER_NAMESPACE, Plan, pools
from scanpool_sandbox.bench.report import API_REQUESTS, as_json, table
from scanpool_sandbox.bench.run import Figures, Span
from scanpool_sandbox.bench.waves import Delays

MEBIBYTE = 2**20

BEFORE = f"""
# TYPE {LAG} histogram
{LAG}_bucket{{le="0.1"}} 10
{LAG}_bucket{{le="1.0"}} 10
{LAG}_bucket{{le="+Inf"}} 10
# TYPE {API_REQUESTS.removesuffix("_total")} counter
{API_REQUESTS}{{verb="get"}} 5
# TYPE scanpool_pool_replicas gauge
scanpool_pool_replicas{{pool="a"}} 5
"""
AFTER = f"""
# TYPE {LAG} histogram
{LAG}_bucket{{le="0.1"}} 108
{LAG}_bucket{{le="1.0"}} 110
{LAG}_bucket{{le="+Inf"}} 110
# TYPE {API_REQUESTS.removesuffix("_total")} counter
{API_REQUESTS}{{verb="get"}} 25
{API_REQUESTS}{{verb="patch"}} 4
"""


@pytest.mark.parametrize(("share", "seconds"), [(0.5, 0.1), (0.98, 0.1), (0.99, 1.0), (1.0, 1.0)])
def test_a_quantile_is_the_edge_that_a_share_of_what_came_is_not_beyond(
    share: float, seconds: float
) -> None:
    assert quantile(samples(BEFORE), samples(AFTER), LAG, share) == seconds


def test_of_nothing_there_is_no_quantile() -> None:
    assert isnan(quantile(samples(AFTER), samples(AFTER), LAG, 0.5))
    assert isnan(nearest([], 0.5))


def test_what_grew_is_told_by_label_and_the_pools_own_figures_are_left_out() -> None:
    before, after = samples(BEFORE), samples(AFTER)

    assert grown(before, after, API_REQUESTS, "verb") == {"get": 20, "patch": 4}
    assert grown(before, after, API_REQUESTS) == {"": 24}
    assert not [name for name in before if name.startswith("scanpool_pool_")]


@pytest.mark.parametrize(("share", "value"), [(0.0, 1.0), (0.5, 2.0), (0.99, 3.0), (1.0, 3.0)])
def test_the_nearest_rank(share: float, value: float) -> None:
    assert nearest([3.0, 1.0, 2.0], share) == value


def test_pools_lie_in_namespaces_and_share_keys_in_turn() -> None:
    plan = Plan(2 * POOLS_PER_NAMESPACE + 1, 2)

    assert len(plan.namespaces) == 3
    assert len(set(plan.names)) == plan.pools
    keys = [
        pool["spec"]["llm"]["apiKeySecretRef"]["key"]
        for _, pool in pools(plan, "http://provider/v1", "http://prometheus")
    ]
    assert keys[:3] == ["KEY_0", "KEY_1", "KEY_0"]


def test_the_figures_are_told_per_pool_and_minute() -> None:
    first, last = Process(1.0, MEBIBYTE, MEBIBYTE), Process(4.0, 2 * MEBIBYTE, 3 * MEBIBYTE)
    span = Span(30.0, samples(BEFORE), samples(AFTER), {"operator": (first, last)})
    figures = Figures(Plan(2, 1), 3.0, span, span, Delays([1.0, 2.0], missed=1), 0.5)

    found = as_json(figures)

    steady = found["steady"]
    assert steady["api_requests_per_pool_minute"] == 24
    assert steady["api_writes_per_pool_in_10_minutes"] == 40
    assert steady["tick_lag_seconds_at_most"] == {"p50": 0.1, "p99": 1.0, "max": 1.0}
    assert steady["processes"]["operator"] == {"cores": 0.1, "resident_mib": 2, "peak_mib": 3}
    assert found["change_to_write_seconds"] == {
        "changes": 2, "missed": 1, "p50": 1.0, "p99": 2.0, "max": 2.0,
    }  # fmt: skip
    assert "start to all decided seconds" in table(figures)
