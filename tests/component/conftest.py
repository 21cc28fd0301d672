"""`start_worker(amqp_url, provider)` starts a real scan worker until the test ends."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from celery_worker import StartWorker


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[StartWorker]:
    with ExitStack() as stack:
        yield StartWorker(tmp_path, stack)
