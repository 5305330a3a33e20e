"""The last will of a worker that was killed: its fork server, which the kernel tells of that, says what the horse had begun and ended."""

import logging
from collections.abc import Callable, Sequence
from contextlib import closing

import msgspec

from notify.errors import NotifyError
from notify.server import Client
from workers import rq_keys
from workers.horse import Board, Reply, decoded
from workers.scripts import ClaimScripts, Ended, Fences, RefillCall, number_in, runs_in

__all__ = ["LastWill"]

log = logging.getLogger(__name__)


class LastWill:
    """Records the ends that the worker had not recorded, and puts what had not begun back on its queues.

    A run that had begun and not ended is left to the reaper, as if there were no last will. If the fork server was killed as well, or the
    host is down, nobody knows what had begun: then all runs of the line are left to the reaper, for none may begin twice.

    Args:
        worker: the name of the worker.
        fences: its fences; those of a worker that has taken over its name are others.
        connect: opens a client for this process.
        claims: makes the scripts of the worker on a client.
    """

    def __init__(self, worker: str, fences: Fences, *, connect: Callable[[], Client], claims: Callable[[Client], ClaimScripts]) -> None:
        self._worker = worker
        self._fences = fences
        self._connect = connect
        self._claims = claims

    def __call__(self, rests: Sequence[bytes], board: Board) -> None:
        """Do it. The horse is dead.

        Args:
            rests: the replies of the last horses, the oldest first. The worker may have recorded some of their ends.
            board: says what the horse had begun.
        """
        try:
            with closing(self._connect()) as client:
                self._do(client, [end for rest in rests for end in _ends_in(rest)], board.begun)
        except NotifyError as exc:
            log.warning("the jobs of the killed worker %s are left to the other workers: %s", self._worker, exc)

    def _do(self, client: Client, ends: list[Ended], begun: int) -> None:
        with client.translating(f"looking for the runs of worker {self._worker}"):
            runs = runs_in(client.exchange("HGET", rq_keys.worker(self._worker), "ahead"))
        if not runs or any(not run.fence.startswith(self._fences.base) for run in runs):
            return
        claims = self._claims(client)
        # Whether a start was told is found out in the script: a command of the killed worker that tells it may still be on its way.
        ends = [msgspec.structs.replace(end, is_announced=None) for end in ends if end.run in runs]
        ended = [end.run for end in ends]
        line = [run for run in runs if run not in ended]
        if ends:
            call = RefillCall([], ended=ends, line=line, wanted=0, fences=self._fences, number=self._fences.take())
            answers = claims.refill(call).ended
            # Those that were stopped, or that others wait for, are not recorded: they stay, or no reaper would find them.
            left = [run for run, answer in zip(ended, answers, strict=True) if answer != "finished"]
        else:
            left = []
        unbegun = [run for run in line if number_in(run.fence) > begun]
        if unbegun:
            claims.give_back(unbegun, line=[*left, *(run for run in line if run not in unbegun)])


def _ends_in(rest: bytes) -> list[Ended]:
    """Return the ends among the replies of a horse, which may have been killed in the middle of the last one."""
    found: list[Ended] = []
    try:
        for reply, _ in decoded(rest, Reply):
            if reply.ended is not None:
                found.append(reply.ended)
    except msgspec.DecodeError:
        pass  # the worker was killed in the middle of a large reply, whose beginning it had taken out
    return found
