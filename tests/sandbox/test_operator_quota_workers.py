"""The billing breaker over real workers: scans wait for the next payment instead of failing."""

from sandbox.overload import NAME, Overload, open_overload
from sandbox.patience import until
from sandbox.scene import llm

PROBE_SECONDS = 2
"""Long enough for workers to be refused first; a task gives up with its ninth call, 6 s later."""


def probes(overload: Overload) -> int:
    """Calls of the operator's own."""
    return overload.server.provider.ledger.total.calls - len(overload.calls())


def test_scans_wait_while_nothing_is_paid(stage, rabbitmq, background) -> None:
    with open_overload(stage, rabbitmq, background) as overload:
        scene, quota = overload.scene, overload.server.provider.quota
        pool = llm(
            overload.server.base_url,
            onQuotaExhausted="ScaleToZero",
            probe={"intervalSeconds": PROBE_SECONDS},
        )
        overload.create_pool(llm=pool)
        scene.wait_condition(NAME, "QuotaExhausted", "False", "QuotaAvailable")
        asked = probes(overload)
        until("the next probe was answered", lambda: probes(overload) > asked)

        quota.set_remaining(0)
        scene.wait_condition(NAME, "QuotaExhausted", "True", "QuotaExhausted")
        until("no worker is left", lambda: not overload.pods(), lambda: scene.status(NAME))
        assert any(call.code == "insufficient_quota" for call in overload.calls())
        until(
            "every scan that has not ended waits in a queue",
            lambda: overload.waiting() == overload.counts().in_flight,
            lambda: (overload.waiting(), overload.counts()),
        )
        assert overload.counts().failed == 0

        quota.set_remaining(None)
        scene.wait_condition(NAME, "QuotaExhausted", "False", "QuotaRecovering")
        completed = overload.counts().completed
        until("scans complete again", lambda: overload.counts().completed > completed)
        assert overload.counts().failed == 0
