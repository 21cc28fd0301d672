"""The account of the shards as a ConfigMap, on the API's emulator."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from scanpool.kube.accounts import Accounts
from scanpool.kube.api import KubeApi
from scanpool.models.conditions import Reason
from scanpool.models.reading import Unavailable
from scanpool_sandbox.kube import KubeEmulator


@pytest.fixture
async def accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Accounts]:
    async with KubeEmulator() as kube:
        path = str(kube.write_kubeconfig(tmp_path / "kubeconfig"))
        monkeypatch.setattr("kubernetes.config.KUBE_CONFIG_DEFAULT_LOCATION", path)
        monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", path)
        with ThreadPoolExecutor(1) as executor, closing(KubeApi(executor, 1)) as api:
            yield Accounts(api)


async def test_it_is_made_once_and_each_writes_its_own_entry(accounts: Accounts) -> None:
    assert await accounts.read() is None
    assert await accounts.create({"salt": "0123"}) is None
    late = await accounts.create({"salt": "4567"})
    assert isinstance(late, Unavailable)
    assert late.reason is Reason.SCALE_CONFLICT

    assert await accounts.change("scanpool-a", "one") is None
    assert await accounts.change("scanpool-b", "two") is None

    assert await accounts.read() == {"salt": "0123", "scanpool-a": "one", "scanpool-b": "two"}
