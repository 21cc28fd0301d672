import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from scanpool_sandbox.processes import (
    FIRST_PORT,
    LAST_PORT,
    ChildProcess,
    StartError,
    free_port,
)

DONE_SECONDS = 30
SAYS_READY = "import signal, sys, time; print('ready', flush=True); "


def python(code: str, log: Path) -> ChildProcess:
    return ChildProcess([sys.executable, "-c", code], log_path=log)


def ready(child: ChildProcess) -> ChildProcess:
    child.wait_until_ready(
        lambda: b"ready" in child.log_path.read_bytes(), timeout_seconds=DONE_SECONDS
    )
    return child


def test_ports_are_free_distinct_and_out_of_the_reach_of_outgoing_connections() -> None:
    ports = [free_port() for _ in range(50)]

    assert len(set(ports)) == 50
    assert all(FIRST_PORT <= port <= LAST_PORT for port in ports)
    for port in ports:
        with socket.socket() as server:
            server.bind(("127.0.0.1", port))


def test_a_taken_port_is_not_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    free = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        draws = iter([taken.getsockname()[1], free, free + 1, free + 2, free + 3])
        monkeypatch.setattr("random.randint", lambda *_: next(draws))

        assert free_port() > free, "neither the taken one nor the one handed out before"


def test_it_ends_in_order_when_asked(tmp_path: Path) -> None:
    code = SAYS_READY + "signal.sigwait([signal.SIGTERM]); sys.exit(7)"
    code = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]); " + code

    assert ready(python(code, tmp_path / "log")).stop() == 7


def test_it_is_ended_when_it_does_not_listen(tmp_path: Path) -> None:
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SAYS_READY
    child = ready(python(code + "time.sleep(3600)", tmp_path / "log"))

    assert child.stop(grace_seconds=0.1) == -signal.SIGKILL


def test_leaving_the_context_stops_it(tmp_path: Path) -> None:
    with python(SAYS_READY + "time.sleep(3600)", tmp_path / "log") as child:
        ready(child)
        os.kill(child.pid, 0)

    assert child.exit_code == -signal.SIGTERM
    child.stop()


@pytest.mark.parametrize(
    ("code", "timeout_seconds", "message"),
    [
        ("print('out of luck'); raise SystemExit(3)", DONE_SECONDS, "exited with 3"),
        ("print('out of luck', flush=True); import time; time.sleep(3600)", 1, "in 1 s"),
    ],
)
def test_one_that_does_not_become_ready_is_told_with_the_end_of_its_log(
    tmp_path: Path, code: str, timeout_seconds: float, message: str
) -> None:
    with (
        python(code, tmp_path / "log") as child,
        pytest.raises(StartError, match=rf"(?s){message}.*out of luck"),
    ):
        child.wait_until_ready(lambda: False, timeout_seconds=timeout_seconds)
