"""The examples, run as they are."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("example", "output"),
    [
        (
            "serial_to_ports.py",
            [
                "normal: all is well",
                "important: WARN the door is open",
                "critical: ALARM the cellar is under water",
                "the machines have ended",
            ],
        ),
        (
            "chat.py",
            [
                "ada heard ada: hello",
                "ada heard grace: hello",
                "grace heard ada: hello",
                "grace heard grace: hello",
                "the chat is over",
            ],
        ),
        (
            "group_and_direct.py",
            [
                "ada received: who is there?",
                "grace received: who is there?",
                "linus received: who is there?",
                "ada: 3 members answered",
                "grace: 3 members answered",
                "linus: 3 members answered",
            ],
        ),
        ("lab_flow.py", ["logged [20.0, 27.5, 19.5]"]),
        (
            "on_demand.py",
            [
                "ada received direct.ada, readings",
                "grace received direct.grace, readings",
                "no recorder is left: the sensor stops",
                "no recorder is left: the sensor stops",
            ],
        ),
        (
            "vote.py",
            [
                "ada voted aye; the motion is carried",
                "grace voted aye; the motion is carried",
                "linus voted nay; the motion is carried",
                "aye 2, nay 1",
            ],
        ),
    ],
)
def test_S4_an_example_runs_on_the_private_server_and_ends(example, output):
    with tempfile.TemporaryDirectory(prefix="notify-", dir="/tmp") as home:  # a socket needs a short path
        kept = {name: value for name, value in os.environ.items() if name not in ("NOTIFY_URL", "REDIS_URL")}
        done = subprocess.run(
            [sys.executable, str(ROOT / "examples" / example)],
            env={**kept, "NOTIFY_HOME": home, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == ""
        assert sorted(done.stdout.splitlines()) == sorted(output)
        assert done.stdout.splitlines()[-1] in output[3:] or len(output) < 4
        assert not Path(home, "redis.sock").exists()
