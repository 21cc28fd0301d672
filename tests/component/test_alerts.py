"""When each alert fires and when it does not, judged by promtool on made-up series."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from promql import MONITORING, alert_rules

Series = Mapping[str, str]
"""Values by series, a minute apart, in promtool's notation: `1x10` stays, `0+2x10` grows."""

POOL = {"namespace": "scan", "pool": "scan-worker"}
OF_POOL = 'namespace="scan", pool="scan-worker"'
BACKLOG = f"scanpool_pool_backlog_messages{{{OF_POOL}}}"
RATE_LIMITED = f"scanpool_pool_rate_limited_per_minute{{{OF_POOL}}}"
CALLS_PER_TASK = f"scanpool_pool_calls_per_task{{{OF_POOL}}}"
UP = 'up{job="scanpool"}'
ONE, OTHER = (f'scanpool_leading{{lease="scanpool", instance="{name}"}}' for name in "ab")
SHARD = 'scanpool_leading{lease="scanpool-b", instance="c"}'
OK, TIMEOUT, ERROR = (
    f'scanpool_ticks_total{{outcome="{outcome}"}}' for outcome in ("ok", "timeout", "error")
)


def condition(kind: str, status: str = "True") -> str:
    return f'scanpool_pool_condition{{{OF_POOL}, type="{kind}", status="{status}"}}'


def age(figure: str) -> str:
    return f'scanpool_pool_figure_age_seconds{{{OF_POOL}, figure="{figure}", source="prometheus"}}'


def limited_by(limit: str) -> str:
    return f'scanpool_pool_limited_by{{{OF_POOL}, limit="{limit}"}}'


@dataclass(frozen=True)
class Case:
    """An alert: the minute at which it is looked at, what lets it fire, and what does not.

    `labels` are those of the alert beside its severity.
    """

    alert: str
    minute: int
    fires: tuple[Series, ...]
    summary: str
    quiet: tuple[Series, ...]
    labels: Mapping[str, str] = field(default_factory=dict)


CASES = (
    Case(
        "ScanpoolDown",
        minute=6,
        fires=({}, {UP: "0x10"}, {'up{job="other"}': "1x10"}),
        summary="scanpool is not running; pools keep the replicas they have.",
        quiet=({UP: "1x10"}, {UP: "1 1 0x10"}, {UP: "0 0 0 0 0 1x5"}),
    ),
    Case(
        "ScanpoolTicksFail",
        minute=25,
        fires=(
            {OK: "0+8x30", ERROR: "0+1x30", TIMEOUT: "0x30"},
            {OK: "0+8x30", ERROR: "0x30", TIMEOUT: "0+1x30"},
            {OK: "0x30", ERROR: "0+1x30", TIMEOUT: "0x30"},
        ),
        summary="More than a tenth of scanpool's ticks end in errors or run out of time.",
        quiet=(
            {OK: "0+10x30", ERROR: "0+1x30", TIMEOUT: "0x30"},
            {OK: "0+10x30", ERROR: "0x30", TIMEOUT: "0x30"},
            # Bad for seven minutes.
            {OK: "0+8x30", ERROR: "0x18 3+3x11", TIMEOUT: "0x30"},
        ),
    ),
    Case(
        "ScanpoolNobodyLeads",
        minute=3,
        fires=({ONE: "0x5", OTHER: "0x5"}, {ONE: "1 0x5"}, {ONE: "0x5", SHARD: "1x5"}),
        summary=(
            "No replica of scanpool holds the Lease scanpool; pools keep the replicas they have."
        ),
        quiet=(
            {},
            {ONE: "1x5", OTHER: "0x5"},
            {ONE: "0x5", OTHER: "1x5"},
            # One ends, and the other has taken over by the next scrape but one.
            {ONE: "1 1 0 0 0", OTHER: "0 0 0 1 1"},
        ),
        labels={"lease": "scanpool"},
    ),
    Case(
        "ScanpoolSeveralLead",
        minute=4,
        fires=({ONE: "1x5", OTHER: "1x5"},),
        summary=(
            "2 processes of scanpool act at once for the Lease scanpool, because they may not see "
            "it."
        ),
        quiet=(
            {ONE: "1x5", OTHER: "0x5"},
            {ONE: "1x5", SHARD: "1x5"},
            # Scraped just before it ended, and just after the other began.
            {ONE: "1 1 1 0 0", OTHER: "0 0 1 1 1"},
        ),
        labels={"lease": "scanpool"},
    ),
    Case(
        "ScanWorkerPoolNotReady",
        minute=11,
        fires=({condition("Ready"): "0x15"},),
        labels={**POOL, "type": "Ready", "status": "True"},
        summary="Pool scan/scan-worker is not ready; its condition Ready says why.",
        quiet=(
            {condition("Ready"): "1x15"},
            {condition("Ready"): "1 1 0x15"},
            {condition("ScalingActive"): "0x15"},
            # Another status of the same condition.
            {condition("Ready"): "1x15", condition("Ready", "False"): "0x15"},
        ),
    ),
    Case(
        "ScanWorkerPoolQuotaExhausted",
        minute=2,
        fires=({condition("QuotaExhausted"): "1x5"},),
        labels={**POOL, "type": "QuotaExhausted", "status": "True"},
        summary="The LLM provider refuses the calls of scan/scan-worker for billing reasons.",
        quiet=(
            {condition("QuotaExhausted"): "0x5"},
            {condition("QuotaExhausted"): "0 0 1x5"},
            {condition("QuotaExhausted", "False"): "1x5"},
            {condition("QuotaExhausted", "Unknown"): "1x5"},
        ),
    ),
    Case(
        "ScanWorkerPoolContested",
        minute=6,
        fires=({condition("Contested"): "1x10"},),
        labels={**POOL, "type": "Contested", "status": "True"},
        summary="Something else sets the replicas of scan/scan-worker too.",
        quiet=(
            {condition("Contested"): "0x10"},
            {condition("Contested"): "0 0 1x10"},
            {condition("Contested", "False"): "1x10"},
        ),
    ),
    Case(
        "ScanWorkerPoolMessagesExpiring",
        minute=2,
        fires=({condition("MessagesExpiring"): "1x10"},),
        labels={**POOL, "type": "MessagesExpiring", "status": "True"},
        summary="Messages of scan/scan-worker wait, or would wait, for longer than the broker "
        "keeps them.",
        quiet=(
            {condition("MessagesExpiring"): "0x10"},
            {condition("MessagesExpiring"): "0 0 1x10"},
            {condition("MessagesExpiring", "Unknown"): "1x10"},
        ),
    ),
    Case(
        "ScanWorkerPoolTasksCutOff",
        minute=11,
        fires=({condition("TasksCutOff"): "1x15"},),
        labels={**POOL, "type": "TasksCutOff", "status": "True"},
        summary="Workers of scan/scan-worker that are told to go are, or would be, killed among "
        "their tasks.",
        quiet=(
            {condition("TasksCutOff"): "0x15"},
            {condition("TasksCutOff"): "0 0 1x15"},
            # A deploy that mends it.
            {condition("TasksCutOff"): "1 1 1 1 1 1 1 1 1 0x10"},
            {condition("TasksCutOff", "Unknown"): "1x15"},
            {condition("MessagesExpiring"): "1x15"},
        ),
    ),
    Case(
        "ScanWorkerPoolRateLimited",
        minute=6,
        fires=({RATE_LIMITED: "1x10"},),
        labels=POOL,
        summary="Calls of scan/scan-worker keep being refused with a rate-limit 429.",
        quiet=({}, {RATE_LIMITED: "0x10"}, {RATE_LIMITED: "9 9 9 0 9 9 9 9 9"}),
    ),
    Case(
        "ScanWorkerPoolRetries",
        minute=11,
        fires=({CALLS_PER_TASK: "2.5x15"},),
        labels=POOL,
        summary="The workers of scan/scan-worker make 2.5 LLM calls per message; retries burn the "
        "limit that they wait for.",
        quiet=({}, {CALLS_PER_TASK: "2x15"}, {CALLS_PER_TASK: "2 2 9x15"}),
    ),
    Case(
        "ScanWorkerPoolFigureStale",
        minute=12,
        fires=({age("used"): "0+60x20"},),
        labels={**POOL, "figure": "used", "source": "prometheus"},
        summary="What scan/scan-worker knows of used tokens (prometheus) is 12m 0s old.",
        quiet=(
            {age("used"): "300x20"},
            {age("used"): "0 0 0 0 0 0 0 0 0 400x20"},
            # A probe may come seldom, and a back-off is as old as the last 429.
            {age("quota"): "0+60x20", age("backoff"): "0+60x20"},
        ),
    ),
    Case(
        "ScanWorkerPoolCapped",
        minute=40,
        fires=({limited_by("Tokens"): "1x50", BACKLOG: "0+10x50"},),
        labels={**POOL, "limit": "Tokens"},
        summary="The backlog of scan/scan-worker has grown for half an hour while Tokens keeps it "
        "from more replicas.",
        quiet=(
            {limited_by("Tokens"): "1x50", BACKLOG: "1000-10x50"},
            {limited_by("Tokens"): "1x50", BACKLOG: "100x50"},
            {limited_by("Tokens"): "1x50"},
            {limited_by("Tokens"): "0x50", BACKLOG: "0+10x50"},
            {limited_by("MinReplicas"): "1x50", BACKLOG: "0+10x50"},
            {limited_by("Tokens"): "0x20 1x50", BACKLOG: "0+10x50"},
            # Another pool's backlog.
            {
                limited_by("Tokens"): "1x50",
                'scanpool_pool_backlog_messages{namespace="scan", pool="other"}': "0+10x50",
            },
        ),
    ),
)  # fmt: skip


def scene(case: Case, series: Series, expected: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Return one test in promtool's form."""
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [
            {"eval_time": f"{case.minute}m", "alertname": case.alert, "exp_alerts": expected}
        ],
    }


def judge(directory: Path, scenes: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
    rules = yaml.safe_load((MONITORING / "prometheusrule.yaml").read_text())["spec"]
    # JSON is YAML.
    (directory / "rules.yml").write_text(json.dumps(rules))
    document = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": scenes}
    (directory / "tests.yml").write_text(json.dumps(document))
    return subprocess.run(
        ["promtool", "test", "rules", "tests.yml"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.alert)
def test_an_alert_fires_when_it_should_and_only_then(case: Case, tmp_path: Path) -> None:
    (rule,) = (rule for rule in alert_rules() if rule["alert"] == case.alert)
    alert = {
        "exp_labels": {**case.labels, **rule["labels"]},
        "exp_annotations": {
            "summary": case.summary,
            "runbook_url": rule["annotations"]["runbook_url"],
        },
    }
    scenes = [scene(case, series, [alert]) for series in case.fires]
    scenes += [scene(case, series, []) for series in case.quiet]
    judged = judge(tmp_path, scenes)
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_every_alert_is_tried() -> None:
    assert [case.alert for case in CASES] == [rule["alert"] for rule in alert_rules()]
