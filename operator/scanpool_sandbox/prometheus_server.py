"""A private Prometheus: the real server, with its data and configuration in one directory."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import httpx

from scanpool_sandbox.processes import ChildProcess, StartError, free_port

START_SECONDS = 60.0


class PrometheusServer:
    """A Prometheus that scrapes the given targets.

    Args:
        directory: an existing directory for all its files; the caller removes it.
        targets: job name to its `host:port` addresses; each is scraped at /metrics.
        scrape_interval_seconds: whole seconds between scrapes.
        remote_read: URLs of further stores to ask with every query.
        discovery: job name to the URL that lists its targets, which is asked with every scrape.

    Use as a context manager, or call `start` and `stop`; both block.

    """

    def __init__(
        self,
        directory: Path,
        targets: Mapping[str, Sequence[str]],
        *,
        scrape_interval_seconds: int = 1,
        remote_read: Sequence[str] = (),
        discovery: Mapping[str, str] | None = None,
    ) -> None:
        self._directory = directory
        self._targets = targets
        self._interval = f"{scrape_interval_seconds}s"
        self._remote_read = remote_read
        self._discovery = discovery or {}
        self._port = free_port()
        self._process: ChildProcess | None = None

    @property
    def url(self) -> str:
        """http://host:port of its API."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> Self:
        """Start it and return once it answers queries.

        Raises:
            StartError: if prometheus is not installed or does not come up.

        """
        command = shutil.which("prometheus")
        if command is None:
            message = "prometheus is not installed (on Debian: apt-get install prometheus)"
            raise StartError(message)
        configuration = self._directory / "prometheus.yml"
        # JSON is YAML.
        configuration.write_text(json.dumps(self._configuration(), indent=2))
        self._process = ChildProcess(
            [
                command,
                f"--config.file={configuration}",
                f"--storage.tsdb.path={self._directory / 'data'}",
                f"--web.listen-address=127.0.0.1:{self._port}",
                "--log.level=warn",
            ],
            log_path=self._directory / "prometheus.log",
        )
        try:
            self._process.wait_until_ready(self._is_ready, timeout_seconds=START_SECONDS)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop it. A later `start` finds the same data."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _configuration(self) -> dict[str, object]:
        return {
            "global": {
                "scrape_interval": self._interval,
                "scrape_timeout": self._interval,
                "evaluation_interval": self._interval,
            },
            "remote_read": [{"url": url, "read_recent": True} for url in self._remote_read],
            "scrape_configs": [
                *(
                    {"job_name": job, "static_configs": [{"targets": list(addresses)}]}
                    for job, addresses in self._targets.items()
                ),
                *(
                    {
                        "job_name": job,
                        "http_sd_configs": [{"url": url, "refresh_interval": self._interval}],
                    }
                    for job, url in self._discovery.items()
                ),
            ],
        }

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready", trust_env=False).is_success
        except httpx.TransportError:
            return False
