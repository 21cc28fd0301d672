"""The pipeline as a Celery application: what workers consume, and what users submit."""

from celery import Celery, Signature, chain
from kombu import Connection, Exchange, Queue

from scanpool_sandbox.pipeline import (
    DEAD_LETTER_EXCHANGE,
    DEAD_LETTER_QUEUE,
    RESULTS_QUEUE,
    STEPS,
)
from scanpool_sandbox.workers.broker import WorkQueue, new_app

RESULTS = Queue(RESULTS_QUEUE, Exchange(""), routing_key=RESULTS_QUEUE)
DEAD_LETTERS = Queue(DEAD_LETTER_QUEUE, Exchange(DEAD_LETTER_EXCHANGE, "fanout"))


def new_scan_app(broker_url: str | None = None) -> Celery:
    """Return the application of the workers, or of those who submit to a broker.

    Args:
        broker_url: CELERY_BROKER_URL by default.

    """
    work = [WorkQueue(step.queue, step.ttl_ms) for step in STEPS]
    return new_app("scan", work, DEAD_LETTER_EXCHANGE, broker_url=broker_url)


def scan(app: Celery, scan_id: str) -> Signature:
    """Return a scan's four tasks, each of which submits the next when it is done."""
    return chain(*(app.signature(step.queue, (scan_id,), immutable=True) for step in STEPS))


def declare(app: Celery, connection: Connection) -> None:
    """Declare all queues, with the dead-letter exchange.

    Raises:
        connection.connection_errors: at once if the broker is not there.

    """
    connection.connect()
    with connection.channel() as channel:
        for queue in (DEAD_LETTERS, RESULTS, *app.amqp.queues.values()):
            queue(channel).declare()
