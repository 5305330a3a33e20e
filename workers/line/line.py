"""The line of one horse: gives runs to it, takes back what it has not begun, and stops a run wherever that is."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Literal

from workers.errors import HorseError
from workers.horse import Death, Horse, Reply, Task
from workers.line.place import Place
from workers.line.stopping import KILL, Stopping
from workers.scripts import Claim, Fences, Run

__all__ = ["Line"]


class Line:
    """The runs of one horse that are not over, as far as the worker knows, the oldest first.

    The first ones have begun, and of these the last is at work at most: the others have ended, and their replies are on the way. Then come
    those for which the horse has a token, or whose tokens the worker holds: they are parked.

    Args:
        horse: the horse.
        fences: of its runs.
        lock: held while runs are given, taken back or stopped. `stop`, `hold` and `find` are safe from any thread, all other methods are
            for the main thread of the worker.
        timeouts: how often a command of the worker got no answer in time; see `Task`.
    """

    def __init__(self, horse: Horse, fences: Fences, lock: threading.RLock, *, timeouts: Callable[[], int] = lambda: 0) -> None:
        self.horse = horse
        self.fences = fences
        self._lock = lock
        self._timeouts = timeouts
        self._places: deque[Place] = deque()
        self._parked = 0
        self._is_held = self._is_leaving = self._is_changing = False
        self.current: Place | None = None
        """The place that the main loop has come to. It is not taken back: the horse is about to begin it."""

    def __len__(self) -> int:
        return len(self._places)

    def bytes(self) -> int:
        """Return the size of the jobs that the horse may not have read."""
        with self._lock:
            return sum(place.bytes for place in self._places)

    @property
    def has_unbegun(self) -> bool:
        """Whether there is a run that the horse has not begun, as far as it has said so."""
        return bool(self._places) and self._places[-1].number > self.horse.begun

    def runs(self) -> list[Run]:
        """Return the runs, the oldest first."""
        with self._lock:
            return [place.run for place in self._places]

    def find(self, job_id: str) -> Run | None:
        """Return the run of a job that is in the line."""
        with self._lock:
            return next((place.run for place in self._places if place.run.job_id == job_id), None)

    def claim_of(self, run: Run) -> Claim | None:
        """Return the claim of a run that is in the line."""
        with self._lock:
            return next((place.claim for place in self._places if place.run == run), None)

    def give(self, places: Sequence[Place]) -> None:
        """Give runs to the horse, to be performed in turn. If there is no process, fork one.

        Raises:
            HorseError: no process can be forked.
        """
        with self._changing():
            last = len(places) - 1
            for index, place in enumerate(places):
                # A horse that had nothing rings in the middle as well, so that the next batch arrives in time.
                place.rings = place.runs_beside or index == last or (not self._places and index == last // 2)
            self.horse.ring_always(False)
            self._places.extend(places)
            self._parked += len(places)
            self._resume()

    def wait(self, timeout_s: float) -> bool:
        """Wait until the horse rings or dies, and note the ends that it tells of. Returns whether there is one.

        Args:
            timeout_s: seconds to wait at most.
        """
        pid = self.horse.pid
        replies, death = self.horse.look(timeout_s)
        if not replies and death is None:
            return False
        with self._changing():
            for reply in replies:
                self._end(reply, kept_by=0 if reply.retires else pid)
            if death is not None or replies[-1].retires:
                self._bury(death)
        return True

    def forget(self, places: Sequence[Place]) -> None:
        """Remove the replies of runs whose ends are recorded; see `Horse.forget_replies`."""
        self.horse.forget_replies(sum(place.kept_by == self.horse.pid != 0 for place in places))

    def stop(self, run: Run) -> Literal["unknown", "over", "unbegun", "at work", "beside"]:
        """Take a run out that has not begun, or see to it that the horse begins nothing after the one that is to be killed.

        Returns:
            ``unbegun``: the run never begins; ``at work``: kill it, nothing else can be hit until `settle`; ``over``: its process is done
            with it; ``beside``: it is at work side by side with others, which a kill would hit; ``unknown``: it is not in the line.
        """
        with self._changing():
            place = next((each for each in self._places if each.run == run), None)
            if place is None:
                return "unknown"
            self._take_back()
            index, begun = self._places.index(place), len(self._places) - self._parked
            is_beside = place.runs_beside and index < begun
            if index == begun - 1 and not is_beside:
                self._is_held = True
            elif index >= begun:
                place.is_dropped = True
                self._places.remove(place)
                self._parked -= 1
            self._resume()
            self.horse.ring()
        if is_beside:
            return "beside"
        return "at work" if index == begun - 1 else "unbegun" if place.is_dropped else "over"

    def stop_beside(self, run: Run, stopping: Stopping) -> None:
        """Stop a run that is at work side by side with others, unless it is being stopped."""
        with self._lock:
            place = next((each for each in self._places if each.run == run), None)
            if place is not None and place.stopping is None:
                place.stopping = stopping
                self.take_step(place)

    def take_step(self, place: Place) -> bool:
        """Take the next step of the stop of such a run, if that is due. Returns whether the whole process was killed."""
        with self._lock:
            if place.is_over or place.stopping is None or not (step := place.stopping.next_step()):
                return False
            if step == KILL:
                self.kill()
                return True
            self.horse.order(Task(place.run.job_id, place.run.fence, "", {}, number=place.number, order=step))
        self.horse.ring()
        return False

    def kill(self) -> None:
        """Kill the process, and see to it that it begins nothing before that. Call `settle` when it is dead."""
        with self._changing():
            self._take_back()
            self._is_held = True
        self.horse.kill()

    def settle(self) -> None:
        """Let the horse go on after a run that was to be killed: its end is known."""
        with self._changing():
            self._is_held = False
            self._resume()

    def take_unbegun(self) -> list[Place]:
        """Take all runs out that have not begun, the oldest first; but not the one that the main loop has come to."""
        with self._changing():
            self._take_back()
            taken = []
            while self._parked and self._places[-1] is not self.current:
                taken.append(self._places.pop())
                self._parked -= 1
            self._resume()
        return taken[::-1]

    def remove(self, place: Place) -> None:
        """Take a run out for which no process could be forked."""
        with self._lock:
            self._places.remove(place)
            self._parked -= 1

    def leave(self) -> None:
        """Let the horse begin nothing more but the run that the main loop has come to. Safe from any thread and in a signal handler."""
        self._is_leaving = True
        with self._lock:
            if not self._is_changing:  # else this signal handler has interrupted a change, which does the rest
                self._part()

    def reopen(self) -> None:
        """Let the horse begin runs again: the worker works once more."""
        self._is_leaving = self._is_held = False

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._lock:
            self._is_changing = True
            try:
                yield
            finally:
                self._is_changing = False
            if self._is_leaving:
                self._part()

    def _part(self) -> None:
        self._take_back()
        self._resume()

    def _take_back(self) -> None:
        self._parked += self.horse.take_back()
        self.horse.ring_always(True)  # the run at whose end it was to ring may not be among those that are left

    def _resume(self) -> None:
        """Let the horse begin what is parked."""
        if not self._parked or self._is_held:
            return
        parked = list(self._places)[-self._parked :]
        if self._is_leaving:
            parked = [place for place in parked if place is self.current]
        sent = [place for place in parked if place.is_sent]
        others = [place for place in parked if not place.is_sent]
        if self.horse.is_doomed and (sent or len(self._places) > len(others)):
            self.horse.kill()  # it may have survived another signal; what is parked is for the next process
            return
        if sent:
            self.horse.resume(*(place.number for place in sent))
        tasks = [place.task(timeouts=self._timeouts()) for place in others]
        if tasks and len(tasks) == len(self._places):
            self.horse.give(*tasks)
        elif tasks and not self.horse.add(*tasks):
            self._parked -= len(sent)
            return
        self._parked -= len(parked)
        for place in others:
            place.is_sent = True

    def _end(self, reply: Reply, *, kept_by: int) -> None:
        for place in self._places:
            if reply.number in (0, place.number):
                self._places.remove(place)
                place.end, place.kept_by = reply, kept_by
                return

    def _end_first(self, death: Death) -> None:
        place = self._places.popleft()
        place.end = death

    def _bury(self, death: Death | None) -> None:
        """The horse is dead: the run that was at work has ended so, and the others are for the next horse."""
        self._parked += self.horse.take_back()
        while death is not None and len(self._places) > self._parked:
            self._end_first(death)
        for place in self._places:
            place.is_sent = False
        with suppress(HorseError):  # the worker ends, and gives back what is parked
            self._resume()
        if death is not None and self.horse.is_lost:
            self._return_current()

    def _return_current(self) -> None:
        """No process will begin the run that the main loop has come to and waits for: it is given back as one that is too late."""
        if self.current is not None and self.current in self._places:
            self._places.remove(self.current)
            self._parked -= 1
            self.current.end = Reply(is_late=True, number=self.current.number)
