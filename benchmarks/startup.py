"""Processor time of short commands: nearly all of it is what they import."""

import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Final

import notify

__all__ = ["start_of_commands"]

ROUNDS: Final = 11
OURS: Final = (("--help",), ("services", "--help"), ("services",), ("queues",), ("publish", "benchmark", "1"), ("worker", "--help"))
PEER: Final = ("rq", "--help")


def start_of_commands(bus: notify.Bus) -> str:
    """Seconds of user and system time of a command, median of rounds in turn, with ``rq --help`` beside them."""
    folder = Path(sys.executable).parent
    commands = [("notify", *arguments) for arguments in OURS] + [PEER]
    environ = {**os.environ, "NOTIFY_URL": str(bus.settings.url)}
    rounds = [[_cpu_s([str(folder / name), *arguments], environ) for name, *arguments in commands] for _ in range(ROUNDS)]
    medians = [statistics.median(each) for each in zip(*rounds, strict=True)]
    lines = [f"{'start of ' + ' '.join(command):<34} {taken:.3f} s of CPU" for command, taken in zip(commands, medians, strict=True)]
    return "\n".join(lines)


def _cpu_s(command: list[str], environ: dict[str, str]) -> float:
    """Run a command to its end, without output. Returns the seconds of processor time that it and its children took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
