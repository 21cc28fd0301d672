"""A task that calls the provider: its retries, its end, and what it does while its worker stops."""

import threading
from collections.abc import Callable
from typing import Any

import openai
from celery import Task
from celery.exceptions import Reject
from celery.signals import worker_shutting_down
from kombu.exceptions import OperationalError

from scanpool_sandbox.pipeline import Pipeline, Result
from scanpool_sandbox.workers.calls import code_of

RETRIES = 2
FIRST_DELAY_SECONDS = 1
"""Doubled for the second retry. Around each try are the SDK's own two."""

_stopping = threading.Event()


@worker_shutting_down.connect  # type: ignore[untyped-decorator]
def _note_stop(**_: object) -> None:
    _stopping.set()


class CallFailedError(Exception):
    """A call brought no answer, for all of the SDK's retries; the text is the provider's code.

    Celery hands errors on pickled, and those of the SDK lose all but their text by that.
    """


class CallingTask(Task):  # type: ignore[misc]
    """Tries up to three times. One that fails while the worker stops goes back to its queue.

    One that fails for good is reported: nothing is lost. `pipeline` is whose task it is.
    """

    pipeline: Pipeline
    autoretry_for = (CallFailedError,)
    max_retries = RETRIES
    retry_backoff = FIRST_DELAY_SECONDS
    retry_jitter = False
    throws = (CallFailedError,)
    """Known to happen: told without a traceback."""

    def attempt(self, call: Callable[[], None]) -> None:
        """Make a call.

        Raises:
            CallFailedError: for Celery to try again.
            Reject: if the worker is stopping: whoever gets the message next has all its retries.

        """
        try:
            call()
        except openai.OpenAIError as error:
            if _stopping.is_set():
                raise Reject(str(error), requeue=True) from error
            raise CallFailedError(code_of(error)) from error

    def on_failure(
        self, exc: Exception, task_id: str, args: tuple[str], kwargs: dict[str, Any], einfo: object
    ) -> None:
        """Report a failure, with the step and the provider's code."""
        del task_id, kwargs, einfo
        self.report(Result(args[0], "failed", f"{self.name}: {exc}"))

    def report(self, result: Result) -> None:
        """Publish an outcome; the broker has it when this returns.

        Raises:
            Reject: if the broker stays away: the task has not failed, and is done again.

        """
        try:
            with self.app.producer_or_acquire() as producer:
                producer.publish(
                    result.encode(),
                    exchange="",
                    routing_key=self.pipeline.results,
                    content_type="application/json",
                    content_encoding="utf-8",
                    delivery_mode="persistent",
                    retry=True,
                    retry_policy=dict[str, Any](self.app.conf.task_publish_retry_policy),
                )
        except OperationalError as error:
            raise Reject(str(error), requeue=True) from error
