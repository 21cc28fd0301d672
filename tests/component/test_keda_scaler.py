"""The external scaler, over gRPC on a port of its own, as KEDA asks it."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from builders import NOW, unseen
from keda_client import KedaClient, scaled_object
from scanpool.decide.permit import Permit
from scanpool.keda.externalscaler_pb2 import IsActiveResponse, MetricSpec, MetricValue
from scanpool.keda.listener import Listener, Tls
from scanpool.keda.permits import Permits
from scanpool.keda.scaler import Scaler
from scanpool.models.conditions import Reason
from scanpool.models.reading import Unavailable
from scanpool_sandbox.processes import free_port
from scanpool_sandbox.tls import Certificates, create_certificates

HOST = "127.0.0.1"
PATIENCE_SECONDS = 30.0
LASTS = 90.0
"""Seconds that a word of a tick counts."""
BUSY, IDLE, CLOSED = (
    Permit(7, would_have_any=True),
    Permit(7, would_have_any=False),
    Permit(0, would_have_any=False),
)
ENFORCES = Unavailable(Reason.SCALING_ENABLED, "the pool scales the target itself")
Code = grpc.StatusCode


class Process:
    """What an operator knows, and whether it leads."""

    def __init__(self, tls: Tls | None = None) -> None:
        self.now, self.leads, self.port = NOW, True, free_port()
        self.permits = Permits(lambda: self.now)
        scaler = Scaler(self.permits, lambda: self.leads)
        self.listener = Listener(scaler, HOST, self.port, tls)

    def tell(self, found: Permit | Unavailable, name: str = "orders") -> None:
        self.permits.tell("shop", name, found, LASTS)

    @property
    def address(self) -> str:
        return f"localhost:{self.port}"


@asynccontextmanager
async def client(
    process: Process, credentials: grpc.ChannelCredentials | None = None
) -> AsyncIterator[KedaClient]:
    channel = (
        grpc.aio.insecure_channel(process.address)
        if credentials is None
        else grpc.aio.secure_channel(process.address, credentials)
    )
    async with channel:
        yield KedaClient(channel)


@asynccontextmanager
async def listening(process: Process) -> AsyncIterator[Process]:
    process.listener.start()
    process.listener.open()
    try:
        yield process
    finally:
        await process.listener.close()


@pytest.fixture
async def process() -> AsyncIterator[Process]:
    async with listening(Process()) as process:
        yield process


@pytest.fixture
async def keda(process: Process) -> AsyncIterator[KedaClient]:
    async with client(process) as made:
        yield made


async def answered(keda: KedaClient, method: str, asked: Any) -> Any:
    """Return the answer, or the code and words of the refusal, as soon as the port is open."""
    options = {"timeout": PATIENCE_SECONDS, "wait_for_ready": True}
    call = keda.metrics if method == "GetMetrics" else lambda *a, **o: keda.call(method, *a, **o)
    try:
        return await call(asked, **options)
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details()


async def heard(stream: Any) -> bool:
    """Return what a stream tells next."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        answer = await stream.read()
    assert isinstance(answer, IsActiveResponse)
    return answer.result


@pytest.mark.parametrize(
    ("asked", "told", "most", "is_active"),
    [
        (scaled_object("shop", "anything", pool="orders"), BUSY, 7, True),
        (scaled_object("shop", "orders"), BUSY, 7, True),
        (scaled_object("shop", "a", pool="orders", namespace="shop"), BUSY, 7, True),
        (scaled_object("shop", "orders"), IDLE, 7, False),
        (scaled_object("shop", "orders"), CLOSED, 0, False),
    ],
)
async def test_a_scaled_object_hears_the_ceiling_of_a_pool_of_its_namespace(
    process: Process, keda: KedaClient, asked: Any, told: Permit, most: int, is_active: bool
) -> None:
    process.tell(told)

    value = MetricValue(metricName="ceiling", metricValue=most, metricValueFloat=most)
    assert list((await answered(keda, "GetMetrics", asked)).metricValues) == [value]
    assert (await answered(keda, "IsActive", asked)).result is is_active


@pytest.mark.parametrize(
    ("asked", "told", "leads", "code", "words"),
    [
        pytest.param(
            scaled_object("shop", "a", pool="other"), BUSY, True, Code.NOT_FOUND,
            "no pool 'shop/other' is known, or its first tick has not ended",
            id="no-such-pool",
        ),
        pytest.param(
            scaled_object("elsewhere", "orders"), BUSY, True, Code.NOT_FOUND,
            "no pool 'elsewhere/orders' is known, or its first tick has not ended",
            id="the-same-name-elsewhere",
        ),
        pytest.param(
            scaled_object("evil", "orders", pool="orders", namespace="shop"), BUSY, True,
            Code.PERMISSION_DENIED,
            "a ScaledObject of 'evil' asks for a pool of 'shop': name one of its namespace",
            id="a-pool-of-another-namespace",
        ),
        pytest.param(
            scaled_object("shop", "orders"), unseen(Reason.LIMIT_UNKNOWN), True, Code.UNAVAILABLE,
            "LimitUnknown: LimitUnknown: look there",
            id="an-unknown-ceiling",
        ),
        pytest.param(
            scaled_object("shop", "orders"), unseen(Reason.KUBERNETES_FORBIDDEN), True,
            Code.UNAVAILABLE, "KubernetesForbidden: KubernetesForbidden: look there",
            id="a-pool-that-cannot-be-decided-on",
        ),
        pytest.param(
            scaled_object("shop", "orders"), ENFORCES, True, Code.FAILED_PRECONDITION,
            "ScalingEnabled: the pool scales the target itself",
            id="a-pool-that-scales-by-itself",
        ),
        pytest.param(
            scaled_object("shop", "orders"), BUSY, False, Code.UNAVAILABLE,
            "this replica of the operator stands by; the one that leads knows",
            id="a-standby",
        ),
        pytest.param(
            scaled_object("shop\n", "orders", pool="p" * 10_000), BUSY, True, Code.NOT_FOUND,
            f"no pool 'shop\\n/{'p' * (253 - 6)}' is known, or its first tick has not ended",
            id="names-that-are-none",
        ),
    ],
)  # fmt: skip
async def test_what_is_not_known_is_an_error_and_never_a_number(
    process: Process, keda: KedaClient, asked: Any, told: Any, leads: bool, code: Code, words: str
) -> None:
    process.tell(told)
    process.leads = leads

    for method in ("GetMetrics", "IsActive"):
        assert await answered(keda, method, asked) == (code, words)


async def test_a_word_that_is_too_old_is_unavailable(process: Process, keda: KedaClient) -> None:
    process.tell(BUSY)
    process.now += LASTS

    code, words = await answered(keda, "GetMetrics", scaled_object("shop", "orders"))

    assert code is Code.UNAVAILABLE
    assert words.startswith("TicksStuck: ")


async def test_the_metric_is_told_whatever_is_known(process: Process, keda: KedaClient) -> None:
    """KEDA makes no HPA without it."""
    process.tell(unseen())
    ours = MetricSpec(metricName="ceiling", targetSize=1, targetSizeFloat=1)
    for asked in (scaled_object("shop", "orders"), scaled_object("shop", "other")):
        assert list((await answered(keda, "GetMetricSpec", asked)).metricSpecs) == [ours]

    theirs = scaled_object("evil", "orders", namespace="shop")
    assert (await answered(keda, "GetMetricSpec", theirs))[0] is Code.PERMISSION_DENIED


async def test_there_is_no_other_metric(process: Process, keda: KedaClient) -> None:
    process.tell(BUSY)
    options = {"timeout": PATIENCE_SECONDS, "wait_for_ready": True}

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await keda.metrics(scaled_object("shop", "orders"), "s0-queue", **options)

    assert refused.value.code() is Code.INVALID_ARGUMENT
    assert refused.value.details() == "there is no metric 's0-queue', only ceiling"


async def test_a_stream_tells_each_change_once_and_nothing_that_is_unknown(
    process: Process, keda: KedaClient
) -> None:
    process.tell(unseen())
    stream = keda.call("StreamIsActive", scaled_object("shop", "orders"), wait_for_ready=True)
    next_one = asyncio.create_task(heard(stream))

    # Once another call is answered, so is what came before it.
    await answered(keda, "IsActive", scaled_object("shop", "orders"))
    assert not next_one.done()
    process.tell(IDLE)
    assert await next_one is False

    next_one = asyncio.create_task(heard(stream))
    for same in (CLOSED, unseen(), IDLE):
        process.tell(same)
        await answered(keda, "IsActive", scaled_object("shop", "orders"))
        assert not next_one.done()
    process.tell(BUSY)
    assert await next_one is True

    process.permits.forget("shop", "orders")
    with pytest.raises(grpc.aio.AioRpcError) as over:
        await heard(stream)
    assert over.value.code() is Code.NOT_FOUND


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (scaled_object("shop", "other"), Code.NOT_FOUND),
        (scaled_object("evil", "orders", namespace="shop"), Code.PERMISSION_DENIED),
    ],
)
async def test_a_stream_of_what_is_nobodys_to_hear_ends(
    process: Process, keda: KedaClient, asked: Any, code: Code
) -> None:
    process.tell(BUSY)

    stream = keda.call("StreamIsActive", asked, wait_for_ready=True)

    with pytest.raises(grpc.aio.AioRpcError) as over:
        await heard(stream)
    assert over.value.code() is code


def is_open(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex((HOST, port)) == 0


async def until(condition: Any) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


async def test_only_the_process_that_leads_is_there_to_connect_to() -> None:
    process = Process()
    process.tell(BUSY)
    process.listener.start()
    try:
        assert not is_open(process.port)
        process.listener.open()
        async with client(process) as connected:
            asked = scaled_object("shop", "orders")
            assert (await answered(connected, "IsActive", asked)).result is True
            stream = connected.call("StreamIsActive", asked)
            assert await heard(stream) is True

            process.listener.shut()
            with pytest.raises(grpc.aio.AioRpcError) as over:
                await heard(stream)
            assert over.value.code() is Code.UNAVAILABLE
            await until(lambda: not is_open(process.port))

            process.listener.open()
            assert (await answered(connected, "IsActive", asked)).result is True
    finally:
        await process.listener.close()
    await until(lambda: not is_open(process.port))


async def test_a_port_that_is_taken_is_told_at_the_start() -> None:
    process = Process()
    with socket.create_server((HOST, process.port)), pytest.raises(OSError, match="in use"):
        process.listener.start()


async def test_a_port_that_was_taken_meanwhile_is_tried_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scanpool.keda.listener.TRY_AGAIN_SECONDS", 0.01)
    process = Process()
    process.tell(BUSY)
    process.listener.start()
    try:
        with socket.create_server((HOST, process.port)):
            process.listener.open()
            await until(lambda: f"KEDA cannot be answered on port {process.port}" in caplog.text)
        async with client(process) as keda:
            asked = scaled_object("shop", "orders")
            assert (await answered(keda, "IsActive", asked)).result is True
    finally:
        await process.listener.close()


# --- TLS ---


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Certificates]:
    return create_certificates(tmp_path_factory.mktemp("tls"))


def directory(into: Path, certificates: Certificates) -> Path:
    """Write a Secret of type kubernetes.io/tls as a volume has it."""
    into.mkdir(exist_ok=True)
    shutil.copy(certificates.server_certificate, into / "tls.crt")
    shutil.copy(certificates.server_key, into / "tls.key")
    return into


def trusting(certificates: Certificates, *, with_client: bool = False) -> grpc.ChannelCredentials:
    own = (
        (certificates.client_key.read_bytes(), certificates.client_certificate.read_bytes())
        if with_client
        else (None, None)
    )
    return grpc.ssl_channel_credentials(certificates.authority.read_bytes(), *own)


async def answers(process: Process, credentials: grpc.ChannelCredentials | None) -> bool:
    """Whether a new connection is answered; one that is refused is so at once."""
    async with client(process, credentials) as keda:
        try:
            asked = scaled_object("shop", "orders")
            answer = await keda.call("IsActive", asked, timeout=PATIENCE_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() is not Code.UNAVAILABLE:
                raise
            return False
        assert isinstance(answer, IsActiveResponse)
        return answer.result


async def test_by_tls_only_where_it_is_asked_for(
    certificates: Certificates, tmp_path: Path
) -> None:
    async with listening(Process(Tls(directory(tmp_path / "tls", certificates)))) as process:
        process.tell(BUSY)
        await until(lambda: is_open(process.port))

        assert await answers(process, trusting(certificates))
        assert not await answers(process, None)


async def test_only_clients_of_the_authority_may_ask(
    certificates: Certificates, tmp_path: Path
) -> None:
    tls = Tls(directory(tmp_path / "tls", certificates), certificates.authority)
    async with listening(Process(tls)) as process:
        process.tell(BUSY)
        await until(lambda: is_open(process.port))

        assert await answers(process, trusting(certificates, with_client=True))
        assert not await answers(process, trusting(certificates))


async def test_a_certificate_that_was_replaced_is_shown_to_the_next_who_connects(
    certificates: Certificates, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    there = directory(tmp_path / "tls", certificates)
    async with listening(Process(Tls(there))) as process:
        process.tell(BUSY)
        await until(lambda: is_open(process.port))
        assert await answers(process, trusting(certificates))

        others = create_certificates(tmp_path / "others")
        directory(there, others)
        assert await answers(process, trusting(others))
        assert not await answers(process, trusting(certificates))

        (there / "tls.key").unlink()
        assert await answers(process, trusting(others))
        assert "The certificate for KEDA cannot be read, the last one stays" in caplog.text


async def test_a_certificate_that_is_not_there_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"tls\.key"):
        Process(Tls(tmp_path)).listener.start()
