"""The story that the demo tells, and the claims that it makes."""

import time
from math import ceil, floor

from scanpool_sandbox.demo import second_pool
from scanpool_sandbox.demo.backlog import Backlog
from scanpool_sandbox.demo.hands import POLLING_SECONDS, Hands
from scanpool_sandbox.demo.screen import Claim, Screen
from scanpool_sandbox.demo.watch import POOL, Watch
from scanpool_sandbox.demo.world import API_KEY, MODEL, NAMESPACE, START_LIMIT, World
from scanpool_sandbox.neighbor import Neighbor

FIRST = 1
"""Scans, of which the pool learns what is measured of its workers."""
BURST = 300
"""Scans; 30 replicas' worth."""
BACKLOG = 200
"""Scans in flight that keep the pool wanting more than it may have."""
LAST_BACKLOG = 80
"""The same once replicas come down: nobody has to watch more of them drain in the end."""
UPGRADED_LIMIT = 2 * START_LIMIT
NEIGHBOR_TOKENS_PER_MINUTE = 6_000_000
"""With the pool's own use it would empty the bucket of the raised limit within a minute."""
SEEN = 0.5
"""Share of the neighbor's use that the pool has to see. Only the level of the bucket tells it, and
what busy replicas cost: on a busy machine they use less than they did when that was learned."""
MAX_REFUSED_SHARE = 0.005

BATCH = """
apiVersion: v1
kind: Pod
metadata: {name: batch, namespace: scan}
spec:
  nodeSelector: {kubernetes.io/hostname: node-a}
  containers:
  - {name: batch, image: batch, args: [infinity], resources: {requests: {memory: 2048Mi}}}
"""


class Story:
    """Nine steps. `tell` returns whether every claim held."""

    def __init__(self, world: World, screen: Screen) -> None:
        self._world = world
        self._screen = screen
        self._hands = Hands(world, screen)
        self._watch = Watch(world, screen)
        self._claims: list[Claim] = []

    async def tell(self) -> bool:
        """Tell the whole story."""
        try:
            await self._steps()
        except (TimeoutError, RuntimeError) as error:
            self._claim("every step comes about", held=False, evidence=str(error))
        return await self._sum_up()

    async def _steps(self) -> None:
        await self._apply()
        await self._burst()
        async with Backlog(self._world.users, BACKLOG):
            await self._token_ceiling()
            async with Backlog(self._world.chats, second_pool.IN_FLIGHT):
                await self._second_pool()
            await self._memory_ceiling()
            await self._free_nodes()
        neighbor = Neighbor(
            self._world.openai.base_url,
            API_KEY,
            MODEL,
            tokens_per_minute=NEIGHBOR_TOKENS_PER_MINUTE,
        )
        async with Backlog(self._world.users, LAST_BACKLOG), neighbor:
            await self._noisy_neighbor()
        await self._quota()
        await self._drain()

    async def _apply(self) -> None:
        self._screen.step(
            1, "Apply", "The files that a cluster gets, pointed at this machine's servers and with "
            "shorter intervals. With a first scan the workers' metrics begin."
        )  # fmt: skip
        await self._hands.kubectl("apply", "-f", "crds/scanworkerpools.yaml")
        await self._hands.kubectl("apply", "-k", "manifests/base")
        await self._hands.kubectl("apply", "-f", "manifests/samples/namespace.yaml")
        await self._hands.kubectl("apply", "-f", "manifests/samples/secret.yaml")
        await self._hands.point(NAMESPACE, "scan-secret")
        await self._hands.kubectl("apply", "-f", "manifests/samples/deployment.yaml")
        await self._hands.kubectl("apply", "-f", "manifests/samples/pool.yaml")
        await self._hands.hasten_pool(NAMESPACE, POOL)
        await self._world.users.submit(FIRST)
        await self._watch.until(
            "the pool is ready", lambda: self._watch.condition("Ready") == "True"
        )
        await self._get_swp()

    async def _burst(self) -> None:
        self._screen.step(
            2, "A burst of scans", f"{BURST} scans at once. Workers acknowledge late: replicas "
            "rise on ready and unacked messages."
        )  # fmt: skip
        before = self._watch.status["replicas"]
        at = time.time()
        await self._world.users.submit(BURST)
        await self._watch.until(
            "replicas rise", lambda: self._watch.status["readyReplicas"] > before
        )
        write = await self._watch.first_scale_after(at)
        self._claim(
            "the first scale write comes within two polling intervals of the burst",
            write is not None and write - at <= 2 * POLLING_SECONDS,
            "none came"
            if write is None
            else f"{write - at:.1f} s, polling every {POLLING_SECONDS} s",
        )
        await self._get_swp()

    async def _token_ceiling(self) -> None:
        self._screen.step(
            3, "The token ceiling binds", f"{START_LIMIT:,} tokens per minute feed more than three "
            "replicas, and less than four. Once the pool has learned what one uses, it takes the "
            "fourth while the provider's token bucket is high, and would give it back when it is "
            "low. More would only buy 429s, whatever the queue says."
        )  # fmt: skip
        await self._watch.until(
            "the pool has learned what a replica uses, and LIMITED-BY is Tokens",
            lambda: (
                self._watch.status["llm"].get("tokensPerReplicaSource") == "Learned"
                and self._watch.status["limitedBy"] == "Tokens"
            ),
        )
        await self._watch.settle()
        await self._get_swp()
        await self._hands.kubectl("-n", NAMESPACE, "describe", "swp", POOL, show=_events_of)
        status = self._watch.status
        fed = START_LIMIT / (self._watch.llm("tokensPerReplicaMinute") or START_LIMIT)
        self._claim(
            "replicas stop at a whole number next to what the limit feeds",
            floor(fed) <= status["replicas"] <= ceil(fed) < self._watch.demand,
            f"{status['replicas']} replicas, the limit feeds {fed:.1f}, "
            f"demand {self._watch.demand}",
        )
        self._claim_few_refusals("429s in steps 2 and 3")

    async def _second_pool(self) -> None:
        self._screen.step(
            4, "A second pool on the key", "Chats come in a namespace of their own, with workers "
            "and a pool of their own, and the same key. Each pool tells the other what it asks "
            "for, so they share the limit, and nobody configures that."
        )  # fmt: skip
        await self._hands.kubectl("apply", "-f", second_pool.MANIFEST)
        await self._hands.point(second_pool.NAMESPACE, second_pool.SECRET)
        await self._hands.restart(second_pool.NAMESPACE, second_pool.TARGET)
        await self._hands.hasten_pool(second_pool.NAMESPACE, second_pool.POOL)
        await self._watch.until(
            "both pools work and know of each other",
            lambda: second_pool.shares(self._watch, self._world),
        )
        await self._hands.kubectl("get", "swp", "-A")
        granted = second_pool.grants(self._watch)
        first, second, whole = granted or (0, 0, 0)
        self._claim(
            "two pools on one key share its limit",
            min(first, second) > 0 and first + second <= second_pool.ROUNDING * whole,
            f"{first:,} TPM for scans and {second:,} for chats of {whole:,}, "
            f"{self._world.chats.counts().completed} chats answered",
        )
        self._claim_few_refusals("429s with both pools")

    async def _memory_ceiling(self) -> None:
        self._screen.step(
            5, "The nodes are full", "node-b reports memory pressure, and another team's batch job "
            f"lands on node-a. Then the account moves up a tier, to {UPGRADED_LIMIT:,} tokens per "
            "minute: tokens are free, and memory is not."
        )  # fmt: skip
        await self._hands.kubectl("apply", "-f", "-", stdin=BATCH)
        await self._hands.press_memory("node-b", "True")
        self._world.openai.provider.set_limits(tokens_per_minute=UPGRADED_LIMIT)
        await self._watch.until(
            "LIMITED-BY is Memory", lambda: self._watch.status["limitedBy"] == "Memory"
        )
        await self._get_swp("-o", "wide")
        ceilings = self._watch.status["ceilings"]
        self._claim(
            "the memory ceiling binds where the token ceiling would allow more",
            ceilings["memory"] < ceilings["tokens"],
            f"memory {ceilings['memory']}, tokens {ceilings['tokens']}",
        )

    async def _free_nodes(self) -> None:
        self._screen.step(
            6, "The nodes are free again", "Replicas follow the raised limit. Nobody told the "
            "pool of it: its probe saw it."
        )  # fmt: skip
        before = self._watch.status["replicas"]
        await self._hands.press_memory("node-b", "False")
        await self._hands.kubectl("-n", NAMESPACE, "delete", "pod", "batch", "--wait=false")
        await self._watch.until(
            "the ceiling follows",
            lambda: (
                self._watch.status["readyReplicas"] > before
                and self._watch.llm("limitTokensPerMinute") == UPGRADED_LIMIT
            ),
        )
        await self._watch.settle()
        await self._get_swp()
        self._claim(
            "a raised limit raises the replicas",
            self._watch.status["replicas"] > before,
            f"{before} before, {self._watch.status['replicas']} after",
        )

    async def _noisy_neighbor(self) -> None:
        self._screen.step(
            7, "Someone else burns the key", f"{NEIGHBOR_TOKENS_PER_MINUTE:,} tokens per minute of "
            "the same limit go to another consumer. The bucket falls, which tells the pool how "
            "much, and at a low level replicas go."
        )  # fmt: skip
        before = self._watch.status["replicas"]
        await self._watch.until(
            "the ceiling comes down",
            lambda: (
                (self._watch.llm("othersTokensPerMinute") or 0) > SEEN * NEIGHBOR_TOKENS_PER_MINUTE
                and self._watch.status["replicas"] < before
                and self._watch.status["limitedBy"] == "Tokens"
            ),
        )
        await self._get_swp()
        after = self._watch.status["replicas"]
        self._claim(
            "others' use lowers the ceiling, and with it the replicas",
            after < before,
            f"{before} before, {after} with others at "
            f"{self._watch.llm('othersTokensPerMinute'):,} TPM",
        )

    async def _quota(self) -> None:
        self._screen.step(
            8, "The prepaid quota runs out", "Every call is now refused, at once and for good. The "
            "breaker takes the workers away, so that messages wait instead of failing."
        )  # fmt: skip
        failed = self._world.users.counts().failed
        self._world.openai.provider.quota.set_remaining(0)
        await self._watch.until(
            "the breaker is open and no worker is left",
            lambda: (
                self._watch.condition("QuotaExhausted") == "True"
                and self._watch.status["replicas"] == 0
                and self._watch.status["readyReplicas"] == 0
            ),
        )
        await self._get_swp()
        waiting = self._world.users.counts()
        self._claim(
            "no scan fails while the quota is exhausted",
            waiting.failed == failed,
            f"{waiting.in_flight} scans wait, {waiting.failed - failed} failed",
        )
        self._screen.say("The account is topped up.")
        self._world.openai.provider.quota.set_remaining(None)
        await self._watch.until(
            "the breaker closes and scans complete again",
            lambda: (
                self._watch.condition("QuotaExhausted") == "False"
                and self._world.users.counts().completed > waiting.completed
            ),
        )
        await self._get_swp()

    async def _drain(self) -> None:
        self._screen.step(
            9, "The queues drain", "Workers come back slowly, twice as many every 30 s. Once "
            "nothing is left to do, replicas come down to the minimum."
        )  # fmt: skip
        await self._watch.until(
            "every scan has ended",
            lambda: (
                self._world.users.counts().in_flight == self._world.chats.counts().in_flight == 0
            ),
        )
        await self._watch.until(
            "replicas are at the minimum",
            lambda: self._watch.status["replicas"] == self._watch.spec["minReplicas"],
        )
        await self._get_swp()

    async def _sum_up(self) -> bool:
        counts, tally = self._world.users.counts(), self._world.openai.provider.ledger.total
        calls, refused = self._watch.calls()
        self._claim_few_refusals("429s of the whole story that name a rate limit")
        chats = self._world.chats.counts()
        lost = counts.in_flight + chats.in_flight
        left = await self._world.messages_left()
        self._claim(
            "no scan and no chat is lost",
            lost == 0 and left == 0,
            f"{counts.submitted} scans and {chats.submitted} chats submitted, {lost} lost, "
            f"{left} messages left in the queues",
        )
        self._screen.summary(
            (
                ("scans submitted", f"{counts.submitted:,}"),
                ("scans completed", f"{counts.completed:,}"),
                ("scans failed", f"{counts.failed:,}"),
                ("chats completed", f"{chats.completed:,}"),
                ("scans and chats lost", f"{lost:,}"),
                ("LLM calls by the workers", f"{calls:,}"),
                ("  refused: rate limit (429)", f"{refused:,}"),
                ("  refused: quota (429)", f"{tally.error_codes['insufficient_quota']:,}"),
                ("tokens charged to the key", f"{tally.tokens:,}"),
                ("peak replicas", f"{self._watch.peak_replicas}"),
                ("duration", f"{self._watch.seconds:.0f} s"),
            )
        )
        for claim in self._claims:
            self._screen.claim(claim)
        return all(claim.held for claim in self._claims)

    def _claim_few_refusals(self, what: str) -> None:
        calls, refused = self._watch.calls()
        self._claim(
            f"{what} are at most {MAX_REFUSED_SHARE:.1%} of the LLM calls",
            refused <= MAX_REFUSED_SHARE * calls,
            f"{refused} of {calls:,} calls",
        )

    def _claim(self, text: str, held: bool, evidence: str) -> None:
        claim = Claim(text, held, evidence)
        self._claims.append(claim)
        self._screen.claim(claim)

    async def _get_swp(self, *options: str) -> None:
        await self._hands.kubectl("-n", NAMESPACE, "get", "swp", *options)


def _events_of(described: str) -> str:
    """Return only the Events of what `kubectl describe` printed."""
    return "Events:" + described.partition("\nEvents:")[2]
