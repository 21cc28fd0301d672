"""What is asked of each case: told, recovered from, and nothing that must hold was broken."""

from faults.case import Case
from faults.held import Held
from faults.world import CEILING, World
from sandbox.kube_client import Obj
from sandbox.operator_process import Operator
from sandbox.patience import until
from sandbox.shown import secrets_in, shown_of

RECOVERY_SECONDS = 240.0
"""The breaker asks again after a minute, and lets replicas back step by step."""


class Acts:
    """The cases of a part, all at once in one operator; `case` is each of them."""

    cases: tuple[Case, ...]

    def test_a_fault_is_told_and_the_replicas_are_as_expected(
        self, failing: World, case: Case
    ) -> None:
        scene = failing.scene
        if case.tells:
            kind, _, status = case.tells.partition("=")
            scene.wait_condition(case.name, kind, status, case.reason)
        if case.tells and case.has_event:
            events = until("it is an Event", lambda: events_of(failing, case), scene.events)
            assert {event["type"] for event in events} == {"Warning"}
        if case.replicas:
            scene.wait_replicas(case.name, case.replicas)

    def test_it_recovers_by_itself(self, mended: World, case: Case) -> None:
        mended.scene.wait_condition(case.name, "Ready", "True", "Reconciled")
        until(
            f"{case.name} has {case.after} replicas",
            lambda: mended.scene.replicas(case.name) == case.after,
            lambda: mended.scene.status(case.name),
            RECOVERY_SECONDS,
        )

    def test_an_unknown_lowered_nothing_and_no_ceiling_was_passed(
        self, mended: World, case: Case
    ) -> None:
        had = mended.scene.stage.scales(mended.scene.namespace, case.name)
        assert max(had) <= case.most
        assert min(had) >= 1
        if not case.is_known:
            assert had == [1, CEILING]

    def test_no_message_is_lost(self, mended: World) -> None:
        for queue, count in mended.published.items():
            assert mended.scene.queues.ready(queue) == count

    def test_no_secret_is_shown(self, mended: World) -> None:
        shown = shown_of(mended.scene)
        assert [
            (name, place)
            for name, secret in mended.secrets.items()
            for place in secrets_in(shown, secret, mended.rabbitmq.user)
        ] == []

    def test_no_tick_failed(self, mended: World) -> None:
        no_tick_failed(mended.scene.stage.operator)

    def test_the_operator_holds_no_more_than_before(self, mended: World, held: Held) -> None:
        assert mended
        held.check()


def no_tick_failed(operator: Operator) -> None:
    assert "Traceback" not in operator.log
    assert operator.ticks("error") == operator.ticks("timeout") == 0


def events_of(world: World, case: Case) -> list[Obj]:
    told = world.scene.events(case.reason)
    return [event for event in told if event["involvedObject"]["name"] == case.name]
