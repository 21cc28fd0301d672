"""What a tick knows of one provider's limit and its use; see `signals`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import fsum
from typing import NamedTuple

from scanpool.decide.belief import Belief
from scanpool.decide.bucket import Bucket
from scanpool.decide.limits import KnownLimits, Told
from scanpool.models.claims import Unit
from scanpool.models.error_codes import Refusals
from scanpool.models.llm import ONLY
from scanpool.models.reading import Unavailable
from scanpool.models.today import Today


@dataclass(frozen=True, slots=True)
class Flow:
    """Tokens and requests per minute; None is unknown."""

    tokens: float | None = None
    requests: float | None = None
    output_tokens: float | None = None

    def having(self, tokens: float) -> "Flow":
        """Return the flow with so many tokens."""
        return Flow(tokens, self.requests, self.output_tokens)

    def of(self, unit: Unit) -> float | None:
        """Return what is used of a limit. Where input and output are not told apart, all of both.

        So counted, a limit on one of them is reached too early, never too late.
        """
        match unit.per_minute:
            case Unit.TOKENS:
                return self.tokens
            case Unit.REQUESTS:
                return self.requests
            case Unit.OUTPUT_TOKENS:
                return self.tokens if self.output_tokens is None else self.output_tokens
            case Unit.INPUT_TOKENS:
                if self.tokens is None or self.output_tokens is None:
                    return self.tokens
                return max(self.tokens - self.output_tokens, 0.0)
        raise ValueError(unit)


@dataclass(frozen=True, slots=True)
class Use:
    """The use of a key. `others` is never less than nothing, and None where it is not known.

    `source` and `at` tell where `whole` comes from, `own_at` how new the pool's own part is; the
    rates are averages over the usage window before. Where the source has a window of its own, the
    pool's part is the average since `own_since`. Where nothing tells the pool's part, `own` is all
    there is, and not `own_is_told`; where nothing tells others', `others` stands for nobody
    (`others_are_told`).
    """

    whole: Flow
    own: Flow
    others: Flow
    source: str | None = None
    at: float | None = None
    own_at: float | None = None
    own_since: float | None = None
    own_is_told: bool = True
    others_are_told: bool = True


@dataclass(frozen=True, slots=True)
class Probed:
    """The provider's last answer to the probe; `is_asked` is whether the pool has one at all.

    `at` is None while there is no answer. A billing code means that it refuses every call until
    someone pays, or until a quota of a day begins anew. `remaining` is the level of the token
    bucket, `tokens` what the probe took, in so many `calls`. `today` is what is left of limits of a
    day, and one that refuses may tell until when (`refused_until`).
    """

    is_asked: bool
    at: float | None = None
    source: str = ""
    billing_code: str | None = None
    rate_limited: bool = False
    remaining: int | None = None
    tokens: int | None = None
    today: Mapping[Unit, Today] = field(default_factory=dict)
    refused_until: float | None = None
    calls: int = 1


@dataclass(frozen=True, slots=True)
class KeySignals:
    """What is known of one of several keys of a limit: its last answer, and what it adds.

    `part` are its limits, by unit; None while it does not count.
    """

    probed: Probed
    part: Mapping[Unit, int] | None = None


class UsedUp(NamedTuple):
    """A quota of a day that is used up, and until when (seconds since the epoch)."""

    quota: str
    until: float


@dataclass(frozen=True, slots=True)
class Refused:
    """The calls that were refused, as exporters count them.

    `per_minute` are those that say that a limit is reached; None is not counted. `slowed_at` is
    when the probe or the workers were last told to slow down. `is_lost`: what the pool asks to
    count them does not answer. `for_billing`: workers meet billing errors, or those of a limit of a
    day; `used_up` is one of a day that ends at a known time.
    """

    per_minute: float | None = None
    by_code: tuple[Refusals, ...] = ()
    source: str | None = None
    at: float | None = None
    slowed_at: float | None = None
    is_lost: bool = False
    for_billing: bool = False
    used_up: UsedUp | None = None


class Ratio(NamedTuple):
    """A number without a unit, and where it comes from."""

    value: float
    source: str
    at: float


@dataclass(frozen=True, slots=True)
class LlmSignals:
    """What is known of one provider's limit and its use.

    `told` are the limits that the provider tells now; None where nobody is asked. `limits` are
    those that are believed with them. `hold_seconds` is how long a back-off must stand until its
    effect can be measured. `answered_at` is the last answer with limits before this tick's.
    `calls_per_task` are the LLM calls for one message: more than one are retries.
    `awaits_first_call`: use is unknown only because no worker has called the provider yet.
    `start_seconds` is how long a pod takes. `teaches` is whether the readings can teach what a
    replica costs. `contradiction` is what is wrong with a reading of use that counts as none,
    though it is there, `bridged` why the provider is silent where the pool goes on without its
    answer. `own_unknown` is why nobody can tell the pool's part of the use from others', where the
    level does not either. `belief` and `bucket` are what the next tick has to compare with.
    `keys` are those of a limit that has several, by their names.
    """

    use: Use
    told: Told | None
    limits: KnownLimits
    probed: Probed
    refused: Refused
    hold_seconds: float
    belief: Belief
    bucket: Bucket
    answered_at: float = 0.0
    calls_per_task: Ratio | None = None
    awaits_first_call: bool = False
    start_seconds: float = 0.0
    teaches: bool = True
    contradiction: str | None = None
    bridged: Unavailable | None = None
    own_unknown: Unavailable | None = None
    keys: Mapping[str, KeySignals] = field(default_factory=dict)

    def shares(self, unit: Unit) -> Mapping[str, float]:
        """Return the share of a limit that each key is, of those that count; of the only one all.

        Where their limits are not known apart, they are equal.
        """
        parts = {name: one.part for name, one in self.keys.items() if one.part is not None}
        if not parts:
            return {ONLY: 1.0}
        known = {name: part[unit] for name, part in parts.items() if unit in part}
        if len(known) < len(parts):
            return dict.fromkeys(parts, 1.0 / len(parts))
        whole = fsum(known.values())
        return {name: value / whole for name, value in known.items()}
