"""A signal unwinds a command also where Python passes over the exceptions of its handler."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.any_server

PROGRAM = """
import signal, sys, time
from cli.start import InterruptedBySignal, signals, unwind_on_signals

class Signalled:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)

if sys.argv[1] == "twin":
    signals._raise_again = lambda error, otherwise, unraisable: otherwise(unraisable)
unwind_on_signals()
try:
    Signalled()
    time.sleep(float(sys.argv[2]))  # the signal comes first
except InterruptedBySignal as exc:
    sys.exit(f"unwound by {exc.signum}")
print("went on")
"""


def run(kind: str, seconds: float) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, kind, str(seconds)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_signal_in_a_destructor_unwinds_the_command() -> None:
    done = run("protected", 30.0)
    assert (done.stdout, done.stderr) == ("", "unwound by 15\n")


def test_the_twin_goes_on_after_the_signal() -> None:
    done = run("twin", 0.05)
    assert done.stdout == "went on\n"
    assert "InterruptedBySignal" in done.stderr
