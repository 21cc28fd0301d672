"""Tell refusals that only a payment ends from all others.

A known code is enough, wherever it stands. Where there is none, the sentence has to do: gateways
keep it and drop the code. Sentences that ask for money in passing are no such refusal: providers
end rate limits with advice on payment methods, credits and higher tiers.
"""

import re
from typing import Final

import httpx

from scanpool.models.error_codes import QUOTA_ID, billing_codes_in, is_billing
from scanpool.sources.error_body import Refusal
from scanpool.sources.text import quoted

BILLING_ERROR: Final = "billing_error"
"""Anthropic's type for 402, and the code of each 402 that names none."""
BUDGET_EXCEEDED: Final = "budget_exceeded"
"""LiteLLM's code for a budget that a gateway keeps, and that of others' that name none."""

_UP: Final = r"(?:insufficient|depleted|exhausted|used up|not enough|too low|negative|empty)"
_SPENDING: Final = r"(?:spend|spending|billing|budget|cost)"
SENTENCES: Final = {
    code: re.compile(pattern, re.IGNORECASE)
    for code, pattern in {
        # Anthropic's prepaid balance; a spend limit of the organization or workspace.
        "credit_balance_too_low": r"credit balance is too low",
        # Moonshot's plans; Cohere's trial, which ends with the month only.
        "usage_limit_reached": (
            r"reached your (?:\w+ )*api usage limits|usage limit for (?:this|the|your) billing"
            r"|limited to [\d,]+ api calls ?(?:/|per) ?month"
        ),
        # DeepSeek, OpenRouter, SiliconFlow, Moonshot, xAI, Gemini, Hugging Face, Zhipu.
        "insufficient_balance": (
            r"insufficient (?:\w+ )?(?:balance|credits?|funds)"
            rf"|(?:balance|credits?|funds) (?:is |are |has been |have been )?{_UP}"
            r"|used (?:up )?all (?:of )?(?:your |the |its )?(?:\w+ )?credits"
            r"|(?:out of|requires more|not enough|ha(?:ve|s) no|n.t have any)"
            r" (?:credits|balance|funds|money)\b"
            r"|credit limit (?:has been |is |was )?(?:exceeded|reached)"
            r"|(?:exceeded|depleted|exhausted) (?:your|its|the) (?:\w+ )*credits"
            r"|free tier of the model has been exhausted"
            r"|欠费|余额不足|额度不足"
        ),
        # OpenAI, Gemini, Fireworks; budgets that gateways keep.
        "spend_limit_reached": (
            rf"{_SPENDING} (?:\w+ )?(?:limit|cap) (?:of \S+ )?(?:has been |is |was )?"
            r"(?:reached|exceeded)"
            r"|max(?:imum)? (?:spend|spending|budget) (?:has been |is |was )?(?:reached|exceeded)"
            rf"|(?:reach|exceed|hit|cross)(?:ed|ing)? (?:\w+ )?(?:\w+ )?{_SPENDING} (?:\w+ )?"
            r"(?:limit|cap)"
            r"|(?<!token )(?<!thinking )(?<!retry )budget (?:has been |is |was )?"
            r"(?:exceeded|exhausted)|(?:exceeded|crossed) budget|exceededbudget|over budget"
            r"|\bkey limit exceeded"
        ),
        # OpenAI, Volcengine, DashScope, Fireworks.
        "billing_not_active": (
            r"account is not active|overdue (?:balance|account|payment|invoice)"
            r"|account is in (?:good standing|arrears)|failure to pay|payment (?:is )?required"
            r"|issue with your (?:payment|billing)|unpaid (?:invoice|bill|balance)"
            r"|(?:trial|subscription) (?:has |is )?(?:been )?"
            r"(?:expired|ended|over|inactive|cancel+ed|suspended|disabled)|inactive subscription"
            r"|(?:card|payment|payment method) (?:was |has been |is )?(?:declined|failed)"
            r"|(?:add|update) .{0,20}payment method .{0,80}to continue"
        ),
        # Google.
        "billing_disabled": (
            r"requires billing to be enabled|billing (?:is |has been )?(?:disabled|not enabled)"
            r"|without a billing account|(?:closed|absent|disabled) billing account"
            r"|billing account .{0,80}\bis (?:closed|disabled|not open)"
            r"|billing account (?:is )?not configured"
        ),
    }.items()
}
"""What a sentence says where it means money, and a code for each."""
ENABLE_BILLING: Final = re.compile(r"enable billing", re.IGNORECASE)
"""Google's advice: for a 429 a way to higher limits, else the only way."""
OWN_QUOTA: Final = re.compile(
    r"exceeded (?:your )?current quota|(?:insufficient|not enough) (?:user )?quota"
    r"|quota is (?:insufficient|not enough)",
    re.IGNORECASE,
)
"""OpenAI's words for an account without money, which Gemini uses for a limit per minute or day,
too: there the quota has an id."""
NOTHING_GRANTED: Final = re.compile(r"quota exceeded for metric[^*]*?\blimit: (\d+)", re.IGNORECASE)
"""Gemini's limits; each is 0 where the model is for paying accounts only."""
TOLD_402: Final = re.compile(r"\b(?:error|status)(?: code)?:? 402\b", re.IGNORECASE)
GOOGLES: Final = re.compile(
    r"RESOURCE_?EXHAUSTED|quota exceeded for metric|gemini|vertex|head to:", re.IGNORECASE
)
"""That it is Google's: by the status, by who is quoted, or by how it points to its pages."""
USED_UP: Final = re.compile(r"budget|limits?|quota|credits?|exhausted|exceeded", re.IGNORECASE)
"""What a 412 speaks of, which gateways such as Portkey send for a budget that is used up."""


def billing_code(refusal: Refusal) -> str | None:
    """Return the code that says that nobody pays: the provider's or one of ours; else None."""
    told = [code for code in refusal.codes if is_billing(code)]
    named = next((code for code in told if not code.isdecimal()), None)
    named = named or next(billing_codes_in(refusal.text), None)
    if named is not None:
        return quoted(named)
    if (meant := _in_sentence(refusal)) is not None:
        return meant
    if refusal.status == httpx.codes.PRECONDITION_FAILED and USED_UP.search(refusal.text):
        return BUDGET_EXCEEDED
    is_402 = refusal.status == httpx.codes.PAYMENT_REQUIRED or bool(told)
    return BILLING_ERROR if is_402 or TOLD_402.search(refusal.text) else None


def _in_sentence(refusal: Refusal) -> str | None:
    if refusal.names_limit:
        return None
    text = refusal.text
    for code, sentence in SENTENCES.items():
        if sentence.search(text):
            return code
    if refusal.status != httpx.codes.TOO_MANY_REQUESTS and ENABLE_BILLING.search(text):
        return "billing_disabled"
    if (granted := NOTHING_GRANTED.findall(text)) and not any(map(int, granted)):
        return "no_quota_granted"
    if OWN_QUOTA.search(text) and not (GOOGLES.search(text) or QUOTA_ID.search(text)):
        return "insufficient_quota"
    return None
