"""The last will of a killed worker, and the claims that it is about, step by step on a server."""

from typing import Any

import msgspec
import pytest

import notify
from tests.support.sample_jobs import add
from workers import Job, Queue, rq_keys
from workers.fleet.reaper import Reaper
from workers.horse import Board, Reply
from workers.line import LastWill
from workers.scripts import ClaimScripts, Ended, Fences, JobScripts, Refill, RefillCall, Run, number_in, runs_in


class Worker:
    """The claims of a worker without processes."""

    def __init__(self, bus: notify.Bus) -> None:
        self.client, self.fences = bus.redis, Fences()
        self.claims = self.make(self.client)

    def make(self, client: Any) -> ClaimScripts:
        return ClaimScripts(client, "w", heartbeat_s=30, idle_s=480, result_ttl_s=500)

    def refill(
        self, wanted: int, *, number: int = 0, again: bool = False, ended: tuple[Ended, ...] = (), line: tuple[Run, ...] = ()
    ) -> Refill:
        number = number or self.fences.take(max(1, wanted))
        queues = ["rq:queue:work"]
        call = RefillCall(queues, ended=ended, line=line, wanted=wanted, fences=self.fences, number=number, was_made=again)
        return self.claims.refill(call)

    def die(self, *replies: Reply, begun: int) -> None:
        """Do the last will: the horse has sent these replies, and begun so many of its runs."""
        self.leave(b"".join(map(sent, replies)), begun=begun)

    def leave(self, *rests: bytes, begun: int) -> None:
        """Do the last will: the last horses have sent these bytes, and begun so many of the runs."""
        board = Board()
        board.begun = begun
        LastWill("w", self.fences, connect=lambda: self.client.clone(name="will"), claims=self.make)(rests, board)

    def ahead(self) -> list[Run]:
        raw: Any = self.client.hget(rq_keys.worker("w"), "ahead")
        return runs_in(raw)


@pytest.fixture
def worker(bus: notify.Bus) -> Worker:
    return Worker(bus)


@pytest.fixture
def ids(queue: Queue) -> list[str]:
    return [queue.enqueue(add).id for _ in range(6)]


def end_of(run: Run) -> Reply:
    return Reply(ended=Ended(run, 1.0, 2.0, is_announced=False))


def sent(reply: Reply) -> bytes:
    """The bytes of a reply in the socket."""
    encoded = msgspec.msgpack.encode(reply)
    return len(encoded).to_bytes(4, "big") + encoded


def test_it_records_what_has_returned_and_puts_back_what_has_not_begun(worker: Worker, queue: Queue, ids: list[str]) -> None:
    claims = worker.refill(5).claims
    assert [claim.job_id for claim in claims] == ids[:5]
    worker.die(end_of(claims[0].run), end_of(claims[1].run), begun=3)
    assert sorted(queue.finished_job_registry.get_job_ids()) == sorted(ids[:2])  # those of one second come in the order of their ids
    assert queue.get_job_ids() == [ids[3], ids[4], ids[5]]
    assert (worker.ahead(), queue.started_job_registry.get_job_ids()) == ([claims[2].run], [ids[2]])


def test_the_twin_that_does_not_know_what_had_begun_has_jobs_begin_twice(worker: Worker, queue: Queue, ids: list[str]) -> None:
    """As a reaper would that takes all but the first run for not begun."""
    claims = worker.refill(5).claims
    worker.die(end_of(claims[0].run), begun=1)
    assert ids[2] in queue.get_job_ids(), "it had begun, by the story of the test above"


def test_a_reply_in_two_pieces_counts_for_nothing(worker: Worker, queue: Queue, ids: list[str]) -> None:
    claims = worker.refill(2).claims
    worker.leave(sent(end_of(claims[0].run))[:20], begun=1)
    assert (queue.get_job_ids()[0], queue.started_job_registry.get_job_ids()) == (ids[1], [ids[0]])


def test_the_ends_that_an_earlier_horse_sent_are_recorded_too(worker: Worker, queue: Queue, ids: list[str]) -> None:
    """The first one was killed in the middle of a reply."""
    first, second, third, _ = (end_of(claim.run) for claim in worker.refill(4).claims)
    worker.leave(sent(first) + sent(second)[:20], sent(third), begun=3)
    assert sorted(queue.finished_job_registry.get_job_ids()) == sorted([ids[0], ids[2]])
    assert (queue.get_job_ids(), queue.started_job_registry.get_job_ids()) == (ids[3:], [ids[1]])


def test_a_run_that_was_stopped_after_it_had_returned_is_left_to_the_reaper(
    bus: notify.Bus, worker: Worker, queue: Queue, ids: list[str]
) -> None:
    """Nobody would find it otherwise: its end cannot be recorded as that of a run that finished."""
    runs = [claim.run for claim in worker.refill(4).claims]
    assert JobScripts(bus.redis).stop_run(ids[0], reason="enough")
    worker.die(end_of(runs[0]), end_of(runs[1]), begun=number_in(runs[1].fence))
    assert worker.ahead() == [runs[0]]
    Reaper(bus.redis).reap("w", ids[0])
    job = Job.fetch(ids[0], connection=bus.redis)
    assert (job.outcome and job.outcome.status, queue.started_job_registry.get_job_ids()) == ("stopped", [])
    assert queue.get_job_ids() == ids[2:]


def test_a_run_that_was_stopped_before_it_began_is_left_to_the_reaper(
    bus: notify.Bus, worker: Worker, queue: Queue, ids: list[str]
) -> None:
    """It is neither put back nor recorded: without a place in the line it would stay listed as started, and nobody told of its end."""
    runs = [claim.run for claim in worker.refill(4).claims]
    assert JobScripts(bus.redis).stop_run(ids[2], reason="enough")
    worker.die(begun=number_in(runs[0].fence))
    assert (worker.ahead(), queue.get_job_ids()) == ([runs[0], runs[2]], [ids[1], ids[3], *ids[4:]])
    with bus.subscribe("job.work") as events:
        Reaper(bus.redis).reap("w", ids[0])
        told = [(event.contents["job"], event.contents["status"]) for event in iter(lambda: events.get(0.2), None)]
    assert (ids[2], "stopped") in told
    assert queue.started_job_registry.get_job_ids() == []


def test_a_run_whose_start_is_told_while_the_will_is_done_has_started_once(
    bus: notify.Bus, worker: Worker, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last command of the killed worker, that the run goes on, reaches the server between two commands of the will."""
    (run,) = [claim.run for claim in worker.refill(1).claims]
    refill = ClaimScripts.refill

    def overtaken(claims: ClaimScripts, *args: Any, **options: Any) -> Refill:
        worker.claims.give_back([], line=[run], goes_on=run, ttl_s=90)
        return refill(claims, *args, **options)

    monkeypatch.setattr(ClaimScripts, "refill", overtaken)
    with bus.subscribe("job.work") as events:
        worker.die(end_of(run), begun=1)
        told = [event.contents["status"] for event in iter(lambda: events.get(0.2), None)]
    assert told == ["started", "finished"]
    assert not list(bus.redis.scan_iter("rq:execution*"))


def test_a_worker_that_has_taken_over_the_name_keeps_its_runs(bus: notify.Bus, worker: Worker, queue: Queue, ids: list[str]) -> None:
    successor = Worker(bus)
    claims = successor.refill(3).claims
    worker.die(begun=0)
    assert (successor.ahead(), len(queue.get_job_ids())) == ([claim.run for claim in claims], 3)


@pytest.mark.usefixtures("ids")
def test_a_refill_whose_answer_was_lost_gives_the_same_runs_again(worker: Worker, queue: Queue) -> None:
    first = worker.refill(2).claims
    ended = (Ended(first[0].run, 1.0, 2.0, is_announced=False),)
    number = worker.fences.take(3)
    answers = []
    for again in (False, True):
        worker.claims = worker.make(worker.client)  # the first one has not heard the answer
        answers.append(worker.refill(3, number=number, again=again, ended=ended, line=(first[1].run,)))
    assert [answer.ended for answer in answers] == [("finished",)] * 2
    assert [claim.run for claim in answers[1].claims] == [claim.run for claim in answers[0].claims]
    assert (len(answers[0].claims), queue.count) == (3, 1)
    assert worker.client.hget(rq_keys.worker("w"), "successful_job_count") == b"1"
    worker.refill(0)
    assert worker.client.hget(rq_keys.worker("w"), "successful_job_count") == b"1"


def test_a_run_that_was_stopped_is_not_put_back(worker: Worker, queue: Queue, ids: list[str]) -> None:
    claims = worker.refill(4).claims
    worker.client.hset(rq_keys.job(ids[2]), mapping={"status": "stopped", "stopped": claims[2].fence})
    worker.client.hdel(rq_keys.job(ids[2]), "fence")
    refused = worker.claims.give_back([claim.run for claim in claims[1:]], line=[claims[0].run])
    assert (refused, queue.get_job_ids()) == ({ids[2]}, [ids[1], ids[3], ids[4], ids[5]])
    assert worker.ahead() == [claims[0].run, claims[2].run], "a reaper would not find it, if the worker died before it has recorded the end"


@pytest.mark.parametrize("field", ["needs", "ttl", "stopped_callback_name", "ended_at", "held", "outcome"])
def test_a_job_that_is_not_plain_is_left_to_be_claimed_alone(bus: notify.Bus, worker: Worker, queue: Queue, field: str) -> None:
    first, special = queue.enqueue(add), queue.enqueue(add)
    bus.redis.hset(special.key, field, "{}")
    answer = worker.refill(5)
    assert [claim.job_id for claim in answer.claims] == [first.id]
    assert (worker.refill(5, line=(answer.claims[0].run,)).answer, queue.get_job_ids()) == ("alone", [special.id])
