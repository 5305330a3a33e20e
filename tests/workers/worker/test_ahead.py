"""More jobs are claimed while worker and horse go on with those that they have: without a server, each answer comes when a test says so."""

import pytest

from notify.errors import ServerRefusedError, ServerUnreachableError
from tests.support.claims_here import FakeHorse, a_claim, returned
from tests.workers.worker.test_loop_claims import AWAY, QUEUE, Situation
from workers.horse import Reply
from workers.scripts import BEGIN_S, Claim, Refill, Run
from workers.worker import ahead, claimer


@pytest.fixture(autouse=True)
def asks_after_each_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "FREE", 1)


def claims_of(*ids: str) -> tuple[Claim, ...]:
    return tuple(a_claim(job_id) for job_id in ids)


def situation(*later: Refill | Exception) -> Situation:
    """A worker that has the jobs a to d, and claims more when one of them is over; no answer comes before it is waited for."""
    first = Refill((), "started", claims_of(*"abcd"), has_more=True)
    its = Situation(first, *later, horse=FakeHorse(*map(returned, "abcdefgh")), window=4)
    its.connection.answers_now = False
    return its


def given(its: Situation) -> str:
    return "".join(task.job_id for task in its.horse.given)


def test_worker_and_horse_go_on_with_what_they_have_until_the_answer_comes() -> None:
    its = situation(Refill(("finished",), "started", claims_of("e"), has_more=True), Refill(("finished",) * 2, ""))
    its.run()
    its.run()
    its.run()
    (call,) = its.claims.sent
    assert ([end.run.job_id for end in call.ended], [run.job_id for run in call.line], call.wanted) == (["a"], [*"bcd"], 1)
    assert given(its) == "abcd"
    its.connection.answers_now = True
    its.run()
    assert given(its) == "abcde"
    assert [[end.run.job_id for end in sent.ended] for sent in its.claims.sent] == [["a"], ["b", "c"]]


def test_the_worker_waits_for_the_answer_when_it_has_nothing_else() -> None:
    its = situation(Refill(("finished",), "started", claims_of("e")))
    for _ in "abcde":
        its.run()
    assert given(its) == "abcde"


def test_a_lost_answer_is_asked_for_again_by_the_same_call() -> None:
    its = situation(ServerUnreachableError("gone for a moment"), Refill(("finished",), "started", claims_of("e")))
    for _ in "abcde":
        its.run()
    first, second = its.claims.asked[1:]
    assert (first.fence, first.ended, first.again) == (second.fence, second.ended, False)
    assert second.again


def test_a_call_that_could_not_be_sent_is_made_when_its_answer_is_needed() -> None:
    its = situation(Refill(("finished",), "started", claims_of("e")))
    its.connection.is_ready = False
    for _ in "abcde":
        its.run()
    assert (its.claims.sent, given(its)) == ([], "abcde")


def test_ends_that_come_during_a_call_are_recorded_by_the_next_one() -> None:
    its = situation(Refill(("finished",), ""), Refill(("finished",) * 3, ""))
    for _ in "abcd":
        its.run()
    assert its.next_job() is None
    assert [[end.run.job_id for end in asked.ended] for asked in its.claims.asked] == [[], ["a"], [*"bcd"]]
    assert its.horse.forgotten == 4


def test_an_end_that_is_refused_is_recorded_in_another_way_and_later_ones_are_not() -> None:
    its = situation(Refill(("refused",), "unfinished"))
    for _ in "abcd":
        its.run()
    its.loop.ahead.settle()
    assert its.events == [("refused", "a")]
    assert [end.run.job_id for end in its.loop._returned.ends()] == [*"bcd"]


def test_what_a_call_under_way_brings_goes_back_behind_a_long_job() -> None:
    its = situation(Refill(("finished",), "started", claims_of("e")))
    its.run()
    its.next_job()
    its.horse.unbegun = 2
    before = its.horse.take_back

    def take_back() -> int:
        its.horse.unbegun = len(its.horse.given) - 2
        return before()

    its.horse.take_back = take_back  # type: ignore[method-assign]  # the horse has begun a and b
    its.loop.ahead.goes_on(ttl_s=90)
    (back,) = its.claims.given_back
    assert ([run.job_id for run in back.runs], back.goes_on) == ([*"cde"], Run("b", "f"))
    assert given(its) == "abcd", "begun before c and d, e would be out of turn"


def test_an_end_that_rq_records_waits_for_the_call_under_way() -> None:
    """That call says which runs go on. Recorded before it, this one would be named after its end."""
    its = situation(Refill(("finished",), "started", claims_of("e")))
    its.run()
    job = its.next_job()
    its.horse.ends[0] = Reply()
    its.loop.execute(job, QUEUE)
    assert len(its.claims.asked) == 2
    assert its.events[0][:2] == ("record", "b")


def test_a_worker_that_is_to_end_asks_for_nothing_more() -> None:
    """What came would neither be performed nor given back."""
    its = situation(Refill(("finished",) * 4, ""))
    its.run()
    its.current.leave_sign.put_up()
    its.loop.drain()
    assert its.claims.sent == []
    assert [end.run.job_id for end in its.claims.asked[-1].ended] == [*"abcd"]


@pytest.mark.parametrize(("problems", "is_leaving"), [([ServerRefusedError("a key is spoilt")], False), ([AWAY, AWAY], True)])
def test_a_run_goes_on_whatever_comes_of_a_call_under_way(
    monkeypatch: pytest.MonkeyPatch, problems: list[Exception], is_leaving: bool
) -> None:
    monkeypatch.setattr(claimer, "LEAVE_S", 0.0)
    its = situation(*problems)
    its.run()
    job = its.next_job()

    def pass_s(_: float) -> None:
        its.connection.answers_now = True
        if is_leaving:
            its.current.leave_sign.put_up()

    its.horse.pass_s = pass_s
    its.horse.ends.insert(0, None)
    its.loop.execute(job, QUEUE)
    assert its.claims.answers == []
    assert [end.run.job_id for end in its.loop._returned.ends()] == [*"ab"]


def test_what_a_call_brings_begins_within_a_time_from_when_it_was_sent() -> None:
    """The worker may have been frozen since, and whoever cancelled such a job may have been told that it never begins."""
    its = situation(Refill(("finished",), "started", claims_of("e")))
    its.run()
    its.run()
    (call,) = its.claims.sent
    call.asked_at = 1000.0
    its.loop.ahead.settle()
    assert its.horse.given[-1].begin_by == 1000 + BEGIN_S


def test_a_worker_that_may_have_lost_its_name_goes_on_when_it_has_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    its = situation(Refill(("finished",), "started", claims_of("e")))
    its.run()
    asked = iter([AWAY])

    def is_replaced() -> bool:
        for problem in asked:
            raise problem
        return False

    monkeypatch.setattr(its.hold, "is_fresh", lambda: False)
    monkeypatch.setattr(its.hold, "is_replaced", is_replaced)
    for _ in "bcde":
        its.run()
    assert (its.claims.sent, given(its)) == ([], "abcde")
