"""Who may take the Lease and when: the rules one by one, and two candidates on one Lease."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanpool.lead import election
from scanpool.lead.election import Candidate, Seen, Terms
from scanpool.models.lease import NOBODY, Lease

OTHER = "other_2"
NOW = 1000.0
TERMS = Terms()
ME = Candidate("me_1", TERMS)
STAMP = "2026-11-27T05:00:00.000000Z"
HELD = Lease(OTHER, 15, STAMP, STAMP, 3, "7")
FREE = -float("inf")


def test_the_terms_are_those_of_client_go() -> None:
    assert (TERMS.seconds, TERMS.renew_seconds, TERMS.retry_seconds) == (15, 10, 2)


@pytest.mark.parametrize(
    ("seen", "found", "taken_until"),
    [
        pytest.param(Seen(HELD, FREE, NOW + 1), None, FREE, id="mine-and-deleted"),
        pytest.param(Seen(HELD, FREE, NOW + 1), Lease(version="8"), FREE, id="mine-and-emptied"),
        pytest.param(Seen(HELD, FREE, NOW), None, NOW + 15, id="deleted-after-my-time"),
        pytest.param(Seen(None, NOW + 4), None, NOW + 4, id="deleted-some-time-ago"),
        pytest.param(Seen(), None, FREE, id="never-was-one"),
        pytest.param(Seen(), HELD, NOW + 15, id="another-holds-it"),
        pytest.param(Seen(HELD, NOW + 4), HELD, NOW + 4, id="unchanged-since"),
        pytest.param(Seen(HELD, NOW + 4), replace(HELD, version="8"), NOW + 15, id="renewed"),
        pytest.param(Seen(), replace(HELD, seconds=60), NOW + 60, id="by-its-holders-terms"),
        pytest.param(Seen(), replace(HELD, holder=ME.name), FREE, id="it-is-mine"),
        pytest.param(
            Seen(HELD, NOW + 4), replace(HELD, holder=NOBODY, version="8"), FREE, id="given-back"
        ),
        pytest.param(Seen(HELD, NOW + 4), None, NOW + 15, id="deleted-while-held"),
        pytest.param(Seen(HELD, NOW + 4), Lease(version="8"), NOW + 15, id="emptied-while-held"),
        pytest.param(Seen(), Lease(version="1"), FREE, id="made-by-hand-and-never-taken"),
    ],
)
def test_what_a_look_tells(seen: Seen, found: Lease | None, taken_until: float) -> None:
    after = election.look(seen, found, ME, NOW)

    assert (after.lease, after.taken_until) == (found, taken_until)
    assert election.may_take(after, NOW) is (taken_until <= NOW)


def test_the_clock_of_the_holder_does_not_count() -> None:
    long_ago, to_come = (
        election.look(Seen(), replace(HELD, renewed_at=stamp), ME, NOW).taken_until
        for stamp in ("1970-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z")
    )

    assert long_ago == to_come == NOW + 15


@pytest.mark.parametrize(
    ("taken_until", "seconds"),
    [
        pytest.param(FREE, 2, id="to-renew"),
        pytest.param(NOW + 9, 2, id="long-taken"),
        pytest.param(NOW + 0.5, 0.5, id="as-soon-as-it-is-free"),
    ],
)
def test_when_to_look_again(taken_until: float, seconds: float) -> None:
    assert election.wait_seconds(Seen(HELD, taken_until), TERMS, NOW) == seconds


@pytest.mark.parametrize(
    ("seen", "written"),
    [
        pytest.param(Seen(), Lease(ME.name, 15, "now", "now", 0), id="the-first-of-all"),
        pytest.param(
            Seen(Lease(version="1")),
            Lease(ME.name, 15, "now", "now", 0, "1"),
            id="the-first-holder",
        ),
        pytest.param(Seen(HELD), Lease(ME.name, 15, "now", "now", 4, "7"), id="from-another"),
        pytest.param(
            Seen(replace(HELD, holder=ME.name, seconds=9)),
            Lease(ME.name, 15, STAMP, "now", 3, "7"),
            id="a-renewal-is-no-transition",
        ),
    ],
)
def test_what_is_written(seen: Seen, written: Lease) -> None:
    assert election.bid(seen, ME, "now") == written


def test_what_is_given_back_is_free_at_once() -> None:
    lease = replace(election.given_back(HELD, "now"), version="8")

    assert (lease.holder, lease.seconds, lease.transitions) == (NOBODY, 1, 3)
    assert election.may_take(election.look(Seen(HELD, NOW + 15), lease, ME, NOW), NOW)


class Server:
    """One Lease that takes a write of the version it has, and no other."""

    def __init__(self) -> None:
        self.lease: Lease | None = None
        self.revision = 0

    def write(self, lease: Lease) -> Lease | None:
        if lease.version != ("" if self.lease is None else self.lease.version):
            return None
        self.revision += 1
        self.lease = replace(lease, version=str(self.revision))
        return self.lease


class Process:
    """A candidate whose clock starts anywhere: until when it acts, in the time of the world."""

    def __init__(self, name: str, clock: float) -> None:
        self.me, self.clock = Candidate(name, TERMS), clock
        self.seen, self.acts_until = Seen(), FREE

    def attempt(self, server: Server, sent_at: float, came_at: float) -> None:
        """Look and bid; a request goes out at one time, and its answer comes at another."""
        now = came_at + self.clock
        self.seen = election.look(self.seen, server.lease, self.me, now)
        if not election.may_take(self.seen, now):
            return
        lease = election.bid(self.seen, self.me, STAMP)
        if (written := server.write(lease)) is not None:
            began = sent_at + self.clock
            self.seen = Seen(written, mine_until=began + TERMS.seconds)
            self.acts_until = sent_at + TERMS.renew_seconds


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "deleted", "emptied"]),
        st.floats(0, 20, width=16),
        st.floats(0, 5, width=16),
    ),
    max_size=40,
)


@settings(max_examples=300)
@given(steps=STEPS, clocks=st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)))
def test_two_never_act_at_once(
    steps: list[tuple[str, float, float]], clocks: tuple[float, float]
) -> None:
    # Any pauses between attempts, slow answers, and a person who deletes or empties the Lease once:
    # whoever takes it does so after the other's time to act. (One that was made anew and deleted
    # again, both unseen, cannot be told from one that has been gone all the while.)
    now, is_touched, server = 0.0, False, Server()
    processes = {name: Process(name, clock) for name, clock in zip("ab", clocks, strict=True)}
    for process in processes.values():
        # Both have run for a while: a first look at a Lease that was deleted tells nothing.
        process.attempt(server, now, now)
    for who, pause, delay in steps:
        now += pause
        if who not in processes:
            if is_touched:
                continue
            is_touched = True
            server.lease = Lease(version="0") if who == "emptied" and server.lease else None
            continue
        me, other = processes[who], processes["b" if who == "a" else "a"]
        sent_at, now = now, now + delay
        before = me.acts_until
        me.attempt(server, sent_at, now)
        if me.acts_until > before:
            assert other.acts_until <= now
