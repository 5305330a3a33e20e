"""Stopping a run from outside: on a verdict of the guard, or on RQ's commands."""

import logging
import threading
from signal import SIGKILL, SIGTERM, Signals
from typing import Any

import msgspec
import rq

from notify.errors import ServerError
from workers.horse import Horse
from workers.jobs import JobFunctions, StopLadder, StopSign, definition_of, function_of
from workers.scripts import Claim, Run, RunCheck
from workers.worker.finish import STOPPED, EndingWorker

__all__ = ["StoppingWorker"]

log = logging.getLogger(__name__)


class StoppingWorker(EndingWorker):
    """An ``rq.Worker`` whose runs can be stopped, and no other run is hit."""

    _horse: Horse
    _functions: JobFunctions

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_hand: Claim | None = None
        self._stop_sign = StopSign()
        self._climbing: Run | None = None
        """The run that is on the ladder."""
        self._over = threading.Event()
        """Set while no run is in the horse."""
        self._unheard_stop = ""
        """The job that somebody asked to stop before its claim was known here."""

    def kill_horse(self, sig: Signals = SIGKILL) -> None:
        """End the running job's process and all that it started. Without a running job, nothing is done."""
        with self._run_lock:
            if self._horse_pid:
                self._horse.kill(sig)

    def handle_payload(self, message: Any) -> None:
        """Obey a command from ``rq:pubsub:<worker>``; one that cannot be read, or is far too long, is logged and harms nobody."""
        data, max_bytes = message["data"], self._client.settings.max_payload_bytes
        if len(data) > max_bytes:
            log.warning("worker %s passes over a command of %d bytes: the limit is %d", self.name, len(data), max_bytes)
            return
        try:
            command = msgspec.json.decode(data, type=dict[str, Any])
            if command.get("command") == "stop-job":
                self._obey_stop(str(command.get("job_id")))
            else:
                rq.command.handle_command(self, command)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, ServerError) as exc:
            log.warning("worker %s passes over a command that it cannot obey: %s", self.name, exc)

    def _take_in_hand(self, claim: Claim) -> Run:
        """Have a run that can be stopped from here on."""
        run = claim.run
        with self._run_lock:
            self._run, self._in_hand, self._stopped_job_id = run, claim, None
        if self._unheard_stop == run.job_id:
            self._check_run(run)
        return run

    def _let_go(self) -> None:
        with self._run_lock:
            self._run, self._in_hand, self._unheard_stop = None, None, ""
        self.execution = None

    def _obey_stop(self, job_id: str) -> None:
        run = self._run
        if run is not None and run.job_id == job_id:
            self._scripts.stop_run(job_id, reason=STOPPED)  # Job.cancel did so already; RQ's own command did not
            self._check_run(run)
        elif self._scripts.is_run_by(self.name, job_id):  # the answer to its claim is on its way to us
            self._scripts.stop_run(job_id, reason=STOPPED)
            self._unheard_stop = job_id
            if self._run is not None:
                self._check_run(self._run)
        else:
            log.info("worker %s is asked to stop job %s, which it does not run", self.name, job_id)

    def _check_run(self, run: Run) -> None:
        found = self._scripts.check_run(run.job_id, fence=run.fence)
        if not found.may_run:
            self._stop_run(run, found)

    def _stop_run(self, run: Run, found: RunCheck) -> None:
        """End a run, if it is still this one that runs; see to it in the background if that takes time."""
        with self._run_lock:
            if self._run is not run or self._climbing is run:
                return
            ladder = StopLadder()
            if not found.superseded:
                self._stopped_job_id = run.job_id
                self._stop_reason = f"{found.lost} is gone" if found.lost else STOPPED
                ladder = self._ladder()
            if ladder == StopLadder():
                self.kill_horse()
                return
            self._climbing = run
        threading.Thread(target=self._climb, args=(run, ladder), name="notify-stop", daemon=True).start()

    def _ladder(self) -> StopLadder:
        """How the job in hand wants to be stopped."""
        function = function_of(self._in_hand.fields, self._functions) if self._in_hand is not None else None
        definition = definition_of(function)
        return StopLadder() if definition is None else definition.stop

    def _climb(self, run: Run, ladder: StopLadder) -> None:
        steps = (
            (ladder.flag_s, self._stop_sign.put_up),
            (ladder.exception_s, self._interrupt_horse),
            (ladder.sigterm_s, lambda: self.kill_horse(SIGTERM)),
            (0.0, self.kill_horse),
        )
        for time_s, step in steps:
            with self._run_lock:
                if self._run is not run:
                    return
                if time_s or step == self.kill_horse:
                    step()
            if self._over.wait(time_s):
                return

    def _interrupt_horse(self) -> None:
        self._stop_sign.put_up()
        if self._horse_pid:
            self._horse.interrupt()
