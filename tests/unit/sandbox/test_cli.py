import json
import sys
from pathlib import Path

import pytest

from scanpool_sandbox.cli import main
from scanpool_sandbox.processes import ChildProcess

DONE_SECONDS = 30


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
