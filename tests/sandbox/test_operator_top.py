"""`kubectl scanpool` on the API server, by a person with rights of their own."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from sandbox.patience import until
from scanpool_sandbox.kube import KubeEmulator, Node

NAME, QUEUE = "scan-worker", "scan.vision"
READER = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "Role",
    "metadata": {"name": "reader"},
    "rules": [
        {"apiGroups": ["scan.eco2.io"], "resources": ["scanworkerpools"], "verbs": ["get", "list"]}
    ],
}
BINDING = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "RoleBinding",
    "metadata": {"name": "reader"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
    "subjects": [{"kind": "ServiceAccount", "name": "looker"}],
}


@pytest.fixture
def looker(scene, tmp_path) -> Path:
    """The kubeconfig of somebody who may read the pools of one namespace."""
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{scene.namespace}"
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "looker"}}
    scene.kube.post(f"/api/v1/namespaces/{scene.namespace}/serviceaccounts", account)
    subject = {**BINDING["subjects"][0], "namespace": scene.namespace}
    scene.kube.post(f"{rbac}/roles", READER)
    scene.kube.post(f"{rbac}/rolebindings", {**BINDING, "subjects": [subject]})
    emulator = scene.stage.emulator
    return emulator.write_kubeconfig(
        tmp_path / "looker", emulator.token_for(scene.namespace, "looker")
    )


def plugin(kubeconfig: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """What kubectl makes of its plugin."""
    return subprocess.run(
        ["kubectl", "scanpool", *words],
        env={
            **os.environ,
            "KUBECONFIG": str(kubeconfig),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_person_sees_the_pools_that_they_may_see(scene, queues, looker) -> None:
    queues.publish(QUEUE, 25)
    scene.create_deployment(NAME)
    scene.create_pool(NAME, QUEUE, maxReplicas=2)
    scene.wait_status(NAME, replicas=2, readyReplicas=2, limitedBy="MaxReplicas")

    seen = plugin(looker, "top", "--once", "-n", scene.namespace)
    assert seen.returncode == 0, seen.stderr
    heading, line = seen.stdout.splitlines()
    assert heading.split()[0] == "NAMESPACE"
    assert line.split()[:3] == [scene.namespace, NAME, "2/2"]
    assert "MaxReplicas" in line
    assert " 25 " in line

    everywhere = plugin(looker, "top", "--once", "-A")
    assert everywhere.returncode == 1
    assert "does not let you list" in everywhere.stderr

    explained = plugin(looker, "explain", "-n", scene.namespace, NAME)
    assert explained.returncode == 0, explained.stderr
    assert "limited by MaxReplicas" in explained.stdout


def test_a_terminal_shows_changes_until_ctrl_c(scene, queues, looker) -> None:
    queues.publish(QUEUE, 5)
    scene.create_deployment(NAME)
    scene.create_pool(NAME, QUEUE)
    scene.wait_status(NAME, replicas=1, readyReplicas=1)

    with terminal(looker, "top", "--interval", "1", "-n", scene.namespace) as (shown, process):
        until("the pool is shown", lambda: "1/1" in shown(), shown)
        queues.publish(QUEUE, 20)
        until("its growth is shown", lambda: "3/3" in shown(), shown)
        process.send_signal(signal.SIGINT)
        # A terminal that nobody reads takes a screen and little more, and then holds the program.
        until("it has ended", lambda: shown() and process.poll() is not None)

    assert process.returncode == 0, shown()


@contextmanager
def terminal(
    kubeconfig: Path, *words: str
) -> Iterator[tuple[Callable[[], str], subprocess.Popen[bytes]]]:
    """Run scanpool in a terminal; the function returns all that it has shown so far."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    text = bytearray()
    environment = {
        **os.environ, "KUBECONFIG": str(kubeconfig), "TERM": "xterm", "COLUMNS": "160",
        "LINES": "24",
    }  # fmt: skip
    # Whoever runs the tests in the background of a script has them ignore Ctrl-C.
    command = ["env", "--default-signal=INT", sys.executable, "-m", "scanpool", *words]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)

    def shown() -> str:
        with suppress(OSError):  # nothing new, or the program has ended
            while part := os.read(ours, 65_536):
                text.extend(part)
        return text.decode(errors="replace")

    try:
        yield shown, process
    finally:
        process.kill()
        process.wait()
        shown()
        os.close(ours)


def test_a_cluster_without_the_crd_and_one_that_is_away(background, tmp_path) -> None:
    emulator = KubeEmulator([Node("node-a")], directory=tmp_path / "empty")
    with background.running(emulator):
        kubeconfig = emulator.write_kubeconfig(tmp_path / "kubeconfig")
        done = plugin(kubeconfig, "top", "--once")
        assert (done.returncode, "apply crds/" in done.stderr) == (1, True)

    done = plugin(kubeconfig, "top", "--once")
    assert (done.returncode, "does not answer" in done.stderr) == (1, True)
