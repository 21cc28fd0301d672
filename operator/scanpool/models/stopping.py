"""How a replica is stopped: what its pod template says of it, and how pods were seen to end."""

from dataclasses import dataclass

DEFAULT_GRACE_SECONDS = 30
"""terminationGracePeriodSeconds where a pod names none (core/v1)."""


@dataclass(frozen=True, slots=True)
class Stopping:
    """How the worker of a pod is stopped.

    `grace_seconds` is what it has from the moment that it is told to go, of which a preStop that
    only sleeps takes `slept_seconds`. `shell` is what may stay in front of the worker, in which
    `container`, and not hand SIGTERM on to it; None where nothing does for all that is known.
    """

    grace_seconds: float = DEFAULT_GRACE_SECONDS
    slept_seconds: float = 0.0
    container: str = ""
    shell: str | None = None

    @property
    def left_seconds(self) -> float:
        """What a worker has from SIGTERM until SIGKILL."""
        return max(self.grace_seconds - self.slept_seconds, 0.0)


@dataclass(frozen=True, slots=True)
class Ended:
    """A pod that was told to go, and has gone: killed as its grace ended, or by itself before."""

    pod: str
    at: float
    was_killed: bool
    stopping: Stopping
