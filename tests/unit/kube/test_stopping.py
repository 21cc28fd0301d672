"""What pod templates and pods tell of how a worker is stopped."""

from typing import Any

import pytest

from scanpool.kube.stopping import ended, stopping
from scanpool.models.stopping import Ended, Stopping

TOLD = "2026-01-28T08:20:00Z"
TOLD_AT = 1_769_588_400.0
WORKER = "celery -A app worker"


def pod(container: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "worker", **(container or {})}], **spec}}


def shell(*argv: str, **container: Any) -> str | None:
    return stopping(pod({"command": list(argv), **container})).shell


def hook(**action: Any) -> dict[str, Any]:
    return {"lifecycle": {"preStop": action}}


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["celery", "-A", "app", "worker"], None),
        (["sh", "-c", WORKER], "sh"),
        (["/bin/sh", "-c", WORKER], "sh"),
        (["/bin/sh", "-ec", WORKER], "sh"),
        (["sh", "-e", "-c", WORKER], "sh"),
        (["dash", "-c", f"migrate && {WORKER}"], "dash"),
        (["sh", "-c", f"exec {WORKER}"], None),
        (["sh", "-c", f"migrate && exec {WORKER}"], None),
        (["sh", "-c", f"set -e\nmigrate\nexec {WORKER}\n"], None),
        (["sh", "-c", f"trap 'kill $pid' TERM; {WORKER} & pid=$!; wait $pid"], None),
        # Words of the script that only look like it.
        (["sh", "-c", f"{WORKER} -n 'exec'"], None),
        (["sh", "-c", f"{WORKER} --executor=gevent"], "sh"),
        # Bash gives way to a last command that is plain.
        (["bash", "-c", WORKER], None),
        (["bash", "-lc", f"cd /app && {WORKER}"], None),
        (["bash", "-c", f"migrate; {WORKER}"], None),
        (["bash", "-c", f"set -e\nmigrate\n{WORKER}"], None),
        (["bash", "-euo", "pipefail", "-c", f"{WORKER} | tee /log"], "bash"),
        (["bash", "-c", f"{WORKER} || exit 1"], "bash"),
        (["bash", "-c", f"{WORKER} > /log"], "bash"),
        (["bash", "-c", f"{WORKER} 2>&1"], "bash"),
        (["bash", "-c", f"beat & {WORKER}"], "bash"),
        (["bash", "-c", f"({WORKER})"], "bash"),
        (["bash", "-c", f"while true; do {WORKER}; done"], "bash"),
        (["/usr/bin/env", "bash", "-c", f"{WORKER} | cat"], "bash"),
        # What a file does is not told, nor what an init hands on.
        (["sh", "/app/start.sh"], None),
        (["bash", "start.sh", "-c", "x"], None),
        (["tini", "--", "sh", "-c", WORKER], None),
        (["dumb-init", "sh", "-c", WORKER], None),
        # Nothing that could be read, or be started.
        (["sh", "-c", "celery 'worker"], None),
        (["sh", "-c", ""], None),
        (["sh", "-c"], None),
        (["sh"], None),
        (["env"], None),
        ([], None),
    ],
)
def test_a_shell_in_front_of_the_worker(argv: list[str], expected: str | None) -> None:
    assert shell(*argv) == expected


def test_command_and_args_are_one_command_line() -> None:
    assert shell("sh", "-c", args=[WORKER]) == "sh"
    assert shell("sh", args=["-c", WORKER]) == "sh"
    # Without a command it is the image that says what is started.
    assert stopping(pod({"args": ["sh", "-c", WORKER]})).shell is None


@pytest.mark.parametrize(
    ("before", "slept", "expected"),
    [
        ({}, 0, "sh"),
        # Whoever only waits tells the worker nothing.
        (hook(sleep={"seconds": 10}), 10, "sh"),
        (hook(exec={"command": ["sleep", "10"]}), 10, "sh"),
        (hook(exec={"command": ["/bin/sleep", "10"]}), 10, "sh"),
        (hook(exec={"command": ["sh", "-c", "sleep 10"]}), 10, "sh"),
        (hook(exec={"command": ["sh", "-c", "sleep 10; pkill -TERM celery"]}), 0, None),
        (hook(exec={"command": ["celery", "control", "shutdown"]}), 0, None),
        (hook(httpGet={"path": "/stop", "port": 8080}), 0, None),
    ],
)
def test_a_pre_stop_that_tells_the_worker(
    before: dict[str, Any], slept: float, expected: str | None
) -> None:
    found = stopping(pod({"command": ["sh", "-c", WORKER], **before}))

    assert (found.shell, found.slept_seconds) == (expected, slept)
    assert found.left_seconds == 30 - slept


def test_a_grace_that_is_not_named_is_kubernetes_own() -> None:
    assert stopping(pod()) == Stopping(30, 0, "worker", None)
    assert stopping(pod(terminationGracePeriodSeconds=0)).grace_seconds == 0
    assert stopping(pod(terminationGracePeriodSeconds=120)).left_seconds == 120
    assert Stopping(10, 20).left_seconds == 0


def test_the_worker_is_the_container_that_kubectl_takes() -> None:
    both = [
        {"name": "shipper", "command": ["sh", "-c", "while true; do ship; done"]},
        {"name": "worker", "command": ["celery"]},
    ]
    spec = {"containers": both}
    named = {"annotations": {"kubectl.kubernetes.io/default-container": "worker"}}

    assert stopping({"spec": spec}).container == "shipper"
    assert stopping({"metadata": named, "spec": spec}) == Stopping(30, 0, "worker", None)


def gone(
    code: int, after: int, grace: int = 30, given: int | None = None, **state: Any
) -> dict[str, Any]:
    """A pod that was told to go, and whose worker ended so many seconds later."""
    given = grace if given is None else given
    clock = lambda seconds: f"2026-01-28T08:2{seconds // 60}:{seconds % 60:02}Z"  # noqa: E731
    terminated = {"exitCode": code, "reason": "Error", "finishedAt": clock(after), **state}
    return {
        **pod(terminationGracePeriodSeconds=grace),
        "metadata": {
            "name": "worker-1",
            "deletionTimestamp": clock(given),
            "deletionGracePeriodSeconds": given,
        },
        "status": {
            "containerStatuses": [
                {"name": "other", "state": {"running": {}}},
                {"name": "worker", "state": {"terminated": terminated}},
            ]
        },
    }


@pytest.mark.parametrize(
    ("found", "was_killed"),
    [
        (gone(0, 3), False),
        (gone(143, 1), False),
        (gone(1, 29), False),
        (gone(0, 30), False),
        (gone(137, 30), True),
        (gone(137, 32), True),
        # Times are whole seconds.
        (gone(137, 29), True),
        (gone(137, 90, grace=90), True),
        # By hand, by the node, or for want of memory: that says nothing of its grace.
        (gone(137, 5), None),
        (gone(137, 2, given=2), None),
        (gone(137, 30, reason="OOMKilled"), None),
        # Before it was told to go.
        (gone(0, 3, finishedAt="2026-01-28T08:19:00Z"), None),
        (gone(0, 3, finishedAt=None), None),
    ],
)
def test_how_a_pod_that_was_told_to_go_has_ended(
    found: dict[str, Any], was_killed: bool | None
) -> None:
    told = ended(found)

    assert (None if told is None else told.was_killed) == was_killed


def test_the_last_word_on_a_pod_tells_the_same_as_the_one_before() -> None:
    """The kubelet ends it with a grace of 0, and the API server sets the time back by as much."""
    before, last = gone(137, 30), gone(137, 30)
    last["metadata"] |= {"deletionTimestamp": TOLD, "deletionGracePeriodSeconds": 0}

    assert (
        ended(before)
        == ended(last)
        == Ended("worker-1", TOLD_AT + 30, True, Stopping(30, 0, "worker"))
    )


def test_a_pod_that_stays_has_not_ended() -> None:
    running = gone(137, 30)
    del running["metadata"]["deletionTimestamp"]
    assert ended(running) is None

    starting = gone(0, 3)
    starting["status"] = {}
    assert ended(starting) is None
