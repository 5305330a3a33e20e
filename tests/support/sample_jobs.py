"""Jobs for the tests. They count their effects in one hash in Redis, which every process can read."""

import asyncio
import os
import signal
import subprocess
import threading
from typing import Any, NoReturn

import redis
from rq import Retry, get_current_job

from notify.testing import wait_until
from workers import Job, JobStopped, StopLadder, current_bus, current_job, job
from workers.storage import Store

EFFECTS = "rq:test:effects"
WAIT_S = 20


def go(name: str) -> str:
    """The key of the list that releases `hold`: one entry per waiting job."""
    return f"rq:test:go:{name}"


def count(field: str) -> None:
    current_bus().redis.hincrby(EFFECTS, field)


def note(field: str, value: int) -> None:
    current_bus().redis.hset(EFFECTS, field, value)


@job("work")
def add(field: str = "added") -> str:
    count(field)
    return field


@job("work")
def add_with_anything(field: str = "added", **_: Any) -> str:
    count(field)
    return field


@job("work", needs="svc")
def add_with_svc(field: str = "added") -> str:
    count(field)
    return field


@job("work", needs="svc", on_loss="hold")
def add_when_svc_is_there(field: str = "added") -> str:
    count(field)
    return field


@job("work")
def sleep(seconds: float, name: str) -> None:
    """Count the beginning, and use no connection from then on."""
    count(f"{name}:begun")
    threading.Event().wait(seconds)


@job("work")
def hold(name: str) -> str:
    """Count the beginning, wait for the release, count the end."""
    note(f"{name}:pid", os.getpid())
    count(f"{name}:begun")
    current_bus().redis.blpop(go(name), WAIT_S)
    count(f"{name}:done")
    return name


@job("work")
def hold_and_retry(name: str) -> Retry:
    hold(name)
    return Retry(max=3)


@job("work")
def hold_and_fail(name: str) -> NoReturn:
    hold(name)
    raise RuntimeError(f"{name} failed")


@job("work")
def tick(name: str) -> None:
    """Write in a loop."""
    note(f"{name}:pid", os.getpid())
    for _ in range(WAIT_S * 200):
        count(f"{name}:begun")
        threading.Event().wait(0.005)


@job("work")
def where() -> list[int]:
    """Return the process id and the process group of the job."""
    return [os.getpid(), os.getpgrp()]


@job("work")
async def later() -> list[int]:
    await asyncio.sleep(0)
    return [os.getpid(), os.getpgrp()]


@job("work")
def leave(what: str) -> int:
    """Change the state of the process and leave it changed."""
    if what == "a signal handler":
        signal.signal(signal.SIGUSR2, lambda *_: None)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif what == "an alarm":
        signal.alarm(1)
    elif what == "another folder":
        os.chdir("/")
    elif what == "a thread":
        threading.Thread(target=threading.Event().wait, args=(WAIT_S,), daemon=True).start()
    elif what == "a program":
        note("program:pid", subprocess.Popen(["sleep", str(WAIT_S)]).pid)
    elif what == "a program that has ended":
        subprocess.Popen(["true"])
        threading.Event().wait(0.2)
    return os.getpid()


@job("work")
def surroundings() -> list[Any]:
    handlers = [str(signal.getsignal(signum)) for signum in (signal.SIGUSR2, signal.SIGTERM)]
    threads = [thread.name for thread in threading.enumerate()]
    return [os.getpid(), current_job().id, os.environ["RQ_JOB_ID"], os.getcwd(), handlers, threads]


@job("work")
def fork_away(name: str) -> None:
    """Fork a process into a session of its own, which inherits all open files, and wait."""
    if os.fork() == 0:
        os.setsid()
        note(f"{name}:away", os.getpid())
        threading.Event().wait(WAIT_S)
        os._exit(0)
    hold(name)


@job("work", stop=StopLadder(flag_s=WAIT_S))
def heed(name: str) -> None:
    """Poll `Job.stopping` until it is true."""
    count(f"{name}:begun")
    while not current_job().stopping:
        threading.Event().wait(0.005)
    count(f"{name}:put away")


@job("work", stop=StopLadder(flag_s=WAIT_S))
def save_when_stopped(name: str) -> None:
    """Save the job when it is being stopped, and count its status after that."""
    count(f"{name}:begun")
    while not current_job().stopping:
        threading.Event().wait(0.005)
    current_job().save()
    count(f"{name}:{current_job().get_status().value}")


@job("work", stop=StopLadder(exception_s=WAIT_S))
def put_away(name: str) -> None:
    try:
        count(f"{name}:begun")
        threading.Event().wait(WAIT_S)
    except Exception:
        count(f"{name}:a mistake")
    except JobStopped:
        count(f"{name}:put away")
        raise


@job("work", stop=StopLadder(exception_s=WAIT_S))
def put_away_slowly(name: str) -> None:
    """Count the `JobStopped` exceptions until the job is released."""
    begun = gone_on = False
    while not gone_on:
        try:
            if not begun:
                begun = True
                count(f"{name}:begun")
            gone_on = current_bus().redis.blpop(go(name), WAIT_S) is not None
        except JobStopped:
            count(f"{name}:stopped")
    count(f"{name}:done")


@job("work", stop=StopLadder(sigterm_s=WAIT_S))
def obey_sigterm(name: str) -> None:
    def obey(*_: object) -> NoReturn:
        count(f"{name}:put away")
        os._exit(3)

    signal.signal(signal.SIGTERM, obey)
    count(f"{name}:begun")
    threading.Event().wait(WAIT_S)


@job("work", stop=StopLadder(flag_s=0.1, exception_s=0.1, sigterm_s=0.1))
def stubborn(name: str) -> None:
    """Keep running through every step of the ladder."""
    signal.signal(signal.SIGTERM, lambda *_: count(f"{name}:sigterm"))
    note(f"{name}:pid", os.getpid())
    count(f"{name}:begun")
    while True:
        try:
            while True:
                if current_job().stopping:
                    note(f"{name}:stopping", 1)
                threading.Event().wait(0.005)
        except JobStopped:
            count(f"{name}:exception")


@job("work")
def raise_job_stopped() -> NoReturn:
    raise JobStopped("by itself")


@job("work")
def start_a_program(name: str) -> None:
    """Start a program, and wait for it."""
    program = subprocess.Popen(["sleep", str(WAIT_S)])
    note(f"{name}:pid", program.pid)
    count(f"{name}:begun")
    program.wait()


@job("work")
def leave_programs(name: str) -> None:
    """Start a program, and a program of a program that has ended, and do something else."""
    note(f"{name}:pid", os.getpid())
    note(f"{name}:child", subprocess.Popen(["sleep", "1000"]).pid)
    note(f"{name}:grandchild", int(subprocess.run(["sh", "-c", "sleep 1000 >&- & echo $!"], stdout=subprocess.PIPE, check=True).stdout))
    count(f"{name}:begun")
    threading.Event().wait(WAIT_S)


@job("work")
def fail(field: str = "failed") -> NoReturn:
    count(field)
    raise RuntimeError("it went wrong")


@job("work")
def kill_yourself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@job("work")
def who_am_i() -> list[str]:
    return [current_job().id, current_bus().name]


@job("work")
def add_to_log(at_once: int, times: int) -> None:
    """Add 1 to ``n`` in the storage. In the first round no job writes before all have read."""

    def add_one(value: int) -> int:
        nonlocal first
        if first:
            first = False
            meet("readers", at_once)
        return value + 1

    first = True
    for _ in range(times):
        Store(current_bus()).modify("n", add_one)


@job("work")
def add_to_log_naively(at_once: int, times: int) -> None:
    """The same by a read and a write that are not atomic."""
    for turn in range(times):
        value: Any = Store(current_bus()).retrieve("n")
        if turn == 0:
            meet("readers", at_once)
        current_bus().state("storage")["n"] = value + 1


def meet(where: str, how_many: int) -> None:
    """Wait until that many jobs have called this."""
    client = current_bus().redis
    count(where)
    wait_until(lambda: int(client.hget(EFFECTS, where) or 0) >= how_many, timeout_s=WAIT_S, what=f"{how_many} {where}")


@job("work")
def count_success(finished: Job, connection: redis.Redis, result: object) -> None:
    connection.hincrby(EFFECTS, "on_success")


@job("work")
def count_failure(failed: Job, connection: redis.Redis, *error: object) -> None:
    connection.hincrby(EFFECTS, "on_failure")


@job("work")
def save_on_end(ended: Job, connection: redis.Redis, *how: object) -> None:
    """Save the job, as callbacks and exception handlers of RQ's users do."""
    ended.meta["told"] = True
    ended.save()


@job("work")
def raise_on_success(finished: Job, connection: redis.Redis, result: object) -> NoReturn:
    raise RuntimeError("the callback went wrong")


@job("work")
def try_again(times: int) -> Retry | int:
    """Return a `Retry` that many times."""
    count("tried")
    return Retry(max=times) if (current_job().number_of_retries or 0) < times else times


@job("work")
def try_again_in(seconds: int) -> Retry:
    """Ask for another run after an interval."""
    return Retry(max=2, interval=seconds)


@job("work")
def fail_then_die() -> NoReturn:
    """Fail in the first run, and die in the second."""
    if int(current_bus().redis.hincrby(EFFECTS, "tried")) > 1:
        os.kill(os.getpid(), signal.SIGKILL)
    raise RuntimeError("it went wrong")


@job("work")
def keep_meta() -> None:
    current_job().meta["seen"] = current_job().meta["given"]
    current_job().save_meta()


@job("work")
def leave_at_once() -> NoReturn:
    os._exit(0)


@job("work")
def exit_politely() -> NoReturn:
    raise SystemExit(3)


@job("work")
def count_stop(stopped: Job, connection: redis.Redis) -> None:
    connection.hincrby(EFFECTS, "on_stopped")


@job("work")
def raise_on_stop(stopped: Job, connection: redis.Redis) -> NoReturn:
    connection.hincrby(EFFECTS, "on_stopped")
    raise RuntimeError("the callback went wrong")


def unmarked(*args: object, **kwargs: object) -> None:
    raise AssertionError("no worker may ever run this")


STAMP = """
local now = redis.call('TIME')
redis.call('HSETNX', KEYS[1], ARGV[1] .. ':first_ms', now[1] * 1000 + math.floor(now[2] / 1000))
redis.call('HSET', KEYS[1], ARGV[1] .. ':last_ms', now[1] * 1000 + math.floor(now[2] / 1000))
"""


@job("work")
def stamp(name: str, seconds: float) -> None:
    """Record the server's time at the beginning and at the end. Also runs in workers of plain RQ."""
    running = get_current_job()
    assert running is not None
    running.connection.eval(STAMP, 1, EFFECTS, name)
    threading.Event().wait(seconds)
    running.connection.eval(STAMP, 1, EFFECTS, name)
