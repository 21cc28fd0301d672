import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from builders import pool
from kube_stub import Answer, KubeStub, kube_stub, refusal, use_kubeconfig
from scanpool import cli
from scanpool.controller import handlers
from scanpool.settings import Settings

CRD = Path(__file__).parents[2] / "crds" / "scanworkerpools.yaml"
POOL = "/apis/scan.eco2.io/v1alpha1/namespaces/scan/scanworkerpools/scan-worker"


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubeStub]:
    with kube_stub() as serving:
        use_kubeconfig(monkeypatch, tmp_path, serving.url)
        yield serving


def test_the_crd_in_the_repository_is_the_one_of_the_models(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["crd"]) == 0

    printed = capsys.readouterr().out
    assert printed == CRD.read_text(), "run `make crd`"
    assert yaml.safe_load(printed)["metadata"]["name"] == "scanworkerpools.scan.eco2.io"


def test_it_says_which_version_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])

    project = tomllib.loads((CRD.parents[1] / "pyproject.toml").read_text())["project"]
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"scanpool {project['version']}\n"


def test_a_pool_is_explained(stub: KubeStub, capsys: pytest.CaptureFixture[str]) -> None:
    spec = pool().model_dump(mode="json", by_alias=True, exclude_none=True)
    metadata = {"namespace": "scan", "name": "scan-worker", "uid": "u"}
    stub.gets(POOL, Answer({"metadata": metadata, "spec": spec}))

    assert cli.main(["explain", "-n", "scan", "scan-worker"]) == 0

    assert "scan/scan-worker has no status yet" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (refusal(404, 'scanworkerpools.scan.eco2.io "scan-worker" not found'), "not found"),
        (refusal(403, "scanworkerpools is forbidden"), "forbidden"),
        (Answer(b"<html>"), "something else than JSON"),
    ],
)
def test_what_cannot_be_explained_is_one_line_and_a_failure(
    stub: KubeStub, capsys: pytest.CaptureFixture[str], answer: Answer, words: str
) -> None:
    stub.gets(POOL, answer)

    assert cli.main(["explain", "-n", "scan", "scan-worker"]) == 1

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.startswith("scanpool: ")
    assert words in said.err


def test_without_a_cluster_there_is_one_line_and_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use_kubeconfig(monkeypatch, tmp_path, "http://127.0.0.1:1").unlink()
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    assert cli.main(["explain", "scan-worker"]) == 1

    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "KUBECONFIG" in said


def test_run_starts_the_operator_as_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Settings] = []
    monkeypatch.setattr(handlers, "run", ran.append)

    assert cli.main(["run", "-n", "scan", "--metrics-port", "1", "--log-format", "text"]) == 0

    assert ran == [Settings(("scan",), metrics_port=1, json_logs=False)]


def test_run_says_what_it_takes_and_that_quickly() -> None:
    asked = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "scanpool", "run", "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    for option in ("--namespace", "--host", "--health-port", "--metrics-port", "--log-format"):
        assert option in asked.stdout
    # Neither is needed to say so, and both are slow to import.
    assert "kopf" not in asked.stderr
    assert "kubernetes" not in asked.stderr


def test_plan_needs_none_of_the_stand_ins_extra() -> None:
    """`pip install scanpool` has it, and with it the plugin."""
    tried = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(['aiohttp', 'cel', 'jsonpatch']))\n"
        "from scanpool.cli import main\n"
        "main(['plan', '--help'])\n"
    )
    asked = subprocess.run(
        [sys.executable, "-c", tried], capture_output=True, text=True, check=True, timeout=60
    )
    assert "--vus" in asked.stdout


def test_the_plugin_calls_itself_as_kubectl_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bin/kubectl-scanpool"])
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert capsys.readouterr().out.startswith("usage: kubectl scanpool ")


@pytest.mark.parametrize("argv", [[], ["scale"], ["explain"]])
def test_a_command_that_makes_no_sense_is_a_matter_of_usage(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(argv)

    assert ended.value.code == 2
    assert "usage: scanpool" in capsys.readouterr().err
