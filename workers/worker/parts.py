"""The parts of a worker, put together: each has one task, and the worker's methods, which override RQ's, delegate to them."""

from collections.abc import Callable
from functools import partial

from notify.server import Client, SingleConnection
from workers.fleet import NameHold, Reaper
from workers.horse import Horse, RetireAfter
from workers.jobs import JobFunctions
from workers.line import LastWill, Line, Window
from workers.scripts import ClaimOptions, ClaimScripts, Fences, JobScripts
from workers.worker.background import Background
from workers.worker.callbacks import OwedCallbacks, StoppedCallback
from workers.worker.commands import CommandListener
from workers.worker.current_run import CurrentRun
from workers.worker.finish import FinishingWorker
from workers.worker.loop import ClaimLoop
from workers.worker.perform import Performer
from workers.worker.pushes import PushWatch
from workers.worker.record import EndRecorder
from workers.worker.side_by_side import Group
from workers.worker.stop import Stopper

__all__ = ["WorkerParts"]


class WorkerParts:
    """Creates the parts of a worker.

    Args:
        worker: the worker, whose RQ methods the parts call.
        current_run, scripts, client: those of the worker.
        functions: the functions that it may run.
        retire: when the process that runs the jobs is replaced.
        lease_s: seconds that the worker may be silent.
        claims: what the worker claims, and what it records.
        window: how many runs the worker has claimed at most; ``None``: as many as are short.
        revive: called when another worker took this one for dead by mistake.
        wait_while_suspended: RQ's function that waits until ``rq resume``.
        told: called when the worker was told to end, with whether it still runs a job.
    """

    def __init__(
        self,
        worker: FinishingWorker,
        *,
        current_run: CurrentRun,
        scripts: JobScripts,
        client: Client,
        functions: JobFunctions,
        retire: RetireAfter,
        lease_s: float,
        claims: ClaimOptions,
        window: int | None,
        revive: Callable[[Client], None],
        wait_while_suspended: Callable[[bool], None],
        told: Callable[[bool], object] | None,
    ) -> None:
        self.performer = Performer(worker, current_run, functions=functions, retire=retire)
        fences = Fences()
        times_s = {"heartbeat_s": worker.job_monitoring_interval, "idle_s": worker.worker_ttl + 60}

        def make_claims(on: Client) -> ClaimScripts:
            return ClaimScripts(on, worker.name, **times_s, result_ttl_s=worker.default_result_ttl, options=claims)

        last_will = LastWill(worker.name, fences, connect=lambda: client.clone(name=worker.name), claims=make_claims)
        self.horse = horse = Horse(self.performer.run, last_will, prepare=self.performer.prepare)
        line = Line(horse, fences, current_run.lock, timeouts=lambda: client.timeouts)
        self.stopper = Stopper(
            current_run, line, scripts=scripts, functions=functions, worker=worker.name, kill=lambda *sig: worker.kill_horse(*sig)
        )
        self.hold = NameHold(client, worker.name, lease_s=lease_s, replaced=partial(self._end, worker))
        stopped_callback = StoppedCallback(worker, current_run, horse=horse)
        self.recorder = EndRecorder(worker, current_run, scripts=scripts, stopped_callback=stopped_callback)
        callbacks = OwedCallbacks(worker, current_run, horse=horse, client=client, functions=functions, wake=lambda: self.loop.wake())
        self.background = Background(
            client,
            worker.name,
            queues=worker.queue_names(),
            lease_s=lease_s,
            stop=self.stopper.stop_run,
            revive=revive,
            is_working=lambda: self.loop.is_heard(),
            owed=callbacks.hear,
            hold=self.hold,
        )
        self.commands = CommandListener(
            client,
            worker.name,
            obey=lambda data: worker.handle_payload({"data": data}),  # type: ignore[no-untyped-call]  # RQ leaves it untyped
            pushes=PushWatch(client, lambda: self.background.leads),
        )
        connection = SingleConnection(client.clone(name=worker.name))
        loop_claims = make_claims(connection)
        self.loop = ClaimLoop(
            worker,
            current_run,
            claims=loop_claims,
            connection=connection,
            line=line,
            window=Window(window),
            stopper=self.stopper,
            recorder=self.recorder,
            background=self.background,
            callbacks=callbacks,
            functions=functions,
            wait_while_suspended=wait_while_suspended,
            hold=self.hold,
            abandon=partial(Reaper(client).end_run, worker.name),
            lease_s=lease_s,
            told=told,
            make_group=partial(
                Group,
                worker,
                current_run,
                line,
                recorder=self.recorder,
                stopper=self.stopper,
                callbacks=callbacks,
                claims=loop_claims,
                background=self.background,
                functions=functions,
                is_enabled=retire.jobs > 1,  # else each job has a process of its own
                claims_ahead=window != 1,
            ),
        )

    def _end(self, worker: FinishingWorker) -> None:
        """End the worker, which has lost its name, and its job with it. The thread of the lease or the main loop calls this."""
        worker._stop_requested = True
        worker.kill_horse()
        self.loop.wake()
