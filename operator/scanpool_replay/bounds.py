"""What a closed-loop case asks of scanpool; docs/replay.md tells how it is judged."""

from typing import Annotated

from pydantic import Field

from scanpool_replay.settings import Part, Seconds

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
# More than this is too many wherever the limit lies.
MOST_SCALINGS = 4


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
    # Where the limit feeds less than a replica: instead, no more than so many fixed replicas meet
    # with the same seed.
    refused_as_replicas: Count | None = None
    # Use of what flowed in, as a share, wherever messages wait and the provider is paid.
    least_utilization: Share = 0.97
    # Changes of a Deployment's replicas within any five minutes. Only where the limit feeds less
    # than two and a half replicas is the bucket too small for two.
    most_scalings: Annotated[int, Field(ge=0, le=MOST_SCALINGS)] = 2
    # And within any ten, where the limit feeds nearly a whole number.
    most_scalings_in_ten_minutes: Count | None = None
    # What one replica is taken to use, off what it does use, as a share of that.
    most_cost_error: Annotated[float, Field(ge=0)] | None = None
    # Of what the highest class of pools leaves of the limit, the share that lower ones get.
    least_of_left: Share | None = None
    # How long the highest class is kept at a token ceiling at most, without a break.
    most_wait_seconds: Seconds | None = None
    # Of the day's budget in money, the share that is spent at the end; never more than all of it.
    least_of_budget: Share | None = None
    # Replicas that are ready when the load starts, under a schedule that knows of it.
    least_ready_at_start: Count | None = None
    # Over the whole run: scans that failed, and calls refused for billing reasons.
    most_failed: Count = 0
    most_quota_refusals: Count | None = None
