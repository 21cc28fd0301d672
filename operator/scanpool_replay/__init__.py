"""A discrete-event simulation of the scan pipeline, to replay load tests under any autoscaler.

It may import `scanpool` (the real decision) and the sandbox's limiter; neither imports it.
"""
