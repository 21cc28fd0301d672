import json
import subprocess
import sys
from pathlib import Path

import pytest

from scanpool_sandbox.cli import main
from scanpool_sandbox.processes import ChildProcess
from scanpool_sandbox.worker import WorkerSettings

DONE_SECONDS = 30


def test_a_worker_starts_without_the_libraries_of_the_servers() -> None:
    code = (
        "import sys, scanpool_sandbox.cli, scanpool_sandbox.worker; "
        "print(*sys.modules.keys() & {'aiohttp', 'pydantic', 'prometheus_client', 'kopf', 'cel'})"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)

    assert loaded.stdout.split() == []


def test_the_provider_tells_its_urls_and_ends_on_sigterm(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-m", "scanpool_sandbox", "openai", "--port", "0"]
    with ChildProcess(command, log_path=log) as child:
        child.wait_until_ready(lambda: b"\n" in log.read_bytes(), timeout_seconds=DONE_SECONDS)
        told = json.loads(log.read_text())
        assert told["base_url"] == told["url"] + "/v1"

        child.terminate()
        assert child.wait(DONE_SECONDS) == 0


@pytest.mark.parametrize("arguments", [[], ["nothing"], ["users"], ["neighbor"]])
def test_a_command_line_that_is_wrong_is_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        main(arguments)

    assert refused.value.code == 2
    assert "usage: scanpool-sandbox" in capsys.readouterr().err


REQUIRED = {
    "CELERY_BROKER_URL": "amqp://127.0.0.1/eco2",
    "OPENAI_API_KEY": "sk-sandbox",
    "OPENAI_BASE_URL": "http://127.0.0.1/v1",
}


def test_worker_settings_come_from_the_environment() -> None:
    assert WorkerSettings.from_environment(REQUIRED) == WorkerSettings(
        broker_url="amqp://127.0.0.1/eco2",
        api_key="sk-sandbox",
        base_url="http://127.0.0.1/v1",
    )

    more = {"SCAN_CONCURRENCY": "100", "SCAN_GRACE_SECONDS": "0.5", "SCAN_RULE_SECONDS": "0"}
    settings = WorkerSettings.from_environment(REQUIRED | more)
    assert (settings.concurrency, settings.grace_seconds, settings.rule_seconds) == (100, 0.5, 0)


@pytest.mark.parametrize("missing", REQUIRED)
def test_a_worker_without_its_environment_does_not_start(missing: str) -> None:
    with pytest.raises(KeyError, match=missing):
        WorkerSettings.from_environment(
            {name: value for name, value in REQUIRED.items() if name != missing}
        )
