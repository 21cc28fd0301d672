"""The emulator as a whole: audit, kubectl of several releases, kopf, many objects, clean ends."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sandbox.waiting import PATIENCE_SECONDS, until
from scanpool_sandbox.kube import KubeEmulator, Node

Obj = dict[str, Any]
GROUP = "sandbox.example.com"
CRD: Obj = {
    "metadata": {"name": f"things.{GROUP}"},
    "spec": {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {"plural": "things", "kind": "Thing"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {"size": {"type": "integer", "default": 1}},
                            },
                            "status": {
                                "type": "object",
                                "properties": {"seen": {"type": "integer"}},
                            },
                        },
                    }
                },
            }
        ],
    },
}
THING = {
    "apiVersion": f"{GROUP}/v1",
    "kind": "Thing",
    "metadata": {"name": "t", "namespace": "default"},
    "spec": {},
}


def add_definition(kube: KubeEmulator) -> None:
    definitions = kube.api.resource("customresourcedefinitions", "apiextensions.k8s.io")
    kube.api.create(definitions, "", CRD)


def kubectls() -> list[str]:
    """Every kubectl of this machine: the one in use, and others an installation keeps by it."""
    found = shutil.which("kubectl")
    if found is None:
        return []
    siblings = Path(found).resolve().parent.glob("kubectl.1.*")
    return sorted({found, *map(str, siblings)})


@pytest.mark.parametrize("kubectl", kubectls(), ids=lambda path: Path(path).name)
async def test_every_kubectl_applies_twice_and_gets(kubectl: str, tmp_path: Path) -> None:
    async with KubeEmulator([Node("node-a")], directory=tmp_path) as kube:
        add_definition(kube)
        kubeconfig = kube.write_kubeconfig(tmp_path / "kubeconfig")
        manifest = tmp_path / "thing.json"
        manifest.write_text(str(THING).replace("'", '"'))
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}

        async def run(*words: str) -> str:
            process = await asyncio.create_subprocess_exec(
                kubectl,
                f"--kubeconfig={kubeconfig}",
                *words,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment,
            )
            said, _ = await process.communicate()
            assert process.returncode == 0, said.decode()
            return said.decode()

        assert "created" in await run("apply", "-f", str(manifest))
        assert "unchanged" in await run("apply", "-f", str(manifest))
        assert (await run("get", "things")).split()[:3] == ["NAME", "AGE", "t"]
        assert "Ready" in await run("get", "nodes")
        assert "Size" in await run("describe", "thing", "t")
        await run("delete", "thing", "t")


async def test_the_audit_tells_who_did_what(tmp_path: Path) -> None:
    async with KubeEmulator(directory=tmp_path) as kube:
        add_definition(kube)
        token = kube.token_for("default", "writer")
        path = f"/apis/{GROUP}/v1/namespaces/default/things"
        kube.audit.clear()
        async with aiohttp.ClientSession(kube.url) as session:
            await session.post(path, json=THING)
            headers = {"Authorization": f"Bearer {token}"}
            await session.delete(f"{path}/t", headers=headers)
            await session.get(path, headers={"Authorization": "Bearer wrong"})
            async with session.get("/sandbox/audit") as response:
                listed = await response.json()
    created, deleted, unknown = list(kube.audit)[:3]
    assert (created.verb, created.code) == ("create", 201)
    assert (deleted.verb, deleted.resource, deleted.name) == ("delete", "things", "t")
    assert (deleted.user, deleted.code) == ("system:serviceaccount:default:writer", 403)
    assert (unknown.verb, unknown.code) == ("list", 401)
    assert [entry["verb"] for entry in listed] == ["create", "delete", "list"]
    assert [entry.verb for entry in kube.audit.writes()] == ["create", "delete"]


async def test_three_hundred_watched_objects_are_comfortable(tmp_path: Path) -> None:
    async with KubeEmulator(directory=tmp_path) as kube:
        add_definition(kube)
        things = kube.api.resource("things", GROUP)
        path = f"/apis/{GROUP}/v1/namespaces/default/things"
        expected = 300
        async with (
            aiohttp.ClientSession(kube.url) as session,
            asyncio.timeout(PATIENCE_SECONDS),
            session.get(path, params={"watch": "1"}) as stream,
        ):
            for number in range(expected):
                body = {"metadata": {"name": f"t{number}"}, "spec": {}}
                kube.api.create(things, "default", body)
            for number in range(expected):
                patch = {"status": {"seen": 1}}
                async with session.patch(
                    f"{path}/t{number}/status",
                    json=patch,
                    headers={"Content-Type": "application/merge-patch+json"},
                ) as response:
                    assert response.status == 200
            lines = [await stream.content.readline() for _ in range(2 * expected)]
        assert sum(b'"MODIFIED"' in line for line in lines) == expected


OPERATOR = f"""
import kopf

@kopf.timer("{GROUP}", "v1", "things", interval=0.2)
async def look(spec, patch, status, **_):
    patch.status["seen"] = status.get("seen", 0) + spec["size"]

@kopf.on.startup()
def configure(settings, **_):
    settings.posting.enabled = False
"""
RULES = [
    {"apiGroups": [GROUP], "resources": ["things"], "verbs": ["get", "list", "watch", "patch"]},
    {"apiGroups": [GROUP], "resources": ["things/status"], "verbs": ["patch"]},
    {
        "apiGroups": ["apiextensions.k8s.io"],
        "resources": ["customresourcedefinitions"],
        "verbs": ["get", "list", "watch"],
    },
    {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list", "watch"]},
]


async def test_a_kopf_operator_runs_as_its_service_account(tmp_path: Path) -> None:
    async with KubeEmulator(directory=tmp_path) as kube:
        add_definition(kube)
        rbac = "rbac.authorization.k8s.io"
        roles = kube.api.resource("clusterroles", rbac)
        kube.api.create(roles, "", {"metadata": {"name": "op"}, "rules": RULES})
        subject = {"kind": "ServiceAccount", "name": "op", "namespace": "default"}
        binding = {
            "metadata": {"name": "op"},
            "roleRef": {"kind": "ClusterRole", "name": "op"},
            "subjects": [subject],
        }
        kube.api.create(kube.api.resource("clusterrolebindings", rbac), "", binding)
        things = kube.api.resource("things", GROUP)
        kube.api.create(things, "default", {"metadata": {"name": "t"}, "spec": {}})
        token = kube.token_for("default", "op")
        kubeconfig = kube.write_kubeconfig(tmp_path / "kubeconfig", token)
        code = tmp_path / "operator.py"
        code.write_text(textwrap.dedent(OPERATOR))
        operator = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "kopf", "run", "--all-namespaces", "--standalone", str(code),
            env={"PATH": os.environ["PATH"], "KUBECONFIG": str(kubeconfig)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            thing = partial(kube.api.get, things, "default", "t")
            await until(lambda: thing().get("status", {}).get("seen", 0) >= 3)
        finally:
            operator.terminate()
            said, _ = await operator.communicate()
        assert b"inconsistencies" not in said, said.decode()
        assert not [entry for entry in kube.audit if entry.code == 403], said.decode()
        user = "system:serviceaccount:default:op"
        assert {entry.verb for entry in kube.audit.writes(user)} == {"patch"}


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_no_pod_outlives_the_emulator(end: signal.Signals, tmp_path: Path) -> None:
    marker = tmp_path / "pid"
    code = f"import os, signal; open({str(marker)!r}, 'w').write(str(os.getpid())); signal.pause()"
    emulator = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "scanpool_sandbox.kube",
        "--directory", str(tmp_path), "--node", "name=node-a,memory=1Gi",
        "--image", f"python={sys.executable}",
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert emulator.stdout is not None
    ready = (await emulator.stdout.readline()).decode()
    url = ready.split()[1]
    pod = {
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "python:3", "args": ["-c", code]}]},
    }
    async with aiohttp.ClientSession(url) as session:
        path = "/api/v1/namespaces/default/pods"
        async with session.post(path, json=pod) as response:
            assert response.status == 201
    await until(lambda: marker.exists() and marker.read_text())
    emulator.send_signal(end)
    assert await emulator.wait() == (-signal.SIGKILL if end is signal.SIGKILL else 0)
    await until(lambda: not _is_alive(int(marker.read_text())))


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
