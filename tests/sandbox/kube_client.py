"""The API server as an administrator sees it: by raw requests and by kubectl."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import httpx

Obj = dict[str, Any]

ROOT = Path(__file__).parents[2]
KUBECTL_SECONDS = 120.0
MERGE = "application/merge-patch+json"


class KubeClient:
    """Raises on every answer that is not a success, except where a 404 is an answer."""

    def __init__(self, http: httpx.Client, kubeconfig: Path, kubectl_cache: Path) -> None:
        self._http = http
        self._kubectl_cache = kubectl_cache
        self.kubeconfig = kubeconfig

    def close(self) -> None:
        self._http.close()

    def get(self, path: str) -> Obj:
        return dict(self._http.get(path).raise_for_status().json())

    def find(self, path: str) -> Obj | None:
        """An object, or None if there is none."""
        answer = self._http.get(path)
        return None if answer.status_code == httpx.codes.NOT_FOUND else self.get(path)

    def post(self, path: str, body: Obj) -> Obj:
        return dict(self._http.post(path, json=body).raise_for_status().json())

    def patch(self, path: str, patch: Obj) -> Obj:
        answer = self._http.patch(
            path, content=json.dumps(patch), headers={"Content-Type": MERGE}
        ).raise_for_status()
        return dict(answer.json())

    def delete(self, path: str) -> None:
        self._http.delete(path).raise_for_status()

    def kubectl(self, *words: str, stdin: str = "") -> str:
        """What kubectl prints; it must succeed."""
        done = subprocess.run(
            ["kubectl", f"--cache-dir={self._kubectl_cache}", *words],
            cwd=ROOT,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=KUBECTL_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stdout}"
        return done.stdout
