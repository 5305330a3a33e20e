"""What Python itself prints on stderr: errors that nobody caught, warnings, errors of logging. Nothing in it is obeyed by a terminal."""

import subprocess
import sys

import pytest

SETUP = """
import logging, sys, threading, warnings
from notify.process import SafeFormatter, log_to_stderr
EVIL = "\\x1b[2Ja\\n\\x9bforged"
class Evil:
    def __del__(self):
        raise ValueError(EVIL)
    def __repr__(self):
        return EVIL
def start(work):
    thread = threading.Thread(target=work, name=EVIL)
    thread.start()
    thread.join()
def fail():
    raise ValueError(EVIL)
"""
PROTECTED = "log_to_stderr(SafeFormatter('%(name)s: %(message)s'), level='WARNING')\n"
TWIN = "logging.basicConfig()\n"
WAYS = {
    "the error of a thread": "start(fail)",
    "the error that ends the process": "fail()",
    "an error that cannot be raised": "Evil()",
    "a warning": "warnings.warn(EVIL)",
    "a record that cannot be formatted": "logging.getLogger('yard').error('%d', Evil())",
}


def printed(code: str) -> str:
    return subprocess.run([sys.executable, "-c", SETUP + code], capture_output=True, text=True, check=False).stderr


@pytest.mark.any_server
@pytest.mark.parametrize("way", WAYS)
def test_what_python_reports_is_escaped(way: str) -> None:
    shown, twin = printed(PROTECTED + WAYS[way]), printed(TWIN + WAYS[way])
    assert r"\x1b[2Ja" in shown
    assert "\x1b" not in shown
    assert "\x9b" not in shown
    assert "\x1b[2Ja" in twin


@pytest.mark.any_server
@pytest.mark.parametrize("hook", ["threading.excepthook", "sys.excepthook"])
def test_hooks_that_a_program_has_set_are_left_alone(hook: str) -> None:
    assert printed(f"{hook} = lambda *_: sys.stderr.write('mine')\n{PROTECTED}start(fail) if 'thread' in '{hook}' else fail()") == "mine"


@pytest.mark.any_server
def test_a_thread_that_ends_by_system_exit_reports_nothing() -> None:
    assert printed(f"{PROTECTED}start(sys.exit)") == ""
