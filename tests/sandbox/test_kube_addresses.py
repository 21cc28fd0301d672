"""Pods of the emulator at addresses of their own, where a real Prometheus finds them by its API."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import httpx

from sandbox.waiting import until
from scanpool_sandbox.kube import KubeEmulator, Node
from scanpool_sandbox.kube.serve.scraping import METRICS_PORT
from scanpool_sandbox.prometheus_server import PrometheusServer

SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Type", "text/plain"); self.end_headers()
        self.wfile.write(b"answer 42\\n")
http.server.HTTPServer((os.environ["POD_IP"], 9464), Handler).serve_forever()
"""


def pod(name: str, port_name: str) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": "python",
        "args": ["-c", SERVER],
        "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "ports": [{"name": port_name, "containerPort": 9464}],
    }
    return {"metadata": {"name": name}, "spec": {"containers": [container]}}


async def test_prometheus_finds_pods_by_their_port_of_metrics(tmp_path: Path) -> None:
    images = {"python": [sys.executable]}
    async with KubeEmulator([Node("node-a")], images=images, directory=tmp_path) as emulator:
        pods = emulator.api.resource("pods")
        for name, port_name in (("a", METRICS_PORT), ("b", METRICS_PORT), ("c", "web")):
            emulator.api.create(pods, "default", pod(name, port_name))
        server = PrometheusServer(
            tmp_path, {}, discovery={"pods": f"{emulator.url}/sandbox/scrape"}
        )
        try:
            await asyncio.to_thread(server.start)
            async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:

                async def answers() -> list[tuple[str, str]]:
                    answer = await http.get("/api/v1/query", params={"query": "answer"})
                    labels = [one["metric"] for one in answer.json()["data"]["result"]]
                    return sorted((one["namespace"], one["pod"]) for one in labels)

                async def has_both() -> bool:
                    return len(await answers()) == 2

                await until(has_both)
                assert await answers() == [("default", "a"), ("default", "b")]
        finally:
            await asyncio.to_thread(server.stop)
        ips = {emulator.api.find(pods, "default", name)["status"]["podIP"] for name in "abc"}
        assert len(ips) == 3
