"""What a refused call's code means, whoever reports it: a probe or the workers' exporter.

The code decides, not the status: gateways hand another provider's refusal on with a status of their
own. A code may stand among other words, as in `429 insufficient_quota`.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

BILLING_CODES: Final = frozenset(
    {
        # OpenAI
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_usage_limit_exceeded",
        "billing_not_active",
        "billing_hard_limit_reached",
        # Anthropic
        "billing_error",
        "enforced_spend_limit_reached",
        # Moonshot, DashScope, Volcengine
        "exceeded_current_quota_error",
        "arrearage",
        "accountoverdueerror",
        # Moonshot's for a plan that is used up; OpenAI's for an account that is closed
        "access_terminated",
        "access_terminated_error",
        "account_deactivated",
        # Groq's spend limit; AWS's and Stripe's for what cannot be charged
        "blocked_api_access",
        "invalid_payment_instrument",
        "card_declined",
        # gateways: LiteLLM, one-api and those made of it, Google's in front of Gemini
        "budget_exceeded",
        "exceededtokenbudget",
        "insufficient_user_quota",
        "insufficient_balance",
        "insufficient_credits",
        "insufficient_funds",
        "payment_required",
        "billing_disabled",
        "freetieronly",
    }
)
"""Only a payment or a higher budget ends these. In lower case."""
BILLING_SUFFIX: Final = "_spend_limit_exceeded"
"""OpenAI has one for each kind of budget: organization, project, and so on."""

SLOW_DOWN: Final = "slow_down"
"""OpenAI's refusal of traffic that grew too fast inside the limit: by 429 or 503, but not at the
limit."""

# Codes that are not listed are told by the words that they are made of.
DEBT: Final = frozenset({"arrearage", "arrears", "overdue", "unpaid"})
PAYING: Final = frozenset({"billing", "payment", "prepayment"})
PAID_UNTIL: Final = frozenset({"subscription", "trial"})
ENDED: Final = frozenset(
    {
        *("expired", "ended", "inactive", "canceled", "cancelled"),
        *("suspended", "disabled", "terminated", "lapsed", "exhausted"),
    }
)
FREE_TIER: Final = frozenset({"free", "tier"})
MONEY: Final = frozenset(
    {"credit", "credits", "balance", "fund", "funds", "budget", "spend", "spending"}
)
GONE: Final = frozenset(
    {
        *("insufficient", "exceeded", "exceed", "reached", "exhausted", "depleted"),
        *("low", "limit", "over", "required", "empty", "negative"),
        *("out", "no", "enough"),
    }
)
NO_REFUSAL: Final = frozenset({"details", "page", "link", "url", "method"})
"""With these, billing and payment are what a sentence points to: `billing_details`."""
NO_MONEY: Final = frozenset({"token", "tokens", "thinking", "reasoning", "retry", "load"})
"""A budget of these, or their balance, is not money: `retry_budget_exceeded` is Envoy's."""

LIMIT_NAMES: Final = ("ratelimit", "toomanyrequests", "throttl", "resourceexhausted")
"""In a code's letters: rate_limit_exceeded, openai.RateLimitError, RateLimitReached,
throttling_error, Google's RESOURCE_EXHAUSTED and so on."""
OVERLOAD_NAMES: Final = ("overloaded", "serverbusy", "serviceunavailable", "modelnotready")
"""In a code's letters: server_is_overloaded, overloaded_error, engine_overloaded_error, AWS's
ServiceUnavailableException and ModelNotReadyException."""
UNAVAILABLE: Final = "unavailable"
"""Google's status of an overload, which is the whole code."""

TOKEN: Final = re.compile(r"\w+")
WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
STATUS_402: Final = re.compile(r"\D{0,20}\b402\b")
"""Payment Required, at the beginning: in a sentence 402 may be any figure."""
STATUS_429: Final = re.compile(r"\b429\b")
QUOTA_ID: Final = re.compile(r"\w+Per(?:Day|Minute|Hour|Second)(?![a-z])")
"""Google's name for a quota, such as GenerateRequestsPerDayPerProjectPerModel, or one that ends so:
GenerateContentInputTokensPerModelPerMinute-FreeTier."""
DAY_LIMIT: Final = re.compile(
    r"(?i:per[ _-]?day)(?![a-z])"
    r"|(?i:daily[ _-](?:\w+[ _-])?(?:limit|quota)|(?<![a-z])[rt]pd(?![a-z]))"
)
"""A limit of a day by its name: requests per day, free-models-per-day, RPD, daily_limit_reached."""


class Refusals(NamedTuple):
    """Calls refused with one code, per minute."""

    code: str
    per_minute: float


def is_billing(code: str) -> bool:
    """Return whether a provider's code or type of error means that someone must pay."""
    return STATUS_402.match(code) is not None or any(map(_means_money, TOKEN.findall(code)))


def billing_codes_in(text: str) -> Iterator[str]:
    """Yield the known billing codes in a text that is no code, where other words mean little."""
    return (token for token in TOKEN.findall(text) if _is_known(token))


def is_slow_down(code: str) -> bool:
    """Return whether a code says that traffic grew too fast, with or without words around it."""
    return any(_letters(token).startswith("slowdown") for token in TOKEN.findall(code))


def telling_word(text: str) -> str | None:
    """Return the first word of a text that says that someone must pay, or be slower."""
    words = TOKEN.findall(text)
    return next((word for word in words if is_billing(word) or is_slow_down(word)), None)


def is_overload(code: str) -> bool:
    """Return whether a code says that the provider is overloaded, which is nobody's limit."""
    letters = _letters(code)
    return letters == UNAVAILABLE or any(name in letters for name in OVERLOAD_NAMES)


def is_day_limit(code: str) -> bool:
    """Return whether a code says that a limit of a day is reached, which lasts."""
    return DAY_LIMIT.search(code) is not None


def is_rate_limit(code: str) -> bool:
    """Return whether a code says that a limit on calls or tokens is reached.

    Where the code does not tell billing from rate limits, it is taken for a rate limit.
    """
    if is_billing(code) or is_slow_down(code) or is_overload(code):
        return False
    named = any(name in _letters(code) for name in LIMIT_NAMES) or is_day_limit(code)
    return named or STATUS_429.search(code) is not None or QUOTA_ID.search(code) is not None


def _letters(code: str) -> str:
    return re.sub(r"[^a-z]", "", code.lower())


def _is_known(token: str) -> bool:
    lower = token.lower()
    return lower in BILLING_CODES or lower.endswith(BILLING_SUFFIX)


def _means_money(token: str) -> bool:
    words = {word.lower() for word in WORD.findall(token)}
    return (
        _is_known(token)
        or bool(words & DEBT)
        or bool(words & MONEY and words & GONE and not words & NO_MONEY)
        or ("quota" in words and bool(words & {"insufficient", "current"}))
        # Alone, it is a word of a sentence or of a link.
        or (len(words) > 1 and bool(words & PAYING) and not words & NO_REFUSAL)
        # `payment_method` points somewhere, `payment_method_required` refuses.
        or (bool(words & PAYING) and "required" in words)
        or bool((words & PAID_UNTIL or words >= FREE_TIER) and words & ENDED)
    )
