"""A pipeline as a Celery application: what workers consume, and what users submit."""

from celery import Celery, Signature, chain
from kombu import Connection, Exchange, Queue

from scanpool_sandbox.pipeline import Pipeline
from scanpool_sandbox.workers.broker import WorkQueue, new_app


def new_pipeline_app(pipeline: Pipeline, broker_url: str | None = None) -> Celery:
    """Return the application of the workers, or of those who submit to a broker.

    Args:
        pipeline: whose queues.
        broker_url: CELERY_BROKER_URL by default.

    """
    work = [WorkQueue(step.queue, step.ttl_ms) for step in pipeline.steps]
    return new_app(pipeline.name, work, pipeline.dead_letter_exchange, broker_url=broker_url)


def task(app: Celery, pipeline: Pipeline, task_id: str) -> Signature:
    """Return the tasks of one scan or chat, each of which submits the next when it is done."""
    return chain(
        *(app.signature(step.queue, (task_id,), immutable=True) for step in pipeline.steps)
    )


def results(pipeline: Pipeline) -> Queue:
    """Return the queue of the outcomes."""
    return Queue(pipeline.results, Exchange(""), routing_key=pipeline.results)


def declare(app: Celery, pipeline: Pipeline, connection: Connection) -> None:
    """Declare all queues, with the dead-letter exchange.

    Raises:
        connection.connection_errors: at once if the broker is not there.

    """
    dead = Queue(pipeline.dead_letters, Exchange(pipeline.dead_letter_exchange, "fanout"))
    connection.connect()
    with connection.channel() as channel:
        for queue in (dead, results(pipeline), *app.amqp.queues.values()):
            queue(channel).declare()


def declare_all(app: Celery, pipeline: Pipeline) -> None:
    """Declare them by a connection of one's own."""
    with app.connection_for_write() as connection:
        declare(app, pipeline, connection)
