"""Faults of the Prometheus that counts the use of the key: unknown use is no room."""

import json
from dataclasses import replace
from functools import partial
from typing import Any

from faults.case import Case, behind
from faults.injected import (
    answers,
    cuts,
    explodes,
    floods,
    is_late,
    redirects,
    rewrites,
    trickles,
)
from faults.world import Part, World
from scanpool.models.conditions import Reason
from steady_worker import QUEUE

case = partial(behind, Part.PROMETHEUS)

EMPTY = json.dumps({"status": "success", "data": {"resultType": "vector", "result": []}})
TEXT = json.dumps({"status": "success", "data": {"resultType": "string", "result": [0, "zero"]}})
VALUE = r'"0"\]'
TIME = r'"value":\[[0-9.]+'


def at_the_one_to_kill(w: World, name: str) -> dict[str, Any]:
    spec = w.spec(name)
    spec["llm"]["usage"]["prometheus"]["url"] = w.killable.url
    return spec


def with_work(w: World, name: str) -> dict[str, Any]:
    spec = w.spec(name)
    spec["rabbitmq"]["queues"].append({"name": QUEUE})
    return spec


UNREACHABLE, FAILED = Reason.PROMETHEUS_UNREACHABLE, Reason.PROMETHEUS_QUERY_FAILED
IMPLAUSIBLE = Reason.USAGE_IMPLAUSIBLE

CASES = (
    Case(
        "prometheus-down",
        Part.PROMETHEUS,
        "killed, and started again",
        lambda w, _: w.killable.stop(),
        lambda w, _: w.killable.start(),
        3,
        reason=str(UNREACHABLE),
        spec=at_the_one_to_kill,
        prepare=lambda w, _: w.killable.start(),
    ),
    case("slow", "an answer after 8 s", is_late(8.0), UNREACHABLE),
    case("401", "status 401", answers(401), FAILED),
    case("500", "status 500", answers(500), FAILED),
    case("503", "status 503 with a page", answers(503, "<html>away</html>"), FAILED),
    case("page", "200 with a page for a body", answers(200, "<html>log in</html>"), FAILED),
    case("redirect", "a redirect to another server", redirects("http://127.0.0.1:9/"), FAILED),
    case("reset", "a reset in the middle of a body", cuts(), UNREACHABLE),
    case("trickle", "an answer of a byte a second that never ends", trickles(), UNREACHABLE),
    case("flood", "a body of 2 GB", floods(), FAILED),
    case("bomb", "a body of 1 MB that unpacks to 1 GB", explodes(), FAILED),
    replace(
        # Where nothing has been worked off there is nothing to miss.
        case("empty", "an answer without any series, beside workers that work",
             answers(200, EMPTY), Reason.USAGE_NOT_FOUND),
        spec=with_work, prepare=lambda w, _: w.work(),
    ),
    case("text", "an answer that is no number", answers(200, TEXT), IMPLAUSIBLE),
    case("nan", "NaN", rewrites(VALUE, '"NaN"]'), IMPLAUSIBLE),
    case("infinite", "+Inf", rewrites(VALUE, '"+Inf"]'), IMPLAUSIBLE),
    case("negative", "a use below zero", rewrites(VALUE, '"-1"]'), IMPLAUSIBLE),
    case("absurd", "a use of 1e300", rewrites(VALUE, '"1e300"]'), IMPLAUSIBLE),
    case("stale", "an answer that a cache has kept for a day",
         rewrites(TIME, '"value":[1000000000.0'), IMPLAUSIBLE),
)  # fmt: skip
