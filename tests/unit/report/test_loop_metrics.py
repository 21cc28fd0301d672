import platform
from importlib.metadata import version

import pytest
from prometheus_client import CollectorRegistry

from scanpool.report.loop_metrics import LoopMetrics


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> LoopMetrics:
    return LoopMetrics(registry)


@pytest.mark.usefixtures("metrics")
def test_no_outcome_of_a_tick_begins_at_its_first(registry: CollectorRegistry) -> None:
    shown = {
        outcome: registry.get_sample_value("scanpool_ticks_total", {"outcome": outcome})
        for outcome in ("ok", "timeout", "error")
    }
    assert set(shown.values()) == {0}


def test_the_operators_own_work_is_counted(
    registry: CollectorRegistry, metrics: LoopMetrics
) -> None:
    for outcome in ("ok", "ok", "timeout"):
        metrics.ticked(outcome, 0.25)
    metrics.began(0.5)
    metrics.restarted()
    metrics.read("management", 0.25, None)
    metrics.read("management", 0.5, "BrokerUnreachable")
    metrics.asked("get")
    metrics.rewatched("pods")

    def get(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"scanpool_{name}", labels)

    assert get("ticks_total", outcome="ok") == 2
    assert get("ticks_total", outcome="timeout") == 1
    assert get("tick_duration_seconds_count") == 3
    assert get("tick_duration_seconds_sum") == 0.75
    assert get("tick_lag_seconds_sum") == 0.5
    assert get("loop_restarts_total") == 1
    assert get("source_read_duration_seconds_sum", source="management") == 0.75
    assert get("source_errors_total", source="management", reason="BrokerUnreachable") == 1
    assert get("kubernetes_requests_total", verb="get") == 1
    assert get("watch_restarts_total", resource="pods") == 1


@pytest.mark.usefixtures("metrics")
def test_what_runs_is_shown(registry: CollectorRegistry) -> None:
    labels = {"version": version("scanpool"), "python": platform.python_version()}
    assert registry.get_sample_value("scanpool_build_info", labels) == 1
