"""One pod: its containers started, probed, restarted and stopped, its status kept true.

What a process of a pod finds in its environment, apart from what the pod's spec says:

- `PATH`, `LANG` and `TZ` of the emulator, `HOME` and the working directory set to the pod's own
  directory, `HOSTNAME` set to the pod's name;
- `PORT_<containerPort>` for each declared container port: all pods share 127.0.0.1, so each gets
  a free port for each port it declares, and listens there. `$(PORT_8080)` works in args, and
  probes go to the port so chosen. An undeclared port is what it says. What listens at the pod's
  own address (`status.podIP`) may do so at the very port that it declares;
- `KUBECONFIG`, the path of a file with a token of the pod's ServiceAccount, if that exists. It
  stands for the in-cluster configuration.

Volumes are not mounted.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING

from scanpool_sandbox.kube.controllers.events import emit
from scanpool_sandbox.kube.kubelet.addresses import pod_ip
from scanpool_sandbox.kube.kubelet.containers import (
    KILLED_EXIT_CODE,
    Run,
    SimulatedRun,
    free_port,
    start_process,
)
from scanpool_sandbox.kube.kubelet.environment import ConfigError, build_environment, command_line
from scanpool_sandbox.kube.kubelet.images import Image, Images, Program, find_image
from scanpool_sandbox.kube.kubelet.probes import watch_probe
from scanpool_sandbox.kube.kubelet.states import ContainerState, pod_status
from scanpool_sandbox.kube.objects import Obj, name_of, namespace_of
from scanpool_sandbox.kube.quantities import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scanpool_sandbox.kube.api import Api
    from scanpool_sandbox.kube.kubelet.processes import Usage

FIRST_BACKOFF_SECONDS = 1.0
MAX_BACKOFF_SECONDS = 300.0
"""The kubelet starts at 10 s; a sandbox has less patience. The cap is the kubelet's."""
CONFIG_RETRY_SECONDS = 1.0
MEMORY_CHECK_SECONDS = 0.5
_INHERITED = ("PATH", "LANG", "TZ")
_COMPONENT = "kubelet"


class PodWorker:
    """Runs one pod from its binding to its end."""

    def __init__(
        self,
        api: Api,
        pod: Obj,
        images: Images,
        directory: Path,
        kubeconfig: Callable[[Obj, Path], Path | None],
    ) -> None:
        self._api = api
        self._resource = api.resource("pods")
        self._pod = pod
        self._images = images
        self._directory = directory
        self._kubeconfig = kubeconfig
        self._specs: list[Obj] = pod["spec"]["containers"]
        self._states = {c["name"]: ContainerState(c["name"], c["image"]) for c in self._specs}
        self._runs: dict[str, Run] = {}
        self._told: dict[str, asyncio.Event] = {}
        self._ports: dict[int, int] = {}
        self._stopping = False
        self._oom_killed: set[str] = set()

    async def run(self) -> None:
        """Run all containers until they are done for good; cancelling kills them."""
        self._directory.mkdir(parents=True, exist_ok=True)
        for container in self._specs:
            for port in container.get("ports") or []:
                self._ports[port["containerPort"]] = free_port()
        try:
            async with asyncio.TaskGroup() as group:
                for container in self._specs:
                    group.create_task(self._run_container(container))
        finally:
            self.kill()
            await asyncio.gather(*(run.wait() for run in self._runs.values()))
            for told in self._told.values():
                told.set()

    async def stop(self, grace_seconds: float) -> None:
        """Ask all containers to stop, kill what has not in time, and tell how each ended."""
        self._stopping = True
        runs = list(self._runs.values())
        for run in runs:
            run.ask_to_stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                await asyncio.gather(*(run.wait() for run in runs))
        for run in runs:
            run.kill()
        # The kubelet deletes no pod before its status tells that its containers have ended.
        await asyncio.gather(*(told.wait() for told in self._told.values()))

    def kill(self) -> None:
        """Kill all containers now."""
        self._stopping = True
        for run in self._runs.values():
            run.kill()

    def usage(self) -> dict[str, Usage]:
        """Measure each running container."""
        return {
            name: run.usage()
            for name, run in self._runs.items()
            if "running" in self._states[name].state
        }

    def log_path(self, container: str) -> Path:
        """Return where a container's output goes."""
        return self._directory / f"{container}.log"

    def _publish(self) -> None:
        pod = self._api.store.get(self._resource.key, namespace_of(self._pod), name_of(self._pod))
        if pod is None or pod["metadata"]["uid"] != self._pod["metadata"]["uid"]:
            return
        states = [self._states[container["name"]] for container in self._specs]
        status = pod_status(
            pod.get("status") or {}, states, pod["spec"]["restartPolicy"], pod_ip(pod)
        )
        self._api.set_status(self._resource, pod, status)

    def _event(self, kind: str, reason: str, message: str) -> None:
        emit(self._api, self._pod, kind, reason, message, _COMPONENT)

    async def _run_container(self, container: Obj) -> None:
        state = self._states[container["name"]]
        backoff = FIRST_BACKOFF_SECONDS
        while not self._stopping:
            image = find_image(self._images, container["image"])
            run = await self._start(container, state, image) if image else None
            if image is None:
                await self._wait_for_image(container, state)
            if run is None:
                await asyncio.sleep(CONFIG_RETRY_SECONDS)
                continue
            code = await self._watch(container, state, run)
            oom = container["name"] in self._oom_killed
            self._oom_killed.discard(container["name"])
            state.end(
                KILLED_EXIT_CODE if oom else code,
                "OOMKilled" if oom else ("Error" if code else "Completed"),
            )
            self._publish()
            self._told[container["name"]].set()
            policy = self._pod["spec"]["restartPolicy"]
            if self._stopping or policy == "Never" or (policy == "OnFailure" and code == 0):
                return
            state.begin_restart()
            message = f"back-off {backoff:g}s restarting failed container={container['name']}"
            if state.restarts > 1:
                state.wait("CrashLoopBackOff", message)
                self._publish()
                self._event("Warning", "BackOff", message)
                await asyncio.sleep(backoff)
                backoff = min(2 * backoff, MAX_BACKOFF_SECONDS)

    async def _wait_for_image(self, container: Obj, state: ContainerState) -> None:
        reference = container["image"]
        message = f'failed to pull image "{reference}": not in the sandbox\'s images'
        if state.state.get("waiting", {}).get("reason") == "ErrImagePull":
            state.wait("ImagePullBackOff", f'Back-off pulling image "{reference}"')
        elif state.state.get("waiting", {}).get("reason") != "ImagePullBackOff":
            state.wait("ErrImagePull", message)
            self._event("Warning", "Failed", message)
        self._publish()

    async def _start(self, container: Obj, state: ContainerState, image: Image) -> Run | None:
        name = container["name"]
        run: Run
        try:
            environment = self._environment(container)
            if isinstance(image, Program):
                log = self.log_path(name)
                argv = command_line(image.argv, container, environment)
                run = await start_process(argv, environment, self._directory, log, self._local_port)
            else:
                run = SimulatedRun(image, name)
        except ConfigError as error:
            if state.state.get("waiting", {}).get("reason") != "CreateContainerConfigError":
                self._event("Warning", "Failed", f"Error: {error}")
            state.wait("CreateContainerConfigError", str(error))
            self._publish()
            return None
        except OSError as error:
            state.wait("CreateContainerError", str(error))
            self._publish()
            return None
        self._runs[name] = run
        self._told[name] = asyncio.Event()
        state.run(run.container_id)
        self._publish()
        self._event("Normal", "Started", f"Started container {name}")
        return run

    def _environment(self, container: Obj) -> dict[str, str]:
        base = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        base.update(HOME=str(self._directory), HOSTNAME=name_of(self._pod))
        base.update({f"PORT_{port}": str(local) for port, local in self._ports.items()})
        kubeconfig = self._kubeconfig(self._pod, self._directory)
        if kubeconfig is not None:
            base["KUBECONFIG"] = str(kubeconfig)
        return build_environment(self._api.store, self._pod, container, base)

    async def _watch(self, container: Obj, state: ContainerState, run: Run) -> int:
        """Probe and measure a run until it ends; returns its exit code."""
        tasks = [
            asyncio.create_task(self._probe(container, state, run)),
            asyncio.create_task(self._enforce_memory_limit(container, run)),
        ]
        try:
            return await run.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _probe(self, container: Obj, state: ContainerState, run: Run) -> None:
        await run.wait_started()
        if "startupProbe" in container:
            begun = asyncio.Event()

            def on_startup(succeeded: bool) -> None:
                if succeeded:
                    begun.set()
                else:
                    self._restart(run, container, "Startup")

            startup = asyncio.create_task(
                watch_probe(container["startupProbe"], run.probe, on_startup)
            )
            try:
                await begun.wait()
            finally:
                startup.cancel()
        state.started = True

        def on_readiness(ready: bool) -> None:
            if state.ready is not ready:
                state.ready = ready
                self._publish()

        def on_liveness(alive: bool) -> None:
            if not alive:
                self._restart(run, container, "Liveness")

        async with asyncio.TaskGroup() as group:
            if "readinessProbe" in container:
                probe = container["readinessProbe"]
                group.create_task(watch_probe(probe, run.probe, on_readiness))
                self._publish()
            else:
                on_readiness(True)
            if "livenessProbe" in container:
                probe = container["livenessProbe"]
                group.create_task(watch_probe(probe, run.probe, on_liveness))

    def _restart(self, run: Run, container: Obj, which: str) -> None:
        message = f"{which} probe failed; container {container['name']} will be restarted"
        self._event("Warning", "Unhealthy", message)
        run.kill()

    def _local_port(self, port: int | str) -> int:
        if isinstance(port, str):
            named = (
                declared["containerPort"]
                for container in self._specs
                for declared in container.get("ports") or []
                if declared.get("name") == port
            )
            port = next(named, 0)
        return self._ports.get(port, port)

    async def _enforce_memory_limit(self, container: Obj, run: Run) -> None:
        limits = (container.get("resources") or {}).get("limits") or {}
        if "memory" not in limits:
            return
        limit = parse_quantity(limits["memory"])
        while True:
            await asyncio.sleep(MEMORY_CHECK_SECONDS)
            if run.usage().memory_bytes > limit:
                self._oom_killed.add(container["name"])
                run.kill()
                return
