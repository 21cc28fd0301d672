"""Pods of the emulator: scheduled, started as processes, probed, limited, stopped."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from sandbox.waiting import until
from scanpool_sandbox.kube import KubeEmulator, Node, Simulated

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

Obj = dict[str, Any]
IDLE = "import signal; print('up', flush=True); signal.pause()"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "print('up', flush=True)\nwhile True: time.sleep(1)"
)
SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        ready = self.path == "/ready" and os.path.exists("ready")
        self.send_response(200 if ready else 503); self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT_8080"])), Handler).serve_forever()
"""
HUNGRY = "import time; print('up', flush=True); hoard = b'x' * (256 << 20); time.sleep(60)"
PRINT = "import os, sys; print(*[os.environ.get(n, '-') for n in sys.argv[1:]], flush=True)"


class Kube:
    """The emulator and the few steps every test takes."""

    def __init__(self, emulator: KubeEmulator) -> None:
        self.emulator = emulator
        self.api = emulator.api
        self.pods = self.api.resource("pods")

    def make(self, plural: str, obj: Obj, group: str = "", namespace: str = "default") -> Obj:
        return self.api.create(self.api.resource(plural, group), namespace, obj)

    def pod(self, name: str) -> Obj:
        return self.api.find(self.pods, "default", name)

    def container(self, name: str) -> Obj:
        statuses = self.pod(name).get("status", {}).get("containerStatuses") or [{}]
        return dict(statuses[0])

    def condition(self, name: str, kind: str) -> Obj:
        conditions = self.pod(name).get("status", {}).get("conditions") or []
        return dict(next((c for c in conditions if c["type"] == kind), {}))

    def is_ready(self, name: str) -> bool:
        return self.condition(name, "Ready").get("status") == "True"

    async def log(self, name: str) -> str:
        url = f"{self.emulator.url}/api/v1/namespaces/default/pods/{name}/log"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return await response.text()

    async def is_up(self, name: str) -> bool:
        return "up" in await self.log(name)


def pod(name: str, code: str = "", *args: str, **container: Any) -> Obj:
    """A pod of the image `python` that runs some code."""
    spec = {"name": "main", "image": "registry.example.com/python:3", **container}
    if code:
        spec["args"] = ["-c", code, *args]
    return {"metadata": {"name": name}, "spec": {"containers": [spec]}}


@pytest.fixture
async def kube(tmp_path: Path) -> AsyncIterator[Kube]:
    emulator = KubeEmulator(
        nodes=[Node("node-a"), Node("node-b")],
        images={
            "registry.example.com/python": [sys.executable],
            "registry.example.com/pretend": Simulated(memory_bytes=100 << 20),
        },
        directory=tmp_path,
    )
    async with emulator:
        yield Kube(emulator)


async def test_a_pod_is_a_process_with_a_log(kube: Kube) -> None:
    kube.make("pods", pod("p", IDLE))
    await until(lambda: kube.is_ready("p"))
    await until(lambda: kube.is_up("p"))
    assert kube.pod("p")["status"]["phase"] == "Running"
    assert kube.pod("p")["spec"]["nodeName"] in ("node-a", "node-b")


async def test_a_pods_environment(kube: Kube) -> None:
    kube.make("secrets", {"metadata": {"name": "s"}, "stringData": {"key": "secret", "ALL": "1"}})
    kube.make("configmaps", {"metadata": {"name": "m"}, "data": {"key": "mapped"}})
    env = [
        {"name": "PLAIN", "value": "plain"},
        {"name": "JOINED", "value": "$(PLAIN)-$$(PLAIN)"},
        {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "key"}}},
        {"name": "MAPPED", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "key"}}},
        {
            "name": "ABSENT",
            "valueFrom": {"secretKeyRef": {"name": "none", "key": "key", "optional": True}},
        },
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]
    names = ["PLAIN", "JOINED", "SECRET", "MAPPED", "ABSENT", "NAME", "ALL", "HOME", "USER"]
    body = pod("p", PRINT, *names, env=env, envFrom=[{"secretRef": {"name": "s"}}])
    body["spec"]["restartPolicy"] = "Never"
    kube.make("pods", body)
    await until(lambda: kube.pod("p")["status"]["phase"] == "Succeeded")
    *values, home, user = (await kube.log("p")).split()
    assert values == ["plain", "plain-$(PLAIN)", "secret", "mapped", "-", "p", "1"]
    assert "default_p_" in home
    assert user == "-"


async def test_a_pod_is_ready_when_its_probe_says_so(kube: Kube) -> None:
    probe = {"httpGet": {"path": "/ready", "port": "web"}, "periodSeconds": 0.05}
    ports = [{"name": "web", "containerPort": 8080}]
    kube.make("pods", pod("p", SERVER, ports=ports, readinessProbe=probe))
    await until(lambda: kube.container("p").get("started"))
    assert not kube.is_ready("p")
    (home,) = _directories(kube)
    (home / "ready").touch()
    await until(lambda: kube.is_ready("p"))
    (home / "ready").unlink()
    await until(lambda: not kube.is_ready("p"))


def _directories(kube: Kube) -> list[Path]:
    assert kube.emulator.directory is not None
    return list((kube.emulator.directory / "pods").iterdir())


async def test_a_failing_container_is_restarted_with_back_off(kube: Kube) -> None:
    kube.make("pods", pod("p", "raise SystemExit(3)"))
    await until(lambda: kube.container("p").get("restartCount", 0) >= 2)
    await until(lambda: "waiting" in kube.container("p")["state"])
    container = kube.container("p")
    assert container["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert container["lastState"]["terminated"]["exitCode"] == 3
    assert container["lastState"]["terminated"]["reason"] == "Error"


async def test_a_container_over_its_memory_limit_is_killed(kube: Kube) -> None:
    kube.make("pods", pod("p", HUNGRY, resources={"limits": {"memory": "64Mi"}}))
    await until(lambda: kube.container("p").get("restartCount"))
    ended = kube.container("p")["lastState"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)


@pytest.mark.parametrize(
    ("container", "reason"),
    [
        ({"image": "registry.example.com/none:1"}, "ErrImagePull"),
        (
            {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "no", "key": "k"}}}]},
            "CreateContainerConfigError",
        ),
    ],
)
async def test_a_container_that_cannot_start_says_why(
    kube: Kube, container: Obj, reason: str
) -> None:
    kube.make("pods", pod("p", IDLE, **container))
    seen = await until(lambda: kube.container("p").get("state", {}).get("waiting", {}))
    await until(lambda: kube.container("p")["state"]["waiting"]["reason"] == reason)
    assert seen
    assert not kube.is_ready("p")


async def test_a_missing_secret_may_come_later(kube: Kube) -> None:
    reference = {"secretKeyRef": {"name": "late", "key": "k"}}
    kube.make("pods", pod("p", IDLE, env=[{"name": "A", "valueFrom": reference}]))
    await until(lambda: kube.container("p").get("state", {}).get("waiting", {}).get("message"))
    kube.make("secrets", {"metadata": {"name": "late"}, "stringData": {"k": "v"}})
    await until(lambda: kube.is_ready("p"))


@pytest.mark.parametrize(("code", "exit_code"), [(IDLE, 143), (STUBBORN, 137)])
async def test_a_deleted_pod_gets_its_grace_period_and_no_more(
    kube: Kube, code: str, exit_code: int
) -> None:
    body = pod("p", code)
    body["spec"]["terminationGracePeriodSeconds"] = 1
    seen: list[Obj] = []
    kube.emulator.store.listen(("", "pods"), lambda change: seen.append(change.object))
    kube.make("pods", body)
    await until(lambda: kube.is_up("p"))
    kube.api.delete(kube.pods, "default", "p")
    assert kube.pod("p")["metadata"]["deletionTimestamp"]
    await until(lambda: kube.emulator.store.get(("", "pods"), "default", "p") is None)
    states = [obj["status"]["containerStatuses"][0]["state"] for obj in seen[-3:]]
    assert exit_code in [state.get("terminated", {}).get("exitCode") for state in states]


async def test_a_pod_finds_the_api_as_its_service_account(kube: Kube) -> None:
    code = (
        "import json, os, urllib.request, urllib.error\n"
        "config = json.load(open(os.environ['KUBECONFIG']))\n"
        "url = config['clusters'][0]['cluster']['server'] + '/api/v1/nodes'\n"
        "token = config['users'][0]['user']['token']\n"
        "request = urllib.request.Request(url, headers={'Authorization': 'Bearer ' + token})\n"
        "try: urllib.request.urlopen(request)\n"
        "except urllib.error.HTTPError as error: print(error.read().decode())\n"
    )
    body = pod("p", code)
    body["spec"].update(restartPolicy="Never", serviceAccountName="worker")
    kube.make("serviceaccounts", {"metadata": {"name": "worker"}})
    kube.make("pods", body)
    await until(lambda: kube.pod("p")["status"]["phase"] == "Succeeded")
    said = await kube.log("p")
    assert 'User \\"system:serviceaccount:default:worker\\" cannot list resource' in said


async def test_metrics_follow_the_process_or_the_simulation(kube: Kube) -> None:
    kube.make("pods", pod("real", IDLE))
    kube.make("pods", pod("pretend", image="registry.example.com/pretend:1"))
    await until(lambda: kube.is_ready("real") and kube.is_ready("pretend"))
    url = f"{kube.emulator.url}/apis/metrics.k8s.io/v1beta1/namespaces/default/pods"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        items = (await response.json())["items"]
    memory = {i["metadata"]["name"]: i["containers"][0]["usage"]["memory"] for i in items}
    assert memory["pretend"] == "102400Ki"
    assert int(memory["real"].removesuffix("Ki")) > 1024
