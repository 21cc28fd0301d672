"""What a closed-loop case asks of scanpool; docs/replay.md tells how it is judged."""

from typing import Annotated

from pydantic import Field

from scanpool_replay.settings import Part, Seconds

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class Bounds(Part):
    """Bounds of one closed-loop case. None is not judged.

    The load's start and every event give the pool `settle_seconds`, in which nothing is judged, and
    where that is more `recover_seconds` until use and scalings are. A restart of the autoscaler
    gives none, because nothing in the world has changed.
    """

    settle_seconds: Seconds = 180.0
    # Where a pool comes back step by step on purpose: after 429s, or once it is paid for again.
    recover_seconds: Seconds = 0.0
    # Rate-limit 429s as a share of the workers' calls.
    most_refused_share: Share = 0.001
    # Use of the limit, as a share, wherever messages wait: or within one replica of the target.
    least_utilization: Share = 0.75
    target_utilization: Share = 0.85
    # Changes of a Deployment's replicas within any five minutes.
    most_scalings: Count = 1
    # What one replica is taken to use, off what it does use, as a share of that.
    most_cost_error: Annotated[float, Field(ge=0)] | None = None
    # Over the whole run: scans that failed, and calls refused for billing reasons.
    most_failed: Count | None = None
    most_quota_refusals: Count | None = None
