"""Faults of the LLM provider: each code, each status, and answers that are none."""

from faults.case import Case, Step
from faults.gateway import Fault
from faults.injected import (
    answers,
    changes_headers,
    cuts,
    explodes,
    floods,
    is_late,
    redirects,
    refuses,
    trickles,
)
from faults.world import Part, World
from scanpool.decide.assess.gaps import PASSING
from scanpool.models.conditions import Reason

LIMIT, REMAINING = "x_ratelimit_limit_tokens", "x_ratelimit_remaining_tokens"


def does(fault: Fault) -> Step:
    return lambda w, name: w.inject(name, "provider", fault)


def is_itself(w: World, name: str) -> None:
    w.mend(name, "provider")


def case(name: str, injects: str, fault: Fault, reason: Reason | str, **more: object) -> Case:
    """Return a case in which the provider tells nothing: the pool keeps what it has.

    What may pass by itself is no failure of the pool for as long as its use is measured.
    """
    usual: dict[str, object] = {"replicas": 3, "reason": str(reason)}
    if reason in PASSING:
        usual |= {"tells": "MetricsAvailable=False", "has_event": False}
    return Case(
        f"provider-{name}",
        Part.PROVIDER,
        injects,
        does(fault),
        is_itself,
        **(usual | more),  # type: ignore[arg-type]
    )


def told(name: str, injects: str, fault: Fault, replicas: int, **more: object) -> Case:
    """Return a case in which the provider tells something that the pool acts on."""
    return case(name, injects, fault, "", replicas=replicas, tells="", is_known=True, **more)


def billing(code: str, status: int = 429, **error: object) -> Case:
    words = f"{status}, code `{code}`" if code else f"{status}"
    return case(
        f"billing-{code or status}".replace("_", "-"),
        f"{words}: nobody pays",
        refuses(status, code=code or None, **error),
        Reason.QUOTA_EXHAUSTED,
        replicas=1,
        tells="QuotaExhausted=True",
        is_known=True,
    )


def limits(name: str, injects: str, **headers: str | None) -> Case:
    """Return a case in which the limits cannot be read: those of before are remembered."""
    return case(
        name, injects, changes_headers(**headers), "", tells="", note="limits are remembered"
    )


UNREACHABLE, AUTHENTICATION = Reason.PROVIDER_UNREACHABLE, Reason.PROVIDER_AUTHENTICATION_FAILED

CASES = (
    case("400", "status 400", refuses(400, code="bad"), Reason.PROVIDER_ERROR),
    case("401", "status 401", refuses(401, code="invalid_api_key"), AUTHENTICATION),
    case("403", "status 403", refuses(403, code="forbidden"), AUTHENTICATION),
    case("404", "status 404", refuses(404, code="model_not_found"), Reason.MODEL_NOT_FOUND),
    case("408", "status 408", answers(408), Reason.PROVIDER_ERROR),
    case("500", "status 500", answers(500), UNREACHABLE),
    case("502", "status 502 with a page", answers(502, "<html>bad gateway</html>"), UNREACHABLE),
    case("503", "503, code `server_is_overloaded`",
         refuses(503, code="server_is_overloaded"), UNREACHABLE),
    case("504", "status 504", answers(504), UNREACHABLE),
    case("529", "529, type `overloaded_error`", refuses(529, type="overloaded_error"), UNREACHABLE),
    case("error-of-200", "200 with an error for a body",
         refuses(200, code="internal_error"), UNREACHABLE),
    case("not-json", "200 with a page for a body, and no headers",
         answers(200, "<html>welcome</html>"), "", tells="", note="limits are remembered"),
    case("redirect", "a redirect to another server", redirects("http://127.0.0.1:9/elsewhere"),
         Reason.PROVIDER_ERROR),
    case("reset", "a reset in the middle of a body", cuts(), UNREACHABLE),
    case("flood", "a body of 2 GB", floods(), UNREACHABLE),
    case("bomb", "a body of 1 MB that unpacks to 1 GB", explodes(), UNREACHABLE),
    case("bomb-in-bomb", "a body of 4 kB that unpacks to 1 GB, twice packed",
         explodes(2), UNREACHABLE),
    case("late", "an answer after 12 s", is_late(12.0), UNREACHABLE),
    case("trickle", "an answer of a byte a second that never ends", trickles(), UNREACHABLE),
    billing("insufficient_quota"),
    billing("credit_balance_exhausted"),
    billing("project_spend_limit_exceeded"),
    billing("organization_usage_limit_exceeded"),
    billing("", status=402, type="billing"),
    told("slow-down", "429, code `slow_down`", refuses(429, code="slow_down"), 3),
    told("limit-lowered", "the limit lowered to 1 M TPM",
         changes_headers(**{LIMIT: "1000000", REMAINING: "1000000"}), 1),
    told("limit-raised", "the limit raised to 10 M TPM",
         changes_headers(**{LIMIT: "10000000", REMAINING: "10000000"}), 5, most=17),
    limits("no-headers", "no headers of limits", **{LIMIT: None, REMAINING: None}),
    limits("limit-zero", "a limit of 0", **{LIMIT: "0", REMAINING: "0"}),
    limits("limit-negative", "a limit of -1", **{LIMIT: "-1", REMAINING: "-1"}),
    limits("limit-absurd", "a limit of 9.2e18",
           **{LIMIT: "9223372036854775807", REMAINING: "9223372036854775807"}),
    limits("limit-text", "a limit that is no number", **{LIMIT: "a lot", REMAINING: "a lot"}),
)  # fmt: skip
