"""The scan worker: `celery --app=scanpool_sandbox.workers.scan worker --pool=gevent`.

Settings from the environment: CELERY_BROKER_URL, OPENAI_API_KEY, OPENAI_BASE_URL (with /v1),
OPENAI_MODEL, and for metrics OTEL_EXPORTER_PROMETHEUS_PORT.
"""

import time
from functools import cache

from celery.signals import worker_ready

from scanpool_sandbox.pipeline import ANSWER, CONSUMER, REWARD, RULE, SCANS, VISION, Result
from scanpool_sandbox.workers import metrics  # noqa: F401 - it listens for the worker's start
from scanpool_sandbox.workers.app import declare_all, new_pipeline_app
from scanpool_sandbox.workers.calls import Calls
from scanpool_sandbox.workers.task import CallingTask

OWN_WORK_SECONDS = 0.05
"""Of the steps that call no LLM; measured are 0.03 to 0.5 s."""

app = new_pipeline_app(SCANS)


@worker_ready.connect  # type: ignore[untyped-decorator]
def _declare(**_: object) -> None:
    declare_all(app, SCANS)


@cache
def _calls() -> Calls:
    # Made in the worker, not where the module is only imported: it needs the key.
    return Calls(CONSUMER)


class ScanTask(CallingTask):
    """A step of a scan."""

    pipeline = SCANS


@app.task(name=VISION.queue, base=ScanTask, bind=True)  # type: ignore[untyped-decorator]
def vision(self: ScanTask, scan_id: str) -> None:
    """See what is in the picture."""
    del scan_id
    self.attempt(lambda: _calls().see(VISION.tokens))


@app.task(name=RULE.queue, base=ScanTask)  # type: ignore[untyped-decorator]
def rule(scan_id: str) -> None:
    """Look up what applies to it; no LLM is asked."""
    del scan_id
    time.sleep(OWN_WORK_SECONDS)


@app.task(name=ANSWER.queue, base=ScanTask, bind=True)  # type: ignore[untyped-decorator]
def answer(self: ScanTask, scan_id: str) -> None:
    """Put it into words."""
    del scan_id
    self.attempt(lambda: _calls().answer(ANSWER.tokens))


@app.task(name=REWARD.queue, base=ScanTask, bind=True)  # type: ignore[untyped-decorator]
def reward(self: ScanTask, scan_id: str) -> None:
    """Credit the user, and report the scan as completed."""
    time.sleep(OWN_WORK_SECONDS)
    self.report(Result(scan_id, "completed"))
