"""The chat worker: `celery --app=scanpool_sandbox.workers.chat worker --pool=gevent`.

Its settings are those of the scan worker.
"""

from functools import cache

from celery.signals import worker_ready

from scanpool_sandbox.pipeline import CHAT, CHATS, Result
from scanpool_sandbox.workers import metrics  # noqa: F401 - it listens for the worker's start
from scanpool_sandbox.workers.app import declare_all, new_pipeline_app
from scanpool_sandbox.workers.calls import Calls
from scanpool_sandbox.workers.task import CallingTask

app = new_pipeline_app(CHATS)


@worker_ready.connect  # type: ignore[untyped-decorator]
def _declare(**_: object) -> None:
    declare_all(app, CHATS)


@cache
def _calls() -> Calls:
    # Made in the worker, not where the module is only imported: it needs the key.
    return Calls(CHATS.consumer)


class ChatTask(CallingTask):
    """An answer to what somebody wrote."""

    pipeline = CHATS


@app.task(name=CHAT.queue, base=ChatTask, bind=True)  # type: ignore[untyped-decorator]
def process(self: ChatTask, message_id: str) -> None:
    """Answer, and report that it is done."""
    self.attempt(lambda: _calls().answer(CHAT.tokens))
    self.report(Result(message_id, "completed"))
