"""The effect of a loss: every policy, in every state of a job, at every moment."""

from typing import NamedTuple

import pytest

import notify
from tests.support.situations import POLICIES, STATUS, Situation


class Row(NamedTuple):
    """A moment, the moves that lead to it (see `Situation`), and the expected events of a job for each policy.

    Without a value of its own, a policy with a grace or a limit behaves as the one without.
    """

    moment: str
    moves: str
    cancel: str
    hold: str
    ignore: str
    grace: str = ""
    """For ``cancel`` and ``drain`` with ``grace_s``."""
    hold_grace: str = ""
    hold_max: str = ""
    drain: str = ""
    """As ``cancel``, except for a running job."""
    needs: tuple[str, ...] = ("name", "capability")

    def stories(self) -> dict[str, str]:
        drain = self.drain or self.cancel
        return {
            "cancel": self.cancel,
            "cancel+grace": self.grace or self.cancel,
            "hold": self.hold,
            "hold+grace": self.hold_grace or self.hold,
            "hold+max": self.hold_max or self.hold,
            "drain": drain,
            "drain+grace": self.drain or self.grace or drain,
            "ignore": self.ignore,
        }


def all_do(moment: str, moves: str, story: str, *, needs: tuple[str, ...] = ("name", "capability")) -> Row:
    return Row(moment, moves, story, story, story, needs=needs)


CAPABILITY = ("capability",)

TABLE = [
    # At its enqueue
    Row("never there", "enqueue apply claim", "cancelled", "held", "enqueued started", grace="held"),
    Row("gone before", "up down enqueue apply claim", "cancelled", "held", "enqueued started", grace="held"),
    all_do("gone before, and back", "up down up enqueue apply claim", "enqueued started"),
    all_do("one of two is there", "up other_up down enqueue apply claim", "enqueued started", needs=CAPABILITY),
    # While it waits
    Row(
        "it waits, the loss watcher is first",
        "up enqueue down apply claim",
        cancel="enqueued cancelled",
        grace="enqueued held",
        hold="enqueued held",
        ignore="enqueued started",
    ),
    Row(
        "it waits, the claim is first",
        "up enqueue down claim apply",
        cancel="enqueued cancelled",
        grace="enqueued held",
        hold="enqueued held",
        ignore="enqueued started",
    ),
    Row(
        "it waits, and that is back before anybody looks",
        "up enqueue down up apply claim",
        cancel="enqueued cancelled",
        grace="enqueued started",
        hold="enqueued started",
        ignore="enqueued started",
    ),
    Row(
        "it waits, and that is back in time",
        "up enqueue down apply up release claim",
        cancel="enqueued cancelled",
        grace="enqueued held released started",
        hold="enqueued held released started",
        ignore="enqueued started",
    ),
    Row(
        "it waits, and that is back too late",
        "up enqueue down apply late release up release claim",
        cancel="enqueued cancelled",
        grace="enqueued held cancelled:grace_s",
        hold="enqueued held released started",
        hold_max="enqueued held cancelled:max_hold_s",
        ignore="enqueued started",
    ),
    Row(
        "it waits, and nobody looks in time",
        "up enqueue down late apply claim",
        cancel="enqueued cancelled",
        hold="enqueued held",
        ignore="enqueued started",
    ),
    Row(  # a loss that no worker applied before the service returned does not count
        "it waits, and that is back too late, but before anybody looks",
        "up enqueue down late up apply claim",
        cancel="enqueued cancelled",
        grace="enqueued started",
        hold="enqueued started",
        ignore="enqueued started",
    ),
    Row(
        "it waits, and is cancelled",
        "up enqueue cancel down apply claim",
        cancel="enqueued cancelled:asked",
        hold="enqueued cancelled:asked",
        ignore="enqueued cancelled:asked",
    ),
    all_do("it waits, something else is gone", "up other_up enqueue other_down apply claim", "enqueued started"),
    all_do("it waits, one of two is gone", "up other_up enqueue down apply claim", "enqueued started", needs=CAPABILITY),
    Row(
        "it waits, the last of two is gone",
        "up other_up enqueue down other_down apply claim",
        cancel="enqueued cancelled",
        grace="enqueued held",
        hold="enqueued held",
        ignore="enqueued started",
        needs=CAPABILITY,
    ),
    Row(
        "it waits, another one comes instead",
        "up enqueue down apply other_up release claim",
        cancel="enqueued cancelled",
        grace="enqueued held released started",
        hold="enqueued held released started",
        ignore="enqueued started",
        needs=CAPABILITY,
    ),
    # While it is held
    Row(
        "it is held, and that comes",
        "enqueue up release claim",
        cancel="cancelled",
        grace="held released started",
        hold="held released started",
        ignore="enqueued started",
    ),
    Row(
        "it is held, and that comes and goes before anybody looks",
        "enqueue up down release claim",
        cancel="cancelled",
        grace="held",
        hold="held",
        ignore="enqueued started",
    ),
    Row(
        "it is held, comes back, and loses it again",
        "enqueue up release down apply claim",
        cancel="cancelled",
        grace="held released held",
        hold="held released held",
        ignore="enqueued started",
    ),
    Row(
        "it is held twice, and comes back",
        "enqueue up release down apply release up release claim",
        cancel="cancelled",
        grace="held released held released started",
        hold="held released held released started",
        ignore="enqueued started",
    ),
    Row(
        "it is held for too long",
        "enqueue late release claim",
        cancel="cancelled",
        grace="held cancelled:grace_s",
        hold="held",
        hold_max="held cancelled:max_hold_s",
        ignore="enqueued started",
    ),
    Row(
        "it is held for long, but that is there when anybody looks",
        "enqueue late up release claim",
        cancel="cancelled",
        grace="held released started",
        hold="held released started",
        ignore="enqueued started",
    ),
    Row(
        "it is held, and is cancelled",
        "enqueue cancel up release claim",
        cancel="cancelled",
        grace="held cancelled:asked",
        hold="held cancelled:asked",
        ignore="enqueued cancelled:asked",
    ),
    # While it runs
    Row(
        "it runs",
        "up enqueue claim down check dead",
        cancel="enqueued started stopped",
        grace="enqueued started",
        hold="enqueued started held",
        hold_grace="enqueued started",
        drain="enqueued started",
        ignore="enqueued started",
    ),
    Row(
        "it runs, and the grace is over",
        "up enqueue claim down check dead late check dead",
        cancel="enqueued started stopped",
        hold="enqueued started held",
        drain="enqueued started",
        ignore="enqueued started",
    ),
    Row(
        "it runs, and that is back before anybody looks",
        "up enqueue claim down up check dead",
        cancel="enqueued started stopped",
        grace="enqueued started",
        hold="enqueued started released",
        hold_grace="enqueued started",
        drain="enqueued started",
        ignore="enqueued started",
    ),
    Row(
        "it runs, and that is back in time",
        "up enqueue claim down check up check dead late check dead",
        cancel="enqueued started stopped",
        grace="enqueued started",
        hold="enqueued started released",
        hold_grace="enqueued started",
        drain="enqueued started",
        ignore="enqueued started",
    ),
    all_do("it runs, something else is gone", "up other_up enqueue claim other_down check dead", "enqueued started"),
    all_do("it runs, one of two is gone", "up other_up enqueue claim down check dead", "enqueued started", needs=CAPABILITY),
    Row(
        "it runs, and is held until that is back",
        "up enqueue claim down check dead up release claim",
        cancel="enqueued started stopped",
        grace="enqueued started",
        hold="enqueued started held released started",
        hold_grace="enqueued started",
        drain="enqueued started",
        ignore="enqueued started",
    ),
    Row(
        "it runs, and is cancelled",
        "up enqueue claim cancel down check dead",
        cancel="enqueued started stopped:asked",
        hold="enqueued started stopped:asked",
        ignore="enqueued started stopped:asked",
    ),
    # Between the stop and the hold
    Row(
        "it is being stopped, and that is back",
        "up enqueue claim down check up dead claim",
        cancel="enqueued started stopped",
        grace="enqueued started",
        hold="enqueued started released started",
        hold_grace="enqueued started",
        drain="enqueued started",
        ignore="enqueued started",
    ),
    Row(
        "it is being stopped, and is cancelled",
        "up enqueue claim down check cancel dead",
        cancel="enqueued started stopped",
        grace="enqueued started stopped:asked",
        hold="enqueued started stopped:asked",
        drain="enqueued started stopped:asked",
        ignore="enqueued started stopped:asked",
    ),
]
CASES = [pytest.param(row, need, id=f"{row.moment} ({need})") for row in TABLE for need in row.needs]


@pytest.mark.parametrize("window", [pytest.param(1, id="alone"), pytest.param(32, id="batches", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("row", "need"), CASES)
def test_a_loss_does_to_a_job_what_its_policy_says(bus: notify.Bus, row: Row, need: str, window: int) -> None:
    expected = row.stories()
    with Situation(bus, need, window=window) as situation:
        situation.bring_about(row.moves)
        assert {policy: situation.story(policy) for policy in POLICIES} == expected
        assert {policy: situation.status(policy) for policy in POLICIES} == {
            policy: STATUS.get(last, last) for policy, story in expected.items() for last in [story.split()[-1].partition(":")[0]]
        }
        for policy, job in situation.jobs.items():
            assert job.held == (situation.need if situation.status(policy) == "deferred" else None)
