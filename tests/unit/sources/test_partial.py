import json

import pytest

from prometheus_stub import NOW, data, serving, vector
from scanpool.models.conditions import Reason
from scanpool.models.limit_names import limit_names
from scanpool.models.llm import Prometheus
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.sources.partial import missing_part
from scanpool.sources.prometheus import read_usage
from scanpool.sources.prometheus_session import Credentials

COUNTER = (
    "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "
    '"litellm_total_tokens_metric" (1:10)'
)
QUANTILE = (
    "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io) "
    'for metric name "x" (1:3)'
)
AWAY = "No StoreAPIs matched for this query"
RECEIVE = (
    "receive series from Addr: 10.0.0.7:10901 LabelSets: {replica=\"0\"}: rpc error: "
    "code = Unavailable desc = connection refused"
)  # fmt: skip

PARTIAL = [
    {"warnings": [RECEIVE]},
    {"warnings": [AWAY]},
    {"warnings": ["fetch series for {tenant=\"a\"} : context deadline exceeded"]},
    {"warnings": ["results truncated due to limit"]},
    {"warnings": ["m3db exceeded query limit: results not exhaustive"]},
    {"warnings": [f"PromQL info: {COUNTER}", RECEIVE]},
    {"warnings": [f"store 10.0.0.7 is away, and PromQL info: {COUNTER}"]},
    {"warnings": [""]},
    {"warnings": "a store is away"},
    {"warnings": {"store": "away"}},
    {"warnings": [None]},
    {"isPartial": True},
    {"isPartial": "true"},
    {"partial": True},
    {"partialResponse": True},
    {"isPartial": True, "warnings": [], "infos": []},
]  # fmt: skip
WHOLE: list[dict[str, object]] = [
    {},
    {"warnings": None, "isPartial": None},
    {"warnings": [], "isPartial": False},
    {"isPartial": "false", "partial": False},
    {"infos": [f"PromQL info: {COUNTER}"]},
    {"infos": ["anything"]},
    {"warnings": [f"PromQL info: {COUNTER}"]},
    {"warnings": [f"PromQL info: {QUANTILE}", "PromQL warning: bucket label \"le\" is missing"]},
    {"warnings": ["PromQL warning: encountered a mix of histograms and floats for \"x\" (1:1)"]},
    {"warnings": ["PromQL warning: a remark of a version to come"]},
    {"warnings": [COUNTER]},
    {"warnings": [QUANTILE]},
    {"warnings": ["quantile value should be between 0 and 1, got 95 (1:1)"]},
]  # fmt: skip


def named(answer: dict[str, object]) -> str:
    return json.dumps(answer)[:50]


@pytest.mark.parametrize("told", PARTIAL, ids=named)
def test_a_part_is_missing(told: dict[str, object]) -> None:
    assert missing_part(told) is not None


@pytest.mark.parametrize("told", WHOLE, ids=named)
def test_remarks_on_the_query_are_harmless(told: dict[str, object]) -> None:
    assert missing_part(told) is None


@pytest.mark.parametrize("told", [{"isPartial": True}, {"warnings": [AWAY]}], ids=named)
def test_it_may_be_told_beside_the_result(told: dict[str, object]) -> None:
    assert missing_part({"status": "success", "data": {"result": [], **told}}) is not None


def read(answer: str, told: dict[str, object], **config: object) -> Reading[object]:
    """Read use where the answer to the query `asked` has something told in it."""
    remarked = json.dumps(json.loads(answer) | told)
    with serving(lambda q: (200, remarked if q == "asked" else vector("5"))) as server:
        given = Prometheus.model_validate({"url": server.url, **config})
        limit = limit_names("openai", "gpt-5.2")
        return read_usage(given, limit, 60, Credentials(), clock=lambda: NOW)


@pytest.mark.parametrize(
    ("answer", "config"),
    [
        (vector("5"), {"query": "asked"}),
        (vector(), {"query": "asked"}),
        # Nothing found of refused calls would be a known zero.
        (vector(), {"query": "tokens", "rateLimitedQuery": "asked"}),
    ],
)
@pytest.mark.parametrize("told", PARTIAL, ids=named)
def test_a_partial_answer_is_no_reading(
    told: dict[str, object], answer: str, config: dict[str, object]
) -> None:
    reading = read(answer, told, **config)
    assert isinstance(reading, Unavailable)
    assert reading.reason is Reason.USAGE_PARTIAL
    assert "only in part" in reading.message
    assert len(reading.message) < 600
    assert reading.message.isprintable()


@pytest.mark.parametrize("body", [vector("5"), data([NOW, "5"])])
@pytest.mark.parametrize("told", WHOLE, ids=named)
def test_a_whole_answer_with_remarks_is_a_reading(told: dict[str, object], body: str) -> None:
    assert isinstance(read(body, told, query="asked"), Available)


def test_the_message_says_which_store_is_away() -> None:
    reading = read(vector("5"), {"warnings": [RECEIVE]}, query="asked")
    assert isinstance(reading, Unavailable)
    assert "10.0.0.7:10901" in reading.message
