"""The bench's own hands and eyes in the cluster: it creates, watches and deletes."""

import asyncio
import json
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Self

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

from scanpool_sandbox.bench.objects import LABEL, Name, Obj

AT_ONCE = 16
"""Requests."""
RETRY_SECONDS = 1.0
DEPLOYMENTS = "/apis/apps/v1"
POOLS = "/apis/scan.eco2.io/v1alpha1"


class Bystander:
    """Sees every change of the bench's Deployments and pools as soon as it is made."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.replicas: dict[Name, int] = {}
        """What each Deployment asks for."""
        self.scaled_at: dict[Name, float] = {}
        """When that last changed, in seconds that never go back."""
        self.ready: set[Name] = set()
        """Deployments whose pods were all ready once."""
        self.decided: set[Name] = set()
        """Pools that show a decision."""
        self._seen = asyncio.Condition()

    async def __aenter__(self) -> Self:
        """Begin to look."""
        self._http = ClientSession(
            self._url, timeout=ClientTimeout(total=None), connector=TCPConnector(limit=0)
        )
        self._tasks = [
            asyncio.create_task(self._watch(f"{DEPLOYMENTS}/deployments", self._deployment)),
            asyncio.create_task(self._watch(f"{POOLS}/scanworkerpools", self._pool)),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop looking."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.close()

    async def create(self, path: str, objects: Iterable[Obj]) -> None:
        """Create objects, some at once; raises RuntimeError for what is refused."""
        waiting = asyncio.Semaphore(AT_ONCE)

        async def create(obj: Obj) -> None:
            async with waiting, self._http.post(path, json=obj) as answer:
                if answer.status != HTTPStatus.CREATED:
                    message = f"POST {path}: {answer.status} {await answer.text()}"
                    raise RuntimeError(message)

        await asyncio.gather(*(create(obj) for obj in objects))

    async def delete(self, path: str) -> None:
        """Delete an object."""
        async with self._http.delete(path) as answer:
            await answer.read()

    async def until(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Wait until something holds of what is seen; False if it does not in time."""
        try:
            async with asyncio.timeout(seconds), self._seen:
                await self._seen.wait_for(holds)
        except TimeoutError:
            return False
        return True

    async def _watch(self, path: str, note: Callable[[Name, Obj], None]) -> None:
        while True:
            try:
                await self._follow(path, note)
            except (ClientError, OSError):
                await asyncio.sleep(RETRY_SECONDS)

    async def _follow(self, path: str, note: Callable[[Name, Obj], None]) -> None:
        query = {"watch": "true", "labelSelector": LABEL}
        async with self._http.get(path, params=query) as answer:
            rest = b""
            async for chunk in answer.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for event in map(json.loads, lines):
                    if event["type"] == "ERROR":
                        # What a server says last of a watch that it does not keep up.
                        return
                    obj = event["object"]
                    metadata = obj["metadata"]
                    note(Name(metadata["namespace"], metadata["name"]), obj)
                async with self._seen:
                    self._seen.notify_all()

    def _deployment(self, name: Name, obj: Obj) -> None:
        replicas = obj["spec"]["replicas"]
        if self.replicas.get(name) != replicas:
            self.replicas[name] = replicas
            self.scaled_at[name] = time.monotonic()
        if obj.get("status", {}).get("readyReplicas", 0) == replicas:
            self.ready.add(name)

    def _pool(self, name: Name, obj: Obj) -> None:
        if obj.get("status", {}).get("desiredReplicas") is not None:
            self.decided.add(name)
