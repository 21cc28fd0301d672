"""Tables, documents, plans and the command."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from scanpool_replay.cli import main
from scanpool_replay.judge import Gap, judge, judge_losses
from scanpool_replay.oracle import Hindsight
from scanpool_replay.report import documents
from scanpool_replay.report.series import RATE_WINDOW_SECONDS, panels
from scanpool_replay.run import Result, run
from scanpool_replay.scenario import parse

SHORT = """
name: short
load: {virtualUsers: 20, rampUpSeconds: 5, holdSeconds: 30, rampDownSeconds: 5}
controllers:
- {kind: fixed, replicas: 1}
- {kind: scanpool}
"""
POOL = """
apiVersion: scan.eco2.io/v1alpha1
kind: ScanWorkerPool
spec:
  scaleTargetRef: {name: worker}
  maxReplicas: 4
  rabbitmq:
    managementUrlSecretRef: {name: s, key: k}
    queues: [{name: jobs, messagesPerReplica: 10, tokensPerMessage: 2000}]
  llm: {model: m, tokensPerMinute: 1000000, tokensPerReplicaMinute: 200000}
"""
SEVERAL = """
spec:
  scaleTargetRef: {name: scan-worker}
  minReplicas: 1
  maxReplicas: 6
  rabbitmq:
    managementUrlSecretRef: {name: scan-secret, key: RABBITMQ_API_URL}
    queues:
    - name: scan.vision
      tokens: [{llm: small, perMessage: 3000}, {llm: large, perMessage: 1000}]
  llms:
  - {name: small, model: gpt-5.2, tokensPerMinute: 400000, tokensPerReplicaMinute: 300000}
  - {name: large, model: gpt-5.2-mini, tokensPerMinute: 9000000, tokensPerReplicaMinute: 300000}
"""


@pytest.fixture(scope="module")
def results() -> list[Result]:
    scenario = parse(SHORT, "short")
    return [run(scenario, controller, 1) for controller in scenario.controllers]


def test_plots_are_well_formed_and_side_by_side(results: list[Result]) -> None:
    root = ET.fromstring(documents.as_svg(results))  # noqa: S314 - our own
    texts = [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"fixed 1", "scanpool", "429s per second", "requests"} <= set(texts)
    assert "nan" not in documents.as_svg(results)


def test_a_page_escapes_what_it_shows_and_loads_nothing(results: list[Result]) -> None:
    page = documents.as_html(results, [])
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    assert page.count("<svg") == 1


def test_json_has_every_run_and_no_nan(results: list[Result]) -> None:
    document = json.loads(documents.as_json(results, {"note": float("nan")}))
    assert document["note"] is None
    assert [one["controller"] for one in document["runs"]] == ["fixed 1", "scanpool"]
    assert document["runs"][0]["final"]["success"] == 1.0


def test_panels_show_every_second_of_a_short_run(results: list[Result]) -> None:
    replicas = panels(results[1].tracks[0].samples)[0]
    assert {line.name for line in replicas.lines} == {
        "desired", "ready", "max", "tokens", "requests", "memory",
    }  # fmt: skip
    assert replicas.lines[0].x[:3] == (0.0, 1.0, 2.0)


def test_rates_are_shown_of_a_run_whose_points_are_further_apart_than_their_window() -> None:
    text = SHORT.replace("holdSeconds: 30", "holdSeconds: 3400")
    scenario = parse(text, "long")
    charged = panels(run(scenario, scenario.controllers[0], 1).tracks[0].samples)[2].lines[0]
    assert charged.x[1] - charged.x[0] > RATE_WINDOW_SECONDS
    assert max(one or 0.0 for one in charged.y) > 0


def test_the_bucket_is_shown_with_the_marks_of_whoever_reads_it(results: list[Result]) -> None:
    fixed, scanpool = (panels(one.tracks[0].samples)[3] for one in results)
    assert [line.name for line in fixed.lines] == ["level"]
    assert [line.name for line in scanpool.lines] == [
        "level", "reckoned", "high", "low", "reserve",
    ]  # fmt: skip
    level, _, high, low, reserve = (line.y[-1] for line in scanpool.lines)
    assert 0 < reserve < low < high < 2.0  # type: ignore[operator]
    assert level == pytest.approx(results[1].tracks[0].samples[-1].bucket / 1e6)


def test_verdicts_compare_with_the_oracle(results: list[Result]) -> None:
    better = replace(results[0], seen_completed=results[0].seen_completed * 2)
    for by_minute, holds in ((results[0], True), (better, False)):
        hindsight = Hindsight(
            sweep=(), best=results[0], by_minute=by_minute, bucket_scans=0, scan_tokens=1
        )
        found = judge(results[:1], [hindsight])
        assert [one.holds for one in found] == [True, True, True, True, holds]
        assert [one.shown for one in found[3:]] == ["100.00%", "100.00%" if holds else "50.00%"]
    assert judge_losses(results)[0].shown == "0"


def test_a_gap_is_shared_out() -> None:
    gap = Gap(bucket=200.0, oracle=100.0, charged=120.0, by_minute=110.0, names=("", ""))
    assert gap.changing == pytest.approx(0.1)
    assert gap.started == pytest.approx(0.2)


def test_run_writes_its_documents(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario = tmp_path / "short.yaml"
    scenario.write_text(SHORT, "utf-8")
    files = {name: tmp_path / f"out.{name}" for name in ("json", "html", "svg")}
    options = [part for name, path in files.items() for part in (f"--{name}", str(path))]
    assert main(["run", str(scenario), "--repeat", "2", *options]) == 0
    assert "simulated seconds per wall second" in capsys.readouterr().out
    assert len(json.loads(files["json"].read_text("utf-8"))["runs"]) == 4
    assert all(path.stat().st_size > 1_000 for path in files.values())


def test_what_is_not_valid_exits_with_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(tmp_path / "none")]) == 2
    assert "neither a readable file" in capsys.readouterr().err
    pool = tmp_path / "pool.yaml"
    pool.write_text("spec: {maxReplicas: 0}", "utf-8")
    assert main(["plan", "-f", str(pool), "--vus", "5"]) == 2
    assert "spec.maxReplicas" in capsys.readouterr().err
    pool.write_text(POOL, "utf-8")
    assert main(["plan", "-f", str(pool), "--vus", "0"]) == 2
    assert "virtual_users: Input should be greater" in capsys.readouterr().err


def test_scenarios_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    assert "vu-1000-quota:" in capsys.readouterr().out


def test_a_plan_names_the_limit_and_what_it_would_take(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = tmp_path / "pool.yaml"
    pool.write_text(POOL, "utf-8")
    command = ["plan", "-f", str(pool), "--arrivals-per-minute", "600", "--minutes", "3"]
    assert main([*command, "--nodes", "8", "--drain-seconds", "60"]) == 0
    # 100 items a minute and replica, and 85% of the limit is for four of them: 600 are too many.
    out = " ".join(capsys.readouterr().out.split())
    assert "Tokens, after" in out or "MaxReplicas, after" in out
    assert "token limit (TPM)" in out


def test_a_pool_of_several_limits_is_planned_by_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = tmp_path / "pool.yaml"
    pool.write_text(SEVERAL, "utf-8")
    command = ["plan", "-f", str(pool), "--arrivals-per-minute", "300", "--minutes", "2"]
    assert main([*command, "--tokens-per-minute", "1000000"]) == 2
    assert "set tokensPerMinute of each in spec.llms" in capsys.readouterr().err

    assert main(command) == 0
    out = " ".join(capsys.readouterr().out.split())
    _, small, large = out.split("By the limit ")
    assert small.startswith("small alone")
    assert "Tokens, after" in small
    assert large.startswith("large alone")
    assert "Tokens, after" not in large
