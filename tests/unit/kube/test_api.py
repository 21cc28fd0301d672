import gc
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager
from pathlib import Path

import pytest

from kube_stub import Answer, kube_stub, use_kubeconfig
from scanpool.kube.api import KubeApi

PODS = "/api/v1/pods"
PAGE_BYTES = 4_000_000


@contextmanager
def nothing_collected() -> Iterator[None]:
    gc.disable()
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()
        gc.enable()


async def test_a_page_that_is_done_with_waits_for_no_collection_of_garbage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is one in minutes only."""
    with kube_stub() as stub, ThreadPoolExecutor(1) as executor:
        use_kubeconfig(monkeypatch, tmp_path, stub.url)
        stub.gets(PODS, Answer(b'{"items": [], "more": "' + b"x" * PAGE_BYTES + b'"}'))
        async with aclosing(KubeApi(executor, 1)) as api:
            await api.page(PODS, {})
            with nothing_collected():
                page = await api.page(PODS, {})
                assert isinstance(page, dict)
                assert len(page["more"]) == PAGE_BYTES
                del page
                assert tracemalloc.get_traced_memory()[0] < PAGE_BYTES / 2
