"""The Secrets that a pool names: read by name, shared, and remembered by version."""

from functools import partial
from math import inf

from scanpool.kube.cluster import Cluster
from scanpool.kube.secret import SecretText
from scanpool.models.fields import SecretKeyRef
from scanpool.models.llm import Prometheus
from scanpool.models.reading import Unavailable
from scanpool.models.spec import RabbitMQ
from scanpool.models.units import Clock
from scanpool.observe.shared_reads import RETRY_SECONDS, SharedReads
from scanpool.sources.broker_access import Access
from scanpool.sources.failures import SourceError
from scanpool.sources.identity import Identity
from scanpool.sources.prometheus_session import Credentials

# A rotated password counts this soon, and at once where the old one is refused.
SECRET_SECONDS = 45.0
# Not sooner than this after the last time: one that is wrong for good is refused at every tick.
DOUBT_SECONDS = 5.0


class Secrets:
    """Reads keys of Secrets; one that cannot be read raises SourceError."""

    def __init__(self, cluster: Cluster, shared: SharedReads, clock: Clock) -> None:
        self._cluster = cluster
        self._shared = shared
        self._clock = clock
        # The version in which a key of a Secret was last seen, and when that began.
        self._versions: dict[tuple[str, SecretKeyRef], tuple[str, float]] = {}
        # When a credential of a namespace was last refused.
        self._doubted: dict[str, float] = {}

    async def text(self, namespace: str, ref: SecretKeyRef) -> str:
        """Return the value of a key."""
        return (await self.read(namespace, ref)).text

    async def optional(self, namespace: str, ref: SecretKeyRef | None) -> str | None:
        """Return the value of a key; None where the pool names none."""
        return None if ref is None else await self.text(namespace, ref)

    async def read(self, namespace: str, ref: SecretKeyRef) -> SecretText:
        """Return the value of a key and the version that it is of."""
        since_doubt = self._clock() - self._doubted.get(namespace, -inf)
        age = min(SECRET_SECONDS, since_doubt)
        found = await self._read(namespace, ref, age)
        if isinstance(found, Unavailable):
            # A key that is missing is looked for again as soon as a Secret is.
            found = await self._read(namespace, ref, min(age, RETRY_SECONDS))
        if isinstance(found, Unavailable):
            raise SourceError(found.reason, found.message)
        return found

    async def _read(
        self, namespace: str, ref: SecretKeyRef, max_age: float
    ) -> SecretText | Unavailable:
        read = partial(self._cluster.read_secret, namespace, ref.name)
        secret = await self._shared.get(("secret", namespace, ref.name), max_age, read)
        return secret if isinstance(secret, Unavailable) else secret.value.text(ref.key)

    async def of_management(self, namespace: str, rabbitmq: RabbitMQ) -> Access:
        """Return how a pool's management API is reached.

        Raises:
            ValueError: if the pool names none.

        """
        if rabbitmq.management_url_secret_ref is None:
            raise ValueError("a pool without a management API asks for none of its readings")
        return await self._broker(namespace, rabbitmq, rabbitmq.management_url_secret_ref)

    async def of_amqp(self, namespace: str, rabbitmq: RabbitMQ) -> Access:
        """Return how a pool's broker is reached by AMQP.

        Raises:
            ValueError: if the pool names no URL for it.

        """
        if rabbitmq.url_secret_ref is None:
            raise ValueError("a pool without an AMQP URL asks for none of its readings")
        return await self._broker(namespace, rabbitmq, rabbitmq.url_secret_ref)

    async def _broker(self, namespace: str, rabbitmq: RabbitMQ, url: SecretKeyRef) -> Access:
        shown = rabbitmq.client_certificate
        return Access(
            await self.text(namespace, url),
            rabbitmq.vhost,
            token=await self.optional(namespace, rabbitmq.token_secret_ref),
            ca_pem=await self.optional(namespace, rabbitmq.ca_secret_ref),
            identity=None
            if shown is None
            else Identity(
                await self.text(namespace, shown.cert_secret_ref),
                await self.text(namespace, shown.key_secret_ref),
                await self.optional(namespace, shown.key_password_secret_ref),
            ),
            server_name=rabbitmq.server_name,
        )

    async def of_prometheus(self, namespace: str, config: Prometheus) -> Credentials:
        """Return everything that a pool's Prometheus wants of Secrets."""
        basic = config.basic_auth
        refs = (
            (header.name, header.value_secret_ref)
            for header in config.http_headers
            if header.value_secret_ref is not None
        )
        return Credentials(
            bearer_token=await self.optional(namespace, config.bearer_token_secret_ref),
            basic_auth=None
            if basic is None
            else (
                await self.text(namespace, basic.username_secret_ref),
                await self.text(namespace, basic.password_secret_ref),
            ),
            headers=tuple([(name, await self.text(namespace, ref)) for name, ref in refs]),
            ca_pem=await self.optional(namespace, config.ca_secret_ref),
        )

    def doubt(self, namespace: str) -> bool:
        """Read a namespace's Secrets anew the next time, since one was refused.

        Tells whether it is worth it: False if that was done just now.
        """
        now = self._clock()
        if now - self._doubted.get(namespace, -inf) < DOUBT_SECONDS:
            return False
        self._doubted[namespace] = now
        return True

    def written_at(self, namespace: str, ref: SecretKeyRef, version: str) -> float:
        """Return when the Secret was first seen to be written; 0 while it is as it was at first."""
        before = self._versions.get((namespace, ref))
        if before is None or before[0] != version:
            before = (version, 0.0 if before is None else self._clock())
            self._versions[namespace, ref] = before
        return before[1]
