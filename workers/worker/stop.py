"""Stops a run of the worker: on a command, or because a service that its job needs is lost."""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from signal import SIGKILL, SIGTERM, Signals
from typing import Any, Final

import msgspec

from notify.errors import ServerError
from workers.jobs import JobFunctions, StopLadder, definition_of, function_of
from workers.line import Line, Stopping
from workers.scripts import Claim, JobScripts, Run, RunCheck
from workers.worker.current_run import CurrentRun

__all__ = ["STOPPED", "Stopper", "lost_reason"]

STOPPED: Final = "stopped on request"

log = logging.getLogger(__name__)


def lost_reason(need: str) -> str:
    """Return why a run is stopped that has lost a need."""
    return f"{need} is gone"


class Stopper:
    """Stops the current run, and never another one.

    Safe from any thread: the worker's command thread, its loss watcher and its main loop call it.

    Args:
        current_run: the current run.
        line: the runs of this worker.
        scripts: the scripts, on the client of the worker.
        functions: the functions that the worker may run; their definitions hold the stop ladders.
        worker: the name of the worker.
        kill: called instead of `kill` to stop a run. The worker passes its ``kill_horse``, which users of RQ override.
    """

    def __init__(
        self,
        current_run: CurrentRun,
        line: Line,
        *,
        scripts: JobScripts,
        functions: JobFunctions,
        worker: str,
        kill: Callable[..., object] | None = None,
    ) -> None:
        self._current_run = current_run
        self._line = line
        self._horse = line.horse
        self._scripts = scripts
        self._functions = functions
        self._worker = worker
        self._kill = kill or self.kill
        self.is_ending = False
        """True once a command told the worker to end. Told again, RQ's code would kill the job."""
        self._climbing: Run | None = None
        """The run whose stop ladder is being climbed."""

    def kill(self, signum: Signals = SIGKILL) -> None:
        """Send a signal to the process of the current run and to all processes that it started. Without a run, do nothing."""
        with self._current_run.lock:
            if self._current_run.horse_pid:
                if signum == SIGTERM:
                    self._current_run.sigterm_sign.put_up()
                self._horse.kill(signum)

    def obey(self, command: bytes, *, otherwise: Callable[[dict[str, Any]], None]) -> None:
        """Obey a command that was published on the worker's channel.

        A command that is too long, or cannot be decoded or obeyed, is logged and ignored.

        Args:
            command: the command, as JSON.
            otherwise: called with every command that stops no job.
        """
        max_bytes = self._scripts.client.settings.max_payload_bytes
        if len(command) > max_bytes:
            log.warning("worker %s ignores a command of %d bytes: the limit is %d", self._worker, len(command), max_bytes)
            return
        try:
            decoded = msgspec.json.decode(command, type=dict[str, Any])
            if decoded.get("command") in ("stop-job", "stop-execution"):  # the second is RQ 3's, for one run of a job
                self.obey_stop(str(decoded.get("job_id")), fence=decoded.get("execution_id"))
            elif decoded.get("command") != "shutdown" or not self.is_ending:
                self.is_ending = self.is_ending or decoded.get("command") == "shutdown"
                otherwise(decoded)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, ServerError) as exc:
            log.warning("worker %s ignores a command that it cannot obey: %s", self._worker, exc)

    def obey_stop(self, job_id: str, *, fence: str | None = None) -> None:
        """Stop a job, if this worker runs it; with a fence only this run of it.

        Raises:
            ServerError: the server did not answer, or refused.
        """
        run = self._run_of(job_id)
        if run is not None and fence in (None, run.fence):
            self._scripts.stop_run(job_id, reason=STOPPED)  # `Job.cancel` has done so already; RQ's command has not
            self.check_run(run)
        elif self._scripts.is_run_by(self._worker, job_id, fence=fence):  # the answer to the claim is on its way to this worker
            self._scripts.stop_run(job_id, reason=STOPPED)
            # The main loop sets the run and then reads the early stops; this thread sets the early stop and then reads the run.
            # So at least one of them sees both, and stops the run.
            self._current_run.expect_stop(job_id)
            run = self._run_of(job_id) or self._current_run.run
            if run is not None:
                self.check_run(run)
        else:
            log.info("worker %s ignores a request to stop job %s, which it does not run", self._worker, job_id)

    def check_run(self, run: Run) -> None:
        """Ask the server whether a run may continue, and stop it if not.

        Raises:
            ServerError: the server did not answer, or refused.
        """
        check = self._scripts.check_run(run.job_id, fence=run.fence)
        if not check.may_run:
            self.stop_run(run, check)

    def stop_run(self, run: Run, check: RunCheck) -> None:
        """Stop a run that this worker has. A stop ladder, which takes time, is climbed in a thread of its own.

        A run that has not begun is taken out of the line. One that the main loop has not come to yet is stopped when it does.

        Args:
            run: the run.
            check: why it must stop.
        """
        self._stop_run(run, check)
        if check.was_stopped:
            with suppress(ServerError):  # whoever cancelled the job waits as long as it could still begin
                self._scripts.answer_stop(run)

    def _stop_run(self, run: Run, check: RunCheck) -> None:
        with self._current_run.lock:
            if self._climbing == run:
                return
            where = self._line.stop(run)
            if where == "beside":
                reason = "" if check.superseded else lost_reason(check.lost) if check.lost else STOPPED
                self._line.stop_beside(run, Stopping(reason, self._ladder(self._line.claim_of(run))))
                return
            if not self._current_run.is_current(run):
                if where == "at work":
                    self._current_run.expect_stop(run.job_id)
                return
            if where == "over":
                return  # its end, which has arrived, is refused
            ladder = StopLadder()
            if not check.superseded:
                self._current_run.mark_stopped(lost_reason(check.lost) if check.lost else STOPPED)
                ladder = self._ladder(self._current_run.claim)
            if ladder == StopLadder():
                self._kill()
                return
            self._climbing = run
        threading.Thread(target=self._climb, args=(run, ladder), name="notify-stop", daemon=True).start()

    def _run_of(self, job_id: str) -> Run | None:
        run = self._current_run.run
        return run if run is not None and run.job_id == job_id else self._line.find(job_id)

    def _ladder(self, claim: Claim | None) -> StopLadder:
        """Return the stop ladder of a job."""
        definition = definition_of(function_of(claim.fields, self._functions) if claim is not None else None)
        return StopLadder() if definition is None else definition.stop

    def _climb(self, run: Run, ladder: StopLadder) -> None:
        """Take the steps of the stop ladder in turn, each when the time of the step before is over, until the run is over."""
        steps: tuple[tuple[float, Callable[[], object]], ...] = (
            (ladder.flag_s, self._current_run.stop_sign.put_up),
            (ladder.exception_s, self._interrupt),
            (ladder.sigterm_s, lambda: self._kill(SIGTERM)),
            (0.0, self._kill),
        )
        for time_s, step in steps:
            with self._current_run.lock:
                if not self._current_run.is_current(run) or self._current_run.over.is_set():
                    return  # from here on a step would hit the run behind it
                if time_s or step == self._kill:
                    step()
            if self._current_run.over.wait(time_s):
                return

    def _interrupt(self) -> None:
        self._current_run.stop_sign.put_up()
        if self._current_run.horse_pid:
            self._horse.interrupt()
