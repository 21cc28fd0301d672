"""What the presets find of the exporters of the field, in a real Prometheus."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from scanpool.models.limit_names import limit_names
from scanpool.models.llm import Prometheus
from scanpool.models.observation import KeyUsage
from scanpool.models.reading import Available
from scanpool.sources.prometheus import read_usage
from scanpool.sources.prometheus_session import Credentials
from scanpool_sandbox.prometheus_server import PrometheusServer

WINDOW_SECONDS = 10
SEEN_WITHIN_SECONDS = 60
# Rates are taken of seconds, in which a scrape comes some milliseconds early or late.
NEARLY = 0.05

USAGE = "gen_ai_client_token_usage"
IN, OUT = {"gen_ai_token_type": "input"}, {"gen_ai_token_type": "output"}


@dataclass
class Series:
    """A counter of one of the two targets, which grows by so much a minute.

    In its labels MODEL stands for the model of the case, which no other case has.
    """

    name: str
    labels: dict[str, str]
    per_minute: float
    target: str = "a"


def otel(
    name: str, per_minute: float, target: str = "a", kind: str = "input", **models: str
) -> Series:
    labels = {f"gen_ai_{which}_model": model for which, model in models.items()}
    return Series(name, {**labels, "gen_ai_token_type": kind}, per_minute, target)


def litellm(name: str, per_minute: float, target: str = "a", **labels: str) -> Series:
    return Series(f"litellm_{name}", labels, per_minute, target)


@dataclass
class Case:
    """What exporters show, whose limit is asked for, and what of it counts."""

    series: list[Series]
    tokens: float
    provider: str = "openai"
    preset: str = "otel-genai"
    shared_with: tuple[str, ...] = ()
    figures: dict[str, float | None] = field(default_factory=dict)


def alone(name: str) -> Case:
    return Case([otel(name, 900_000, request="MODEL")], 900_000)


def beside(name: str) -> Case:
    """The issue's: another exporter writes the unit otherwise."""
    others = otel(f"{USAGE}_sum", 90_000, request="MODEL")
    return Case([others, otel(name, 900_000, "b", request="MODEL")], 990_000)


def twice(name: str) -> Case:
    """One exporter writes the same under two names."""
    first = otel(f"{USAGE}_sum", 90_000, request="MODEL")
    return Case([first, otel(name, 90_000, request="MODEL")], 90_000)


def called(words: str, tokens: float, *kinds: str) -> dict[str, Case]:
    """Return cases of Anthropic with one more kind of token, by what an exporter calls it."""
    return {
        f"{words} {kind}": Case(
            [
                otel(f"{USAGE}_sum", 400_000, request="MODEL"),
                otel(f"{USAGE}_sum", 300_000, kind=kind, request="MODEL"),
            ],
            tokens,
            "anthropic",
        )
        for kind in kinds
    }


def cached(provider: str, kind: str, reads: float, writes: float, tokens: float) -> Case:
    read, write = kind, kind.replace("cached", "cache_creation").replace("read", "creation")
    return Case(
        [
            otel(f"{USAGE}_sum", 400_000, request="MODEL"),
            otel(f"{USAGE}_sum", 60_000, kind="output", request="MODEL"),
            otel(f"{USAGE}_sum", reads, kind=read, request="MODEL"),
            otel(f"{USAGE}_sum", writes, kind=write, request="MODEL"),
            otel(f"{USAGE}_sum", 5_000, kind="reasoning", request="MODEL"),
        ],
        tokens,
        provider,
        figures={"output_tokens_per_minute": 60_000},
    )


ALIAS_AND_TWO_DEPLOYMENTS = [
    litellm("total_tokens_metric_total", 300_000, model="MODEL-a", requested_model="MODEL"),
    litellm("total_tokens_metric_total", 200_000, model="MODEL-b", requested_model="MODEL"),
    litellm("output_tokens_metric_total", 20_000, model="MODEL-b", requested_model="MODEL"),
    litellm("total_tokens_metric_total", 7_000, model="MODEL-c", requested_model="MODEL-c"),
    Series(
        "litellm_deployment_failure_responses_total",
        {"litellm_model_name": "MODEL-a", "requested_model": "MODEL", "exception_status": "429"},
        60,
    ),
]


def litellm_cached(provider: str, tokens: float, *names: str) -> Case:
    total = litellm("total_tokens_metric_total", 500_000, model="MODEL", requested_model="MODEL")
    reads = [litellm(name, 300_000, model="MODEL") for name in names]
    return Case([total, *reads], tokens, provider, "litellm")


CASES = {
    **{
        f"{kind.__name__} {end}": kind(f"{USAGE}{end}")
        for kind in (alone, beside, twice)
        for end in (
            "_token_sum", "_tokens_sum", "_total", "_token_total", "_tokens_total",
        )
    },
    "counts in every unit": Case(
        [
            otel(f"{USAGE}_sum", 1_000, request="MODEL"),
            otel(f"{USAGE}_count", 60, request="MODEL"),
            otel(f"{USAGE}_token_count", 120, "b", request="MODEL"),
            otel(f"{USAGE}_tokens_count", 120, "b", request="MODEL"),
            otel(f"{USAGE}_tokens_count", 600, "b", "output", request="MODEL"),
        ],
        1_000,
        figures={"requests_per_minute": 180},
    ),
    "a counter of tokens and a timer of calls": Case(
        [
            otel(f"{USAGE}_total", 500, request="MODEL", response="MODEL"),
            otel(f"{USAGE}_total", 100, kind="output", request="MODEL", response="MODEL"),
            otel(f"{USAGE}_total", 600, kind="total", request="MODEL", response="MODEL"),
            Series("gen_ai_client_operation_seconds_count", {"gen_ai_request_model": "MODEL"}, 60),
            otel(f"{USAGE}_sum", 70, "b", request="MODEL"),
            otel(f"{USAGE}_count", 30, "b", request="MODEL"),
        ],
        670,
        figures={"requests_per_minute": 90, "output_tokens_per_minute": 100},
    ),
    "a response model only": Case([otel(f"{USAGE}_sum", 800, response="MODEL")], 800),
    "a response model only, of a snapshot and another unit": Case(
        [otel(f"{USAGE}_token_sum", 800, response="MODEL-2025-12-11")], 800
    ),
    "a request model that says nothing": Case(
        [otel(f"{USAGE}_sum", 800, request="unknown", response="MODEL")], 800
    ),
    "both models, once": Case(
        [
            otel(f"{USAGE}_sum", 800, request="MODEL", response="MODEL-2025-12-11"),
            otel(f"{USAGE}_sum", 8, "b", request="MODEL"),
            otel(f"{USAGE}_sum", 80, "b", response="MODEL"),
        ],
        888,
    ),
    "an alias and its snapshots": Case(
        [
            otel(f"{USAGE}_sum", 100, request="MODEL"),
            otel(f"{USAGE}_sum", 1_500, request="MODEL-2025-12-11"),
            otel(f"{USAGE}_sum", 20_000, request="MODEL-20250929"),
            otel(f"{USAGE}_sum", 300_000, request="MODEL-latest"),
            otel(f"{USAGE}_sum", 4_000_000, request="MODEL-mini"),
            otel(f"{USAGE}_sum", 5_000_000, request="MODEL-mini-2025-12-11"),
            otel(f"{USAGE}_sum", 6_000_000, request="xMODEL"),
        ],
        321_600,
    ),
    "deployments of Azure": Case(
        [
            otel(f"{USAGE}_sum", 100, request="MODEL"),
            otel(f"{USAGE}_sum", 1_500, request="MODEL-2025-12-11"),
        ],
        100,
        "azure-openai",
    ),
    "a family that shares a limit": Case(
        [
            otel(f"{USAGE}_sum", 100, request="MODEL"),
            otel(f"{USAGE}_sum", 1_500, request="MODEL-mini-2025-12-11"),
            otel(f"{USAGE}_sum", 20_000, request="MODELx(+"),
            otel(f"{USAGE}_sum", 300_000, request="MODELx"),
        ],
        21_600,
        shared_with=("MODEL-mini", "MODELx(+"),
    ),
    "cache reads among the input, which Anthropic does not count": cached(
        "anthropic", "cached_input", 300_000, 50_000, 160_000
    ),
    "cache reads by another name": cached("anthropic", "cache_read", 300_000, 50_000, 160_000),
    "cache reads by a third name": cached(
        "anthropic", "cache_read_input", 300_000, 50_000, 160_000
    ),
    **called(
        "cache reads called", 100_000,
        "cached_tokens", "input_cached", "input.cached", "input.cache_read", "prompt_cached",
        "cacheRead", "CacheRead", "cache-read", "cache_hit", "input_token_cached",
    ),
    **called(
        "no cache reads, but", 400_000,
        "cache_creation", "cacheCreation", "input.cache_write", "cache_miss", "uncached_input",
        "input_non_cached", "not-cached", "total",
    ),
    "cache reads beside the input": cached("anthropic", "cache_read", 1_600_000, 50_000, 510_000),
    "cache reads among the input, which OpenAI counts": cached(
        "openai", "cached_input", 300_000, 50_000, 460_000
    ),
    "cache reads beside the input, which OpenAI counts": cached(
        "openai", "cache_read", 1_600_000, 50_000, 2_110_000
    ),
    "an exporter each": Case(
        [
            otel(f"{USAGE}_sum", 1_000_000, request="MODEL"),
            otel(f"{USAGE}_sum", 50_000, "b", request="MODEL"),
            otel(f"{USAGE}_sum", 900_000, "b", "cache_read", request="MODEL"),
        ],
        1_050_000,
        "anthropic",
    ),
    "LiteLLM's alias of two deployments": Case(
        ALIAS_AND_TWO_DEPLOYMENTS,
        500_000,
        preset="litellm",
        figures={"output_tokens_per_minute": 20_000, "rate_limited_per_minute": 60},
    ),
    "LiteLLM's deployment behind an alias": Case(
        [
            litellm("total_tokens_metric", 300, model="MODEL", requested_model="chat"),
            litellm("total_tokens_metric", 50, model="MODEL", requested_model="MODEL"),
            litellm("total_tokens_metric", 4, "b", model="MODEL-2025-12-11"),
            litellm("total_tokens_metric", 9_000, model="o4", requested_model="chat"),
            litellm("requests_metric", 60, model="MODEL"),
        ],
        354,
        preset="litellm",
        figures={"requests_per_minute": 60},
    ),
    "LiteLLM's cache reads": litellm_cached(
        "anthropic", 200_000, "input_cached_tokens_metric_total"
    ),
    "LiteLLM's cache reads, in two generations": litellm_cached(
        "anthropic",
        200_000,
        "input_cached_tokens_metric_total",
        "provider_cache_read_input_tokens_metric_total",
    ),
    "LiteLLM's cache reads of OpenAI": litellm_cached(
        "openai", 500_000, "input_cached_tokens_metric_total"
    ),
    "LiteLLM's own cache": litellm_cached("anthropic", 500_000, "cached_tokens_metric_total"),
    "Kong": Case(
        [
            Series("kong_ai_llm_tokens_total", {"ai_model": "MODEL", "token_type": kind}, each)
            for kind, each in (("prompt_tokens", 500), ("completion_tokens", 100),
                               ("total_tokens", 600))
        ],
        600,
        preset="kong",
        figures={"output_tokens_per_minute": 100},
    ),
}  # fmt: skip
MODELS = {name: f"gpt-{number}.x" for number, name in enumerate(CASES)}


def exposed(target: str, elapsed_seconds: float) -> Iterator[str]:
    yield f"seconds {elapsed_seconds}\n"
    for name, case in CASES.items():
        for one in case.series:
            if one.target == target:
                labels = ",".join(
                    f'{label}="{text.replace("MODEL", MODELS[name])}"'
                    for label, text in one.labels.items()
                )
                yield f"{one.name}{{{labels}}} {one.per_minute * elapsed_seconds / 60}\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scraping(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PrometheusServer]:
    """Two exporters with the series of all cases, and a Prometheus that scrapes them."""
    started = time.monotonic()

    def exporter(target: str) -> web.Application:
        async def metrics(_: web.Request) -> web.Response:
            return web.Response(text="".join(exposed(target, time.monotonic() - started)))

        app = web.Application()
        app.router.add_get("/metrics", metrics)
        return app

    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(TestServer(exporter(t))) for t in ("a", "b")]
        addresses = {f"job{one.port}": [f"127.0.0.1:{one.port}"] for one in servers}
        server = PrometheusServer(tmp_path_factory.mktemp("prometheus"), addresses)
        await asyncio.to_thread(server.start)
        stack.callback(server.stop)
        await whole_window(server)
        yield server


async def whole_window(server: PrometheusServer) -> None:
    """Wait until samples fill the window: before that a rate comes up through any number."""
    query = f"min(count_over_time(seconds[{WINDOW_SECONDS}s]))"
    config, names = Prometheus(url=server.url, query=query), limit_names("openai", "any")
    samples = 0.0
    async with asyncio.timeout(SEEN_WITHIN_SECONDS):
        while samples < WINDOW_SECONDS:
            reading = await asyncio.to_thread(
                read_usage, config, names, WINDOW_SECONDS, Credentials(), clock=time.time
            )
            if isinstance(reading, Available):
                samples = reading.value.tokens_per_minute
            await asyncio.sleep(0.2)


async def read(server: PrometheusServer, name: str) -> KeyUsage | None:
    case, model = CASES[name], MODELS[name]
    config = Prometheus.model_validate({"url": server.url, "preset": case.preset})
    shared_with = [one.replace("MODEL", model) for one in case.shared_with]
    limit = limit_names(case.provider, model, shared_with)
    reading = await asyncio.to_thread(
        read_usage, config, limit, WINDOW_SECONDS, Credentials(), clock=time.time
    )
    return reading.value if isinstance(reading, Available) else None


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", CASES)
async def test_what_counts_against_the_limit(scraping: PrometheusServer, name: str) -> None:
    case = CASES[name]
    expected = {"tokens_per_minute": case.tokens} | case.figures
    usage = None
    try:
        async with asyncio.timeout(SEEN_WITHIN_SECONDS):
            while usage is None or not all(
                getattr(usage, figure) == pytest.approx(value, rel=NEARLY)
                for figure, value in expected.items()
            ):
                usage = await read(scraping, name)
                await asyncio.sleep(0.2)
    except TimeoutError:
        pytest.fail(f"{usage} is not {expected}")
