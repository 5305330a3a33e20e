"""Claims, a horse and scripts without a server and without processes: they record what they are asked."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from signal import SIGKILL, Signals
from types import SimpleNamespace
from typing import Any

from notify.settings import Settings
from workers.errors import HorseError
from workers.horse.channel import Reply, Task
from workers.horse.fork_server import Death
from workers.horse.horse import HorseEnd
from workers.scripts import Claim, Ended, Refill, RefillCall, Run, RunCheck

STOPPED_CHECK = RunCheck(may_run=False)
"""The check of a run that was marked as stopped before."""


def a_claim(job_id: str = "j", *, fence: str = "f", ended: str = "", fields: Mapping[bytes, bytes] | None = None) -> Claim:
    """Return the answer to a claim that started a job, on the first queue."""
    return Claim(ended, "started", 0, job_id, fields or {}, fence)


def no_claim(answer: str = "", *, ended: str = "", left: int = 0, overdue: str = "") -> Claim:
    """Return the answer to a claim that started no job; ``left`` jobs stay in the queues, one because of an ``overdue`` service."""
    return Claim(ended, answer, left, "", {}, "", overdue=overdue)


def returned(job_id: str = "j", *, fence: str = "f") -> Reply:
    """Return the reply of the horse for a function that returned."""
    return Reply(ended=Ended(Run(job_id, fence), 1.0, 2.0))


class FakeConnection:
    """The connection of the claims, which is open."""

    settings = Settings()
    own_keys = settings

    def translating(self, action: str) -> nullcontext[None]:
        return nullcontext()

    def ensure_open(self) -> bool:
        return False

    def fileno(self) -> int:
        return 99

    is_ready = True
    answers_now = True
    """Whether the answer to what was sent has arrived."""

    def has_answer(self) -> bool:
        return self.answers_now

    def hang_up(self) -> None: ...


class FakeHold:
    """The hold of a worker on its name, which it has until a test says that it is lost."""

    is_lost = False

    def is_fresh(self) -> bool:
        return not self.is_lost

    def is_replaced(self) -> bool:
        return self.is_lost


class FakeHorse:
    """A horse that records its tasks and signals, and ends each task as a test says."""

    pid = 4711

    def __init__(self, *ends: HorseEnd | None) -> None:
        self.ends = list(ends)
        self.given: list[Task] = []
        self.signals: list[Signals | str] = []
        self.is_lost = False
        self.fails = False
        self.is_doomed = False
        self.unbegun = self.forgotten = 0
        self.pass_s: Callable[[float], object] = lambda seconds: None
        """Called with the seconds of a wait in which nothing came."""

    def give(self, *tasks: Task) -> None:
        if self.fails:
            self.is_lost = True
            raise HorseError("there is no fork server")
        self.given += tasks

    def find_lost(self) -> bool:
        return self.is_lost

    def add(self, *tasks: Task) -> bool:
        self.given += tasks
        return True

    def look(self, timeout_s: float) -> tuple[list[Reply], Death | None]:
        """Tell of the next end; ``None`` among the ends lets the time of the wait pass."""
        end = self.ends.pop(0)
        if end is None:
            self.pass_s(timeout_s)
        return ([end], None) if isinstance(end, Reply) else ([], end)

    def wait(self, timeout_s: float) -> HorseEnd | None:
        if self.fails:
            raise HorseError("there is no fork server")
        return self.ends.pop(0)

    def take_back(self) -> int:
        taken, self.unbegun = self.unbegun, 0
        return taken

    def resume(self, *numbers: int) -> None:
        self.unbegun += len(numbers)

    def ring(self) -> None: ...

    def watch(self, file: int) -> None: ...

    def unwatch(self, file: int) -> None: ...

    def ring_always(self, value: bool) -> None: ...

    def forget_replies(self, count: int) -> None:
        self.forgotten += count

    def kill(self, signum: Signals = SIGKILL) -> None:
        self.signals.append(signum)

    def interrupt(self) -> None:
        self.signals.append("interrupt")


class FakeScripts:
    """The scripts of jobs, for one job: ``found`` is the answer to the check of its run."""

    def __init__(self, *, found: RunCheck = STOPPED_CHECK, is_mine: bool = False) -> None:
        self.client: Any = SimpleNamespace(settings=Settings(url="unix:///nowhere", max_payload_bytes=1000))
        self.found, self.is_mine = found, is_mine
        self.stopped: list[str] = []
        self.answered: list[Run] = []
        self.checked: list[tuple[str, str]] = []
        self.before_the_answer: Callable[[], object] = lambda: None
        """Called after the server has decided on `is_run_by`, and before its answer arrives."""

    def stop_run(self, job_id: str, *, reason: str) -> str:
        self.stopped.append(job_id)
        return "stopped"

    def check_run(self, job_id: str, *, fence: str) -> RunCheck:
        self.checked.append((job_id, fence))
        return self.found

    def answer_stop(self, run: Run) -> None:
        self.answered.append(run)

    def is_run_by(self, worker: str, job_id: str, *, fence: str | None = None) -> bool:
        self.before_the_answer()
        return self.is_mine


class FakeClaims:
    """Answers claims one after the other; an exception among the answers is raised instead."""

    client: Any = None
    is_behind = False

    def __init__(self, *answers: Claim | Refill | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[SimpleNamespace] = []
        self.sent: list[RefillCall] = []
        """The refills that were sent before their answers were waited for."""
        self.given_back: list[SimpleNamespace] = []
        self.left: list[str] = []
        """The queues for which other workers were woken because of a long job."""

    def wake_idle(self, queues: Sequence[str], *, is_leaving: bool) -> int:
        assert is_leaving
        self.left += queues
        return 0

    def send_refill(self, call: RefillCall, connection: object) -> None:
        call.sent_at = "now"
        self.sent.append(call)

    def receive_refill(self, call: RefillCall, connection: object) -> Refill:
        call.sent_at = ""
        return self.refill(call)

    def refill(self, call: RefillCall) -> Refill:
        again, call.was_made = call.was_made, True
        ended, line, wanted = list(call.ended), list(call.line), call.wanted
        fence = call.fences.fence(call.number)
        self.asked.append(SimpleNamespace(queues=list(call.queues), fence=fence, ended=ended, line=line, wanted=wanted, again=again))
        answer = self.answers[0]
        if isinstance(answer, Claim) and answer.answer == "started" and not answer.goes_with_others:
            return Refill(("finished",) * len(ended), "alone")  # the same answer comes to the claim
        self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Claim):
            is_open = answer.ended not in ("", "finished")
            claims = (answer,) if answer.answer == "started" else ()
            return Refill((answer.ended or "finished",) * len(ended), "unfinished" if is_open else answer.answer, claims)
        return answer

    def give_back(self, runs: Sequence[Run], *, line: Sequence[Run], goes_on: Run | None = None, ttl_s: int = 0) -> set[str]:
        self.given_back.append(SimpleNamespace(runs=list(runs), line=list(line), goes_on=goes_on))
        return set()

    def claim(self, queues: Sequence[str], *, fence: str, ended: Ended | None, again: bool = False, start: int = 0, **_: Any) -> Claim:
        self.asked.append(SimpleNamespace(queues=list(queues), fence=fence, ended=ended, again=again, start=start))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Claim)
        return answer


class NoGroup:
    """No jobs run side by side."""

    paths: Mapping[str, int] = {}

    def __init__(self, **_: object) -> None: ...

    def __len__(self) -> int:
        return 0

    def takes(self, claim: Claim) -> bool:
        return False

    def runs(self) -> list[Run]:
        return []
