"""The `llm` part of a spec: whose limits, and how near to them the pool may go."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from scanpool.models.base import Model, Rule
from scanpool.models.fallback import Fallback
from scanpool.models.fields import HttpUrl, Percent, PerDay, PerMinute, SecretKeyRef, whole
from scanpool.models.http_access import BasicAuth, Header, Parameter
from scanpool.models.spend import Prices


class Provider(StrEnum):
    """Whose limits the pool's workers run into."""

    OPENAI = "openai"
    AZURE_OPENAI = "azure-openai"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"


# Where a provider's API is when the spec names no base URL. Azure's is each customer's own.
BASE_URLS = {
    Provider.OPENAI: "https://api.openai.com/v1",
    Provider.ANTHROPIC: "https://api.anthropic.com/v1",
    Provider.GEMINI: "https://generativelanguage.googleapis.com/v1beta",
}


ONLY = ""
"""The name of a pool's limit where it has no other, and needs no name: `spec.llm`."""
# More limits than any pool of the field has: a model each of a few providers.
MAX_LIMITS = 10
# More keys of one model than routers of the field spread their calls over.
MAX_KEYS = 10
LimitName = Annotated[
    str, Field(max_length=63, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", min_length=1)
]
ModelName = Annotated[str, Field(min_length=1, max_length=256)]
PromQL = Annotated[str, Field(min_length=1, max_length=4096)]


class UsagePreset(StrEnum):
    """Metric families that are known to count the tokens of a key."""

    OTEL_GENAI = "otel-genai"
    LITELLM = "litellm"
    KONG = "kong"


class OnQuotaExhausted(StrEnum):
    """What becomes of the workers while the provider refuses every call for billing reasons."""

    SCALE_TO_MIN = "ScaleToMin"
    SCALE_TO_ZERO = "ScaleToZero"
    HOLD = "Hold"


class Label(Model):
    """A label of a Prometheus series, and the value that it has to have."""

    name: Annotated[str, Field(max_length=128, pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]
    value: Annotated[str, Field(max_length=512)]


class Prometheus(Model):
    """Where the tokens that the whole key uses are counted."""

    url: HttpUrl
    preset: UsagePreset | None = None
    """Metric names of a known exporter, filtered by the pool's model."""
    query: PromQL | None = None
    """PromQL that returns tokens per minute as one number, instead of a preset."""
    rate_limited_query: PromQL | None = None
    """PromQL for the refused LLM calls per minute, instead of the preset's: one number, or one for
    each code."""
    own_labels: Annotated[tuple[Label, ...], Field(max_length=10)] = ()
    """Labels that pick the pool's own workers out of the preset's series. Without them the own
    share is taken from acknowledged messages, which lag by some seconds."""
    bearer_token_secret_ref: SecretKeyRef | None = None
    basic_auth: BasicAuth | None = None
    http_headers: Annotated[tuple[Header, ...], Field(max_length=10)] = ()
    """Headers to send along: a tenant's name, or a key in a header of its own."""
    parameters: Annotated[tuple[Parameter, ...], Field(max_length=10)] = ()
    """Parameters to put into the URL: a tenant's, or those of a store. A name may come again."""
    ca_secret_ref: SecretKeyRef | None = None
    """PEM certificates of the authorities to trust, instead of the public ones."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.preset) != has(self.query)",
            "set exactly one of preset and query",
            lambda m: (m.preset is None) != (m.query is None),
        ),
        Rule(
            "!has(self.query) || self.ownLabels.size() == 0",
            "ownLabels go with a preset: leave them out beside a query",
            lambda m: m.query is None or not m.own_labels,
        ),
        Rule(
            "(has(self.bearerTokenSecretRef) ? 1 : 0) + (has(self.basicAuth) ? 1 : 0) + "
            "self.httpHeaders.filter(h, h.name.matches('^(?i:authorization)$')).size() <= 1",
            "set only one of bearerTokenSecretRef, basicAuth and a header Authorization",
            lambda m: (
                (m.bearer_token_secret_ref is not None)
                + (m.basic_auth is not None)
                + sum(header.name.lower() == "authorization" for header in m.http_headers)
                <= 1
            ),
        ),
        Rule(
            "self.httpHeaders.all(h, self.httpHeaders.exists_one(o, o.name == h.name))",
            "header names must be unique",
            lambda m: len({header.name for header in m.http_headers}) == len(m.http_headers),
        ),
        Rule(
            "self.parameters.all(p, !(p.name in ['query', 'time']))",
            "the parameters query and time are the operator's: leave them out",
            lambda m: all(one.name not in ("query", "time") for one in m.parameters),
        ),
    )


class Usage(Model):
    """How the use of the limit is measured."""

    prometheus: Prometheus | None = None
    """Tokens that everyone on the key uses. Without it only the pool's own use is seen, as
    acknowledged messages times tokens per message."""
    window_seconds: Annotated[int, whole(10, 600)] = 60
    """Length of the window over which rates are averaged."""


class Probe(Model):
    """The smallest call that shows the provider's limits: one request, a few tokens.

    Pools of one key and model share it.
    """

    enabled: bool = True
    interval_seconds: Annotated[int, whole(1, 3600)] = 60


class Admin(Model):
    """OpenAI's Admin API, which tells the limits that a project is configured with."""

    api_key_secret_ref: SecretKeyRef
    """An admin key, which is not the key that the workers use."""
    project_id: Annotated[str, Field(max_length=128, pattern=r"^[A-Za-z0-9_-]+$")]
    """The project of the workers' key, such as proj_abc."""


class Ramp(Model):
    """How fast the key's use may be planned to grow, as providers ask of traffic that is new."""

    percent: Annotated[int, whole(1, 1000)] = 50
    """Growth that is allowed within the period."""
    period_seconds: Annotated[int, whole(60, 3600)] = 900
    above_tokens_per_minute: PerMinute = 1_000_000
    """Up to this use growth is free."""


class Llm(Model):
    """The provider's limits and how near to them the pool may go."""

    provider: Provider = Provider.OPENAI
    model: ModelName
    shared_with: Annotated[tuple[ModelName, ...], Field(max_length=20)] = ()
    """Further models that count against the same limit, by the names in requests. An alias and its
    dated snapshots share it anyway."""
    base_url: HttpUrl | None = None
    """Base URL of the API that the workers call: for Azure, a gateway or a stand-in. Unset: the
    provider's own."""
    api_version: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9.-]+$")] | None = None
    """Azure only: the api-version of paths that name the deployment, such as 2024-10-21. Unset: the
    v1 API."""
    api_key_secret_ref: SecretKeyRef | None = None
    """The key that the workers burn; the probe uses it to read the limits."""
    api_key_secret_refs: Annotated[tuple[SecretKeyRef, ...], Field(max_length=MAX_KEYS)] = ()
    """Instead of apiKeySecretRef, the keys over which the workers spread their calls of the model.
    Each needs a limit of its own: name keys of different projects or accounts. The limits add up,
    those that the spec sets count for each key, and one that is not paid takes its part away."""
    tokens_per_minute: PerMinute | None = None
    """Token limit (TPM); of Gemini the one on input tokens, the only one that it has. If the probe
    sees the provider's too, the smaller counts."""
    requests_per_minute: PerMinute | None = None
    """Request limit (RPM). If the probe sees the provider's too, the smaller one."""
    tokens_per_day: PerDay | None = None
    """Token limit of a day (TPD). If the provider's answers tell one, too, the smaller counts."""
    requests_per_day: PerDay | None = None
    """Request limit of a day (RPD), likewise. A day begins at midnight: of Gemini in California, of
    others in UTC, unless the provider tells when it ends."""
    target_utilization_percent: Percent = 85
    """Share of the limit to plan with where the provider tells no level of its bucket."""
    tokens_per_replica_minute: PerMinute | None = None
    """Tokens per minute that one busy replica uses, until the pool has learned it."""
    weight: Annotated[int, whole(1, 1000)] = 1
    """Share of the limit beside other pools of the same key, model and priority."""
    priority: Annotated[int, whole(-1000, 1000)] = 0
    """Class of the pool beside others of the same key and model: above the floors of all, a lower
    one has what higher ones leave. Interactive at 0 and batch at -10, say."""
    ramp: Ramp | None = None
    """Limit the growth of use. Unset: only a slow_down of the provider does."""
    admin: Admin | None = None
    """Read the limits where the provider's answers do not tell them."""
    bucket_reserve_percent: Annotated[int, whole(1, 100)] = 15
    """Share of the provider's token bucket that is never planned with. The rest carries what whole
    replicas leave of the limit; 100 leaves the bucket alone."""
    on_quota_exhausted: OnQuotaExhausted = OnQuotaExhausted.SCALE_TO_MIN
    """ScaleToZero keeps messages waiting in the queue instead of failing."""
    prices: Prices | None = None
    """What a million tokens cost. Unset: nothing is said of money."""
    usage: Usage = Usage()
    probe: Probe = Probe()
    fallback: Fallback | None = None
    """What counts as the ceiling once the provider or the use of the key stays unknown. Unset: the
    pool holds."""

    @property
    def api_base(self) -> str:
        """The base URL of the API."""
        return self.base_url or BASE_URLS[self.provider]

    @property
    def key_refs(self) -> Mapping[str, SecretKeyRef]:
        """The workers' keys, by what they are called: of several, Secret and key in it."""
        if self.api_key_secret_ref is not None:
            return {ONLY: self.api_key_secret_ref}
        return {f"{ref.name}/{ref.key}": ref for ref in self.api_key_secret_refs}

    @property
    def is_probed(self) -> bool:
        """Whether the provider is asked for its limits with these keys."""
        return bool(self.key_refs) and self.probe.enabled

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.tokensPerMinute) || has(self.admin) || "
            "((has(self.apiKeySecretRef) || self.apiKeySecretRefs.size() > 0) && "
            "self.probe.enabled)",
            "the token limit cannot be known: set tokensPerMinute, "
            "or apiKeySecretRef with the probe enabled",
            lambda m: m.tokens_per_minute is not None or m.admin is not None or m.is_probed,
        ),
        Rule(
            "!has(self.apiKeySecretRef) || self.apiKeySecretRefs.size() == 0",
            "set apiKeySecretRef for one key or apiKeySecretRefs for several, not both",
            lambda m: m.api_key_secret_ref is None or not m.api_key_secret_refs,
        ),
        Rule(
            "self.apiKeySecretRefs.all(r, self.apiKeySecretRefs.exists_one(o, o == r))",
            "apiKeySecretRefs names each key once",
            lambda m: len(set(m.api_key_secret_refs)) == len(m.api_key_secret_refs),
        ),
        Rule(
            "!has(self.admin) || self.apiKeySecretRefs.size() == 0",
            "admin tells the limits of one project: leave it out beside apiKeySecretRefs",
            lambda m: m.admin is None or not m.api_key_secret_refs,
        ),
        Rule(
            "self.provider != 'azure-openai' || has(self.baseUrl)",
            "Azure has no common address: set baseUrl to your resource's, "
            "such as https://NAME.openai.azure.com/openai/v1",
            lambda m: m.provider is not Provider.AZURE_OPENAI or m.base_url is not None,
        ),
        Rule(
            "self.provider != 'gemini' || has(self.tokensPerMinute)",
            "Gemini tells no limits: set tokensPerMinute to your project's for this model",
            lambda m: m.provider is not Provider.GEMINI or m.tokens_per_minute is not None,
        ),
        Rule(
            "self.provider == 'azure-openai' || !has(self.apiVersion)",
            "apiVersion goes with provider azure-openai: leave it out",
            lambda m: m.provider is Provider.AZURE_OPENAI or m.api_version is None,
        ),
        Rule(
            "self.provider == 'openai' || !has(self.admin)",
            "admin goes with provider openai: leave it out",
            lambda m: m.provider is Provider.OPENAI or m.admin is None,
        ),
    )


class NamedLlm(Llm):
    """One of several limits of a pool."""

    name: LimitName
    """What queues, status and metrics call it."""
